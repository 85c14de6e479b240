import pytest
from google.protobuf.descriptor import FieldDescriptor
from wandb.proto import wandb_internal_pb2

from selector.tracking.wandb_records import MESSAGES, Record

# Our names for W&B's messages, where one of ours stands for several of theirs.
THEIRS = {"Item": ("HistoryItem", "SummaryItem", "ConfigItem"), "Timestamp": ()}
TYPES = {
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_STRING: "string",
}


@pytest.mark.parametrize("message", MESSAGES)
def test_every_field_is_the_one_of_wandb(message: str):
    theirs = THEIRS.get(message, (message,))
    for descriptor in [getattr(wandb_internal_pb2, name).DESCRIPTOR for name in theirs]:
        for name, (number, kind) in MESSAGES[message].items():
            field = descriptor.fields_by_name[name]
            assert (field.number, field.is_repeated) == (number, kind.startswith("["))
            inner = kind.strip("[]")
            if field.type != FieldDescriptor.TYPE_MESSAGE:
                assert TYPES[field.type] == inner
            elif inner == "bytes":
                assert field.message_type.name == "SummaryRecord"
            else:
                assert field.message_type.name in (inner, *THEIRS.get(inner, ()), "Timestamp")


def test_timestamp_is_the_well_known_one():
    theirs = wandb_internal_pb2.RunRecord.DESCRIPTOR.fields_by_name["start_time"].message_type
    assert {f.name: f.number for f in theirs.fields} == {
        n: number for n, (number, _) in MESSAGES["Timestamp"].items()
    }


def test_a_record_of_wandb_reads_the_same():
    theirs = wandb_internal_pb2.Record(num=7, exit={"exit_code": -2})
    theirs.uuid = "left out"
    ours = Record.FromString(theirs.SerializeToString())
    assert (ours.num, ours.exit.exit_code, ours.HasField("run")) == (7, -2, False)


def test_the_schema_is_read_without_wandb():
    import subprocess
    import sys

    script = (
        "import sys, selector.tracking.wandb_offline;"
        " sys.exit(any(name in sys.modules for name in ('wandb', 'torch')))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
