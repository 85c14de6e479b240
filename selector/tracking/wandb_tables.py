"""Logs a selector's tables, its charts and its decision to the run of job type `selection`."""

import tempfile

from selector.runs import SELECTION_JOB
from selector.text import printable
from selector.tracking.notes import DECISION, Notes
from selector.tracking.wandb_client import Unanswered


def log_tables(entity: str, project: str, run_id: str, name: str, notes: Notes) -> None:
    """Log tables and charts of some notes; the decision goes last, so that one that stands has them all.

    Args:
        entity: User or team.
        project: Its project.
        run_id: Of the run, which is made where it is not there yet.
        name: Its display name.
        notes: What to log.

    Raises:
        Unanswered: W&B refused the run.
    """
    import wandb
    from plotly.graph_objects import Figure

    quiet = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True)
    try:
        # Its files are of no use once they are sent: they go to a folder that does not stay.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            run = wandb.init(
                entity=entity,
                project=project,
                id=run_id,
                name=name,
                job_type=SELECTION_JOB,
                resume="allow",
                mode="online",
                dir=folder,
                settings=quiet,
            )
            tables = {
                name: wandb.Table(
                    list(table.columns), [list(row) for row in table.rows], allow_mixed_types=True
                )
                for name, table in notes.tables.items()
            }
            figures = {name: wandb.Plotly(Figure(figure)) for name, figure in notes.charts.items()}
            run.log({**tables, **figures})
            run.summary[DECISION] = notes.decision
            run.finish()
    except (wandb.errors.Error, OSError) as error:
        raise Unanswered("refused", " ".join(printable(str(error)).split())) from None
