from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offline_files import FILE_HEADER, as_log

from selector.tracking.wandb_log import BLOCK, DamagedLog, TruncatedLog, read_payloads

# Lengths around the end of the first block: it holds a file header of 7 bytes and chunk headers of 7 bytes.
EDGE = BLOCK - 14


def read(log: bytes) -> list[bytes]:
    return list(read_payloads(BytesIO(log)))


def read_until_error(log: bytes) -> tuple[list[bytes], Exception | None]:
    found: list[bytes] = []
    try:
        found.extend(read_payloads(BytesIO(log)))
    except (DamagedLog, TruncatedLog) as error:
        return found, error
    return found, None


def test_a_record_written_out_by_hand():
    # The CRC-32 of kind and payload is what this prints first: printf '\x01abc' | gzip -n | tail -c8 | xxd
    assert read(FILE_HEADER + bytes.fromhex("a9209d53 0300 01") + b"abc") == [b"abc"]


@pytest.mark.parametrize("run", ["complete", "long", "stranger", "failed"])
def test_the_layout_is_that_of_the_client(offline_files: dict[str, list[Path]], run: str):
    real = offline_files[run][0].read_bytes()
    assert as_log(read(real)) == real  # the tests' own writer and the reader, both against W&B's writer


@pytest.mark.parametrize("length", [0, 1, EDGE - 8, EDGE - 7, EDGE - 6, EDGE - 1, EDGE, EDGE + 1, 3 * BLOCK])
def test_records_over_block_ends(length: int):
    payloads = [b"a" * length, b"b", b"", b"c" * length]
    assert read(as_log(payloads)) == payloads


@given(st.lists(st.integers(0, 2 * BLOCK), max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_lengths(lengths: list[int]):
    payloads = [bytes([i]) * length for i, length in enumerate(lengths)]
    assert read(as_log(payloads)) == payloads


@pytest.mark.parametrize(
    ("log", "error", "text"),
    [
        (b"", TruncatedLog, "is empty"),
        (FILE_HEADER[:5], TruncatedLog, "ends inside the file header at byte 5"),
        (b"not a log", DamagedLog, "is not a .wandb file"),
        (b"\0" * 100, DamagedLog, "is not a .wandb file"),
        (FILE_HEADER[:-1] + b"\x01", DamagedLog, "has format version 1, only version 0 is known"),
        (as_log([b"abc"])[:-1], TruncatedLog, "ends inside a record at byte 16"),
        (as_log([b"abc"]) + b"\x01", TruncatedLog, "ends inside a record at byte 18"),
        (as_log([b"abc"])[:-1] + b"d", DamagedLog, "has a wrong checksum at byte 7"),
        (as_log([b"abc"]) + bytes(20), TruncatedLog, "has only zero bytes from byte 17 on"),
        (as_log([b"abc"]) + bytes(3 * BLOCK), TruncatedLog, "has only zero bytes from byte 17 on"),
        (as_log([b"abc"]) + bytes(7) + b"x", DamagedLog, "has zero bytes inside it at byte 17"),
        (as_log([b"abc"]) + bytes(3 * BLOCK) + b"x", DamagedLog, "has zero bytes inside it at byte 17"),
        (as_log([b"a" * (BLOCK - 20)])[:-1] + b"b" * 30, DamagedLog, "has a wrong checksum at byte 7"),
        (FILE_HEADER + b"abcd\xff\xff\x01" + bytes(BLOCK), DamagedLog, "has a wrong checksum at byte 7"),
        (as_log([b"a" * 2 * BLOCK])[:BLOCK], TruncatedLog, f"ends inside a record at byte {BLOCK}"),
    ],
)  # fmt: skip
def test_damage_by_name(log: bytes, error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        read(log)


def test_parts_without_their_first_or_last():
    # A record that fills the rest of the first block, the second block and 14 bytes of the third.
    log = as_log([b"a" * (BLOCK - 14 + BLOCK - 7 + 14), b"b"])
    first, third = log[:BLOCK], log[2 * BLOCK :]
    assert len(third) == 7 + 14 + 7 + 1
    with pytest.raises(DamagedLog, match="lacks a part of a record at byte 7"):
        read(FILE_HEADER + third)
    with pytest.raises(DamagedLog, match=f"lacks a part of a record at byte {BLOCK}"):
        read(first + as_log([b"b"])[7:])
    lost_middle, after = read(first + third)  # the record's own content shows it: see test_damaged_files
    assert (len(lost_middle), after) == (BLOCK - 14 + 14, b"b")


def test_bytes_in_the_filling_between_blocks():
    log = bytearray(as_log([b"a" * (EDGE - 3), b"b"]))
    assert log[BLOCK - 3 : BLOCK] == bytes(3)
    log[BLOCK - 1] = 1
    with pytest.raises(DamagedLog, match=f"has bytes between two blocks at byte {BLOCK - 3}"):
        read(bytes(log))


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes(content: bytes, with_header: bool):
    _, error = read_until_error(FILE_HEADER + content if with_header else content)
    assert "\n" not in str(error)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_survives_damage_was_written(data: st.DataObject):
    """Cut, overwritten, zeroed, repeated or left out: what is read before the error is a prefix."""
    lengths = data.draw(st.lists(st.integers(0, BLOCK), min_size=1, max_size=6))
    payloads = [i.to_bytes(2, "big") + bytes([i % 251 + 1]) * length for i, length in enumerate(lengths)]
    log = as_log(payloads)
    start = data.draw(st.integers(7, len(log)))
    end = data.draw(st.integers(start, min(len(log), start + 40000)))
    change = data.draw(st.sampled_from(["cut", "flip", "zero", "repeat", "drop"]))
    middle = log[start:end]
    damaged = {
        "cut": log[:start],
        "flip": log[:start] + bytes(byte ^ 0x55 for byte in middle) + log[end:],
        "zero": log[:start] + bytes(len(middle)) + log[end:],
        "repeat": log[:end] + middle + log[end:],
        "drop": log[:start] + log[end:],
    }[change]
    found, error = read_until_error(damaged)
    if change in ("cut", "flip", "zero"):
        assert found == payloads[: len(found)]
        assert error or found == payloads or change == "cut"  # a cut between two records cannot be seen here
    else:  # whole records can be repeated or lost unseen here: the numbering of the records shows those
        assert all(payload in payloads for payload in found)
