"""A coverage-guided fuzz run of everything that reads files: only the stated errors, no hang.

    uv run --with atheris python benchmarks/reliability/fuzz.py [--reader wandb] [--seconds 60]

The readers are wandb, sweep, arguments, ledger, record, records, report and checkpoint. Each is fuzzed, one
after another, in a process of its own and for so many seconds. It begins with sound files (damage.py) and
changes them as their code is reached; checksums are mended, so that what lies behind them is reached too. An
input that ends in any other way is kept in the folder that is named.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from zlib import crc32

import atheris

with atheris.instrument_imports(include=["selector"]):
    import damage

    from selector.command_line import parse_config
    from selector.errors import UserError
    from selector.export_file import read_records
    from selector.record import read_record
    from selector.reports.html import page_of
    from selector.reports.objects import as_json, ranking_object
    from selector.reports.opinions import Opinions
    from selector.reports.report import report_of
    from selector.selection.ranking import rank
    from selector.sweeping.search import random_config
    from selector.sweeping.state import read_sweep
    from selector.sweeping.sweep_file import read_sweep_file
    from selector.tracking.offline import read_offline
    from selector.tracking.offline_file import read_payloads
    from selector.training.stored import read_stored

from handmade import ACCURACY, RANKME
from offline_files import as_log, items, record
from trials import TINY, Row, flags, options, print_table

_HANG = 20  # seconds for one input


def fuzz_wandb(place: Path, data: bytes) -> None:
    """Half of the inputs are the bytes of a file, half are records whose checksums are right."""
    content = data[1:]
    if data[:1] >= b"\x80":
        content = as_log(content.split(b"\xff\x00\xfe"))
    file = place / "run-a.wandb"
    file.write_bytes(content)
    for one in read_offline(place).runs:
        assert one.id.isprintable() or one.id
        assert sorted(row.epoch for row in one.milestones) == [row.epoch for row in one.milestones]


def seeds_wandb(place: Path) -> list[bytes]:
    """A small run, as a file and as its records, with one more that changes its configuration."""
    file = damage.wandb(place).file
    changes = {"update": [{"nested_key": ["a", "b"], "value_json": "1"}], "remove": items({"seed": 0})}
    with file.open("rb") as content:
        payloads = [*read_payloads(content), record(9, config=changes)]
    return [b"\0" + file.read_bytes(), b"\x80" + b"\xff\x00\xfe".join(payloads)]


def fuzz_sweep(place: Path, data: bytes) -> None:
    """A sweep file, and a configuration drawn from what it holds."""
    file = place / "sweep.yaml"
    file.write_bytes(data)
    found = read_sweep_file(file)
    for index in range(2 if found.method == "random" else 0):
        random_config(found.parameters, 0, index)


def seeds_sweep(_: Path) -> list[bytes]:
    """The shipped files, and one with what they lack."""
    more = b"""
method: random
program: a.py
parameters:
  a: {distribution: q_log_uniform_values, min: 1, q: 2, max: 9}
  b: {values: [1, x, null, true], probabilities: [0.2, 0.2, 0.2, 0.4]}
"""
    return [*(path.read_bytes() for path in (Path(__file__).parents[2] / "sweeps").glob("*.yaml")), more]


def fuzz_arguments(_: Path, data: bytes) -> None:
    """The configuration of a run, as an agent passes it on: the command line of train.py."""
    try:
        parse_config(data.decode(errors="replace").split("\n"))
    except SystemExit as stop:
        if stop.code not in (0, 2):
            raise RuntimeError("another status") from stop


def seeds_arguments(_: Path) -> list[bytes]:
    """Flags in all forms, and configurations as JSON."""
    return [
        "\n".join(flags(TINY)).encode(),
        b"--epochs\n5\n--seed=1e3\n--labels",
        b'{"epochs": 5, "probe": "fast"}',
    ]


def fuzz_ledger(place: Path, data: bytes) -> None:
    """The ledger of a sweep folder."""
    (place / "journal.log").write_bytes(data)
    state = read_sweep(place)
    assert state is None or all(run.index < len(state.runs) for run in state.runs)


def fuzz_record(place: Path, data: bytes) -> None:
    """A run's own record; half of the inputs are lines whose checksums are right."""
    content = data[1:]
    if data[:1] >= b"\x80":
        content = b"".join(b'{"crc32":"%08x",%s\n' % (crc32(line), line[1:]) for line in content.split(b"\n"))
    file = place / "run.jsonl"
    file.write_bytes(content)
    found = read_record(file)
    assert found.header.id
    epochs = [row.epoch for row in found.milestones]
    assert sorted({*epochs}) == epochs
    assert all(type(value) is float for row in found.milestones for value in row.values.values())


def seeds_record(place: Path) -> list[bytes]:
    """A small run, as its file and as lines without checksums."""
    content = damage.record(place).file.read_bytes()
    lines = [b"{" + line[len(b'{"crc32":"00000000",') :] for line in content.splitlines()]
    return [b"\0" + content, b"\x80" + b"\n".join(lines)]


def fuzz_records(place: Path, data: bytes) -> None:
    """Exported runs, their ranking, and what is printed of it: what tables, exports and report begin with."""
    file = place / "runs.json"
    file.write_bytes(data)
    ranking = rank(read_records(file), RANKME, "last", True, "max")
    json.loads(as_json(ranking_object(ranking, [Opinions() for _ in ranking.groups])))
    for group in ranking.groups:
        scores = [one.score for one in group.ranking]
        assert scores == sorted(scores, reverse=True)


def fuzz_report(place: Path, data: bytes) -> None:
    """The HTML report of exported runs, in which nothing of them may become markup."""
    file = place / "runs.json"
    file.write_bytes(data)
    page = page_of(report_of(read_records(file), RANKME, ACCURACY))
    ours = page[: page.index("* plotly.js v")]
    assert len(re.findall(r'<script(?! type="application/json" id="(g\d|colours"))', ours)) == 1  # plotly's
    assert "<img" not in ours


def seeds_report(place: Path) -> list[bytes]:
    """The same runs, with names that are markup."""
    content = damage.records(place).file.read_bytes()
    return [content.replace(b'"b"', b'"<img src=x><script>b</script>"')]


def fuzz_checkpoint(place: Path, data: bytes) -> None:
    """A checkpoint."""
    file = place / "milestone-0001.ckpt"
    file.write_bytes(data)
    read_stored(file)


def seeds_checkpoint(place: Path) -> list[bytes]:
    """Zip file and plain pickle."""
    import torch

    file = damage.checkpoint(place).file
    zipped = file.read_bytes()
    torch.save(torch.load(file), file, _use_new_zipfile_serialization=False)
    return [zipped, file.read_bytes()]


def sound(kind: Callable[[Path], damage.Sound], place: Path) -> list[bytes]:
    """A file of damage.py as it is."""
    return [kind(place).file.read_bytes()]


READERS: dict[str, tuple[Callable[[Path, bytes], None], Callable[[Path], list[bytes]]]] = {
    "wandb": (fuzz_wandb, seeds_wandb),
    "sweep": (fuzz_sweep, seeds_sweep),
    "arguments": (fuzz_arguments, seeds_arguments),
    "ledger": (fuzz_ledger, partial(sound, damage.ledger)),
    "record": (fuzz_record, seeds_record),
    "records": (fuzz_records, partial(sound, damage.records)),
    "report": (fuzz_report, seeds_report),
    "checkpoint": (fuzz_checkpoint, seeds_checkpoint),
}


def main() -> int:
    """Fuzz one reader in this process, or all of them in one each."""
    asked = options(__doc__, reader="", seconds=60, inside="")
    if asked.inside:
        fuzz(asked.reader, asked.seconds, Path(asked.inside))
    readers = [asked.reader] if asked.reader else READERS
    return print_table([campaign(reader, asked.seconds) for reader in readers])


def campaign(reader: str, seconds: int) -> Row:
    """Fuzz one reader in a new process, and say what came of it."""
    row = Row(f"fuzz: {reader}")
    kept = tempfile.mkdtemp(prefix=f"fuzz-{reader}-")
    command = [sys.executable, __file__, "--reader", reader, "--seconds", str(seconds), "--inside", kept]
    quiet = {"capture_output": True, "text": True, "errors": "replace"}
    done = subprocess.run(command, timeout=20 * seconds + 300, **quiet)
    counts = re.findall(r"^stat::number_of_executed\S*\s+(\d+)", done.stderr, re.MULTILINE)
    row.trials = int(counts[0]) if counts else 0
    if done.returncode:
        kind = "hung" if "timeout after" in done.stderr else "wrong"
        row.blame(kind, f"exit {done.returncode}, see {kept}: {done.stderr[-3000:]}")
    return row


def fuzz(reader: str, seconds: int, kept: Path) -> None:
    """Fuzz until the time is over; ends the process."""
    one_input, seeds = READERS[reader]
    (kept / "corpus").mkdir()
    with tempfile.TemporaryDirectory() as name:
        for number, seed in enumerate(seeds(Path(name))):
            (kept / "corpus" / str(number)).write_bytes(seed)
    place = kept / "place"
    place.mkdir()

    def test(data: bytes) -> None:
        try:
            one_input(place, data)
        except UserError:
            return

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    settings = [f"-max_total_time={seconds}", f"-timeout={_HANG}", "-print_final_stats=1", "-max_len=20000"]
    settings += ["-rss_limit_mb=4096", f"-artifact_prefix={kept}/", "-seed=1", str(kept / "corpus")]
    atheris.Setup([sys.argv[0], *settings], test)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
