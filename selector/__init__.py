"""Pick the best run of a self-supervised sweep without labels, and see what the choice cost.

    from selector import Encoder, MetricSettings, Milestones, Record, evaluate      # monitor any training
    from selector import rank, read_runs, regret                                    # choose
    from selector import load_encoder                                               # use the winner

Names are imported when they are first used: torch and Lightning take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selector.metrics.inputs import MetricSettings
    from selector.record import Record
    from selector.runs import read_source as read_runs
    from selector.selection.ranking import rank
    from selector.selection.regret import regret
    from selector.training.encoder import Encoder
    from selector.training.exported import load_encoder
    from selector.training.measuring import evaluate
    from selector.training.milestones import Milestones

__all__ = [
    "Encoder",
    "MetricSettings",
    "Milestones",
    "Record",
    "evaluate",
    "load_encoder",
    "rank",
    "read_runs",
    "regret",
]

_PLACES = {
    "Encoder": "selector.training.encoder.Encoder",
    "MetricSettings": "selector.metrics.inputs.MetricSettings",
    "Milestones": "selector.training.milestones.Milestones",
    "Record": "selector.record.Record",
    "evaluate": "selector.training.measuring.evaluate",
    "load_encoder": "selector.training.exported.load_encoder",
    "rank": "selector.selection.ranking.rank",
    "read_runs": "selector.runs.read_source",
    "regret": "selector.selection.regret.regret",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].rpartition(".")
    return getattr(import_module(module), attribute)
