"""`selector export`."""

from pathlib import Path

from selector.commands.arguments import Runs
from selector.errors import UserError, writing
from selector.text import counted, printable


def export(
    runs: Runs,
    *,
    output: Path = Path("runs.json"),
) -> int:
    """Save a sweep's milestones in one small file, which every command that only reads accepts as a SOURCE.

    Args:
        output: File to write, ending in .json.
    """
    from selector.export_file import write_records

    if output.suffix != ".json":
        raise UserError(
            f"--output {printable(str(output))} must end in .json: that is how a SOURCE file is recognised"
        )
    found = runs.read()
    text = write_records(found)
    with writing(output):
        output.write_text(text, encoding="utf-8")
    print(
        f"{counted(len(found.runs), 'run')} in {printable(str(output))} ({len(text.encode()) / 1e3:.0f} kB)"
    )
    return 0
