"""Real files, damaged: what is read is either as it was written, or the run is not called finished."""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from selector.runs import Run
from selector.tracking.offline import read_offline
from selector.tracking.offline_file import BLOCK


def figures(run: Run) -> list[tuple[int, str, str]]:
    """All numbers, NaN equal to NaN."""
    return sorted((m.epoch, key, repr(value)) for m in run.milestones for key, value in m.values.items())


def check(folder: Path, damaged: bytes, sound: Run, allow_finished: bool = False) -> str:
    """Read a damaged copy of a run's file; say what became of it."""
    (folder / f"run-{sound.id}.wandb").write_bytes(damaged)
    found = read_offline(folder)
    if found.unreadable:
        (gone,) = found.unreadable
        assert (gone.run, found.runs) == (sound.id, ())
        assert gone.reason.isprintable()
        return "unreadable"
    (run,) = found.runs
    assert run.id == sound.id
    if run.state == "finished":
        assert allow_finished
        assert figures(run) == figures(sound)
        assert (run.config, run.definition) == (sound.config, sound.definition)
        return "finished"
    assert run.state in ("running", "crashed")
    assert run.detail.isprintable()
    assert set(figures(run)) <= set(figures(sound))
    assert run.config.items() <= sound.config.items()
    return run.state


@pytest.fixture
def complete(offline_files: dict[str, list[Path]]) -> tuple[bytes, Run]:
    (file,) = offline_files["complete"]
    (run,) = read_offline(file.parent).runs
    return file.read_bytes(), run


@pytest.fixture
def long(offline_files: dict[str, list[Path]]) -> tuple[bytes, Run]:
    (file,) = offline_files["long"]
    (run,) = read_offline(file.parent).runs
    return file.read_bytes(), run


def positions(content: bytes) -> list[int]:
    """Each byte of the headers of file and records, and every fifth of the rest."""
    starts = [0, *record_starts(content)]
    headers = {start + offset for start in starts for offset in range(8)}
    return sorted(headers | set(range(0, len(content), 5)))


def record_starts(content: bytes) -> list[int]:
    """Where records begin in a file of one block."""
    starts, position = [], 7
    while position < len(content):
        starts.append(position)
        position += 7 + int.from_bytes(content[position + 4 : position + 6], "little")
    return starts


def test_cut_anywhere(tmp_path: Path, complete: tuple[bytes, Run]):
    content, sound = complete
    marker = content.index(b"completion/epoch")
    states = [
        check(tmp_path, content[:end], sound, allow_finished=end > marker) for end in positions(content)
    ]
    # First too little to know the run, then rows without an end (in a young file), then half of the marker,
    # then the whole marker without an exit record.
    order = ["unreadable", "running", "crashed", "finished"]
    assert states == sorted(states, key=order.index)
    assert set(states) == set(order)


def test_one_byte_changed(tmp_path: Path, complete: tuple[bytes, Run]):
    content, sound = complete
    marker = content.index(b"completion/epoch")
    generator = random.Random(0)
    for position in positions(content):
        changed = bytearray(content)
        changed[position] ^= generator.randrange(1, 256)
        # A length that now reaches over the file's end looks like a cut: after the marker nothing is lost.
        check(tmp_path, bytes(changed), sound, allow_finished=position > marker)


def blocks(content: bytes) -> list[bytes]:
    return [content[start : start + BLOCK] for start in range(0, len(content), BLOCK)]


def broken_blocks(content: bytes) -> Iterator[bytes]:
    """A block zeroed, left out, repeated, exchanged with the next, or half of it torn."""
    parts = blocks(content)
    for index in range(len(parts)):
        before, block, after = parts[:index], parts[index], parts[index + 1 :]
        yield b"".join([*before, bytes(len(block)), *after])
        yield b"".join([*before, *after])
        yield b"".join([*before, block, block, *after])
        yield b"".join([*before, block[: BLOCK // 2] + bytes(len(block) - BLOCK // 2), *after])
        yield b"".join([*before, block[7:], *after])
        if after:
            yield b"".join([*before, after[0], block, *after[1:]])


def test_broken_blocks(tmp_path: Path, long: tuple[bytes, Run]):
    content, sound = long
    assert len(blocks(content)) > 10
    states = [check(tmp_path, damaged, sound) for damaged in broken_blocks(content) if damaged != content]
    assert states.count("unreadable") > len(states) - 4  # all but a cut at the end


def test_bytes_changed_anywhere_in_many_blocks(tmp_path: Path, long: tuple[bytes, Run]):
    content, sound = long
    generator = random.Random(1)
    for _ in range(60):
        changed = bytearray(content)
        position = generator.randrange(
            len(content) - BLOCK
        )  # not in the last block, where it may look like a cut
        changed[position] ^= 1 << generator.randrange(8)
        assert check(tmp_path, bytes(changed), sound) == "unreadable"


@pytest.mark.parametrize("zeros", [1, 6, 7, 8, 100, BLOCK, 3 * BLOCK])
def test_zeros_at_the_end(tmp_path: Path, complete: tuple[bytes, Run], zeros: int):
    content, sound = complete
    assert check(tmp_path, content + bytes(zeros), sound, allow_finished=True) == "finished"
    assert read_offline(tmp_path).warnings == ("complete, but the file ends too early: complete",)
    assert check(tmp_path, content + bytes(zeros) + b"x", sound, allow_finished=zeros < 7) in (
        "finished",
        "unreadable",
    )


def test_a_row_lost_with_its_record(tmp_path: Path, complete: tuple[bytes, Run]):
    """All checksums hold, and only the numbering shows what is missing."""
    content, sound = complete
    starts = record_starts(content)
    for begin, end in pairwise(starts):
        assert check(tmp_path, content[:begin] + content[end:], sound) == "unreadable"
    # The last record says that the process ended; the marker is there without it.
    assert check(tmp_path, content[: starts[-1]], sound, allow_finished=True) == "finished"
