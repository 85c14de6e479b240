"""`selector export`."""

from pathlib import Path

from selector.commands.arguments import (
    Group,
    Source,
    Tag,
    read_runs,
)
from selector.errors import UserError, writing
from selector.text import printable


def export(
    source: Source,
    /,
    *,
    output: Path = Path("runs.json"),
    tag: Tag = None,
    group: Group = None,
    quiet: bool = False,
) -> int:
    """Keep a sweep's milestones in one small file, which is a SOURCE for whatever only reads.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, or the URL of a W&B sweep or project.
        output: File to write, ending in .json.
        tag: Only runs that carry this tag.
        group: Only runs of this group.
        quiet: Show no progress; warnings still come.
    """
    from selector.tracking.records import write_records

    if output.suffix != ".json":
        raise UserError(f"--output {printable(str(output))} must end in .json: a SOURCE is known by it")
    runs = read_runs(source, tag=tag, group=group, quiet=quiet)
    text = write_records(runs)
    with writing(output):
        output.write_text(text, encoding="utf-8")
    print(f"{len(runs.runs)} runs in {printable(str(output))} ({len(text.encode()) / 1e3:.0f} kB)")
    return 0
