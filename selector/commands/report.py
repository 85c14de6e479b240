"""`selector report`."""

from pathlib import Path
from typing import Literal

from selector.commands.arguments import (
    Epoch,
    Group,
    Name,
    Source,
    Tag,
    milestone_choice,
    named_label_free,
    named_labelled,
    read_runs,
    warn,
)
from selector.errors import UserError
from selector.text import printable


def report(
    source: Source,
    /,
    *,
    metric: Name = "rankme",
    oracle: Name = "linear_probe_accuracy",
    milestone: Epoch = "last",
    direction: Literal["max", "min"] | None = None,
    allow_mixed: bool = False,
    output: Path = Path("report.html"),
    tag: Tag = None,
    group: Group = None,
    quiet: bool = False,
) -> int:
    """Write one self-contained HTML page: the pick, how sure, what it cost, and what to do next.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, or the URL of a W&B sweep or project.
        metric: The label-free metric that chooses, or any key that the runs logged; such a key needs a
            direction.
        oracle: The labelled metric that judges, or a key that the runs logged; without labels its parts of
            the page are absent.
        milestone: The epoch to choose at, or last.
        direction: Which way is better for the metric; None takes its own.
        allow_mixed: Compare runs that may not be compared, at your own risk.
        output: File to write.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
        quiet: Show no progress; warnings still come.
    """
    from selector.reports.html import page_of
    from selector.reports.report import report_of

    prog = "selector report"
    chosen, judge = named_label_free(metric, direction, prog), named_labelled(oracle, "max", prog)
    epoch = milestone_choice(milestone, prog)
    runs = read_runs(source, spectra=True, tag=tag, group=group, quiet=quiet)
    found = report_of(runs, chosen, judge, epoch, allow_mixed, direction)
    warn(found.warnings)
    page = page_of(found)
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from error
    print(f"{printable(str(output))} ({len(page.encode()) / 1e6:.1f} MB): open it in a browser")
    return 0
