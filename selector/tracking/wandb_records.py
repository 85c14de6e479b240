"""The records that are read from a .wandb file, as protocol buffers.

This is the part of wandb/proto/wandb_internal.proto that a selection needs; whatever else a record holds
is skipped by its length. W&B's own wandb_internal_pb2 would do too, but it cannot be imported without
the whole of wandb, which takes a second, and it decodes every system metric on the way.
The tests compare this table with W&B's own, field by field.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

_Field = descriptor_pb2.FieldDescriptorProto

# Message → field → (number, type); a type in brackets is repeated, a capitalised one is a message.
# Config and summary updates stay bytes until somebody wants them: a summary repeats every history row.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Record": {
        "num": (1, "int64"),
        "history": (2, "HistoryRecord"),
        "summary": (3, "bytes"),
        "config": (5, "ConfigRecord"),
        "run": (17, "RunRecord"),
        "exit": (18, "RunExitRecord"),
    },
    "HistoryRecord": {"item": (1, "[Item]"), "step": (2, "HistoryStep")},
    "HistoryStep": {"num": (1, "int64")},
    "SummaryRecord": {"update": (1, "[Item]"), "remove": (2, "[Item]")},
    "ConfigRecord": {"update": (1, "[Item]"), "remove": (2, "[Item]")},
    "Item": {"key": (1, "string"), "nested_key": (2, "[string]"), "value_json": (16, "string")},
    "RunRecord": {
        "run_id": (1, "string"),
        "config": (4, "ConfigRecord"),
        "run_group": (6, "string"),
        "job_type": (7, "string"),
        "display_name": (8, "string"),
        "tags": (10, "[string]"),
        "sweep_id": (12, "string"),
        "start_time": (17, "Timestamp"),
    },
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "RunExitRecord": {"exit_code": (1, "int32")},
}
_PACKAGE = "selector.tracking"


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, type_name) in fields.items():
            inner = type_name.strip("[]")
            message.field.add(
                name=field,
                number=number,
                label=_Field.LABEL_OPTIONAL if inner == type_name else _Field.LABEL_REPEATED,
                type=_Field.TYPE_MESSAGE if inner in MESSAGES else _Field.Type.Value(f"TYPE_{inner.upper()}"),
                type_name=f".{_PACKAGE}.{inner}" if inner in MESSAGES else None,
            )
    pool = descriptor_pool.DescriptorPool()  # one of our own: nothing of wandb's is touched
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in MESSAGES
    }


_classes = _message_classes()
Record: Any = _classes["Record"]
SummaryRecord: Any = _classes["SummaryRecord"]
