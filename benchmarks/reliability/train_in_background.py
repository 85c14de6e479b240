"""train.py, its milestones evaluated by another process as where there is a GPU, but on any machine."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from selector.training import milestones

made = milestones.milestones_of


def in_background(*arguments: Any) -> milestones.Milestones:
    callback = made(*arguments)
    callback.in_background = True
    return callback


if __name__ == "__main__":
    milestones.milestones_of = in_background
    import train

    sys.exit(train.main())
