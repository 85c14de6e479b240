"""Training, and what anyone's training needs to log label-free metrics.

    from selector.training import Encoder, Milestones, MetricSettings, WandbLog

Names are imported when they are first used: torch and Lightning take seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selector.metrics.inputs import MetricSettings
    from selector.tracking.log import WandbLog
    from selector.training.encoder import Encoder
    from selector.training.milestones import Milestones

__all__ = ["Encoder", "MetricSettings", "Milestones", "WandbLog"]

_MODULE_OF = {
    "Encoder": "selector.training.encoder",
    "MetricSettings": "selector.metrics.inputs",
    "Milestones": "selector.training.milestones",
    "WandbLog": "selector.tracking.log",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
