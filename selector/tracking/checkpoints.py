"""A run's checkpoints in W&B: an artifact of type `model`, with a version for each milestone that is kept."""

import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import wandb

from selector.metrics.pooled import FINGERPRINT
from selector.text import printable

_OWN_ALIASES = {"latest", "last"}


class WandbCheckpoints:
    """Uploads and fetches the checkpoints of one run.

    The version of the latest checkpoint has the alias `last`, and that of a milestone `milestone-N`. With
    keep "last" older versions are deleted, unless someone gave them another alias.
    """

    def __init__(self, run: "wandb.Run", keep: Literal["last", "all"]) -> None:
        self.run, self._keep = run, keep
        self.path = f"{run.entity}/{run.project}/model-{run.id}"

    def upload(self, path: Path, *aliases: str) -> None:
        """Hand a checkpoint over to W&B, which copies it now and sends it while the training goes on."""
        artifact = wandb.Artifact(f"model-{self.run.id}", type="model")
        artifact.add_file(str(path), name=path.name, skip_cache=True)
        if (fingerprint := path.parent / FINGERPRINT).exists():
            artifact.add_file(str(fingerprint), name=FINGERPRINT, skip_cache=True)
        logged = self.run.log_artifact(artifact, aliases=["last", *aliases])
        if self._keep == "last":
            _in_background(lambda: self._delete_older(logged))

    def fetch(self, folder: Path, newest: Callable[[Path], Path | None]) -> None:
        """Put the version `last` of a run that worked elsewhere into a `folder` without checkpoints.

        Args:
            folder: Of the run.
            newest: Finds the latest checkpoint in a folder. A run that has none starts again.
        """
        if not self.run.resumed or newest(folder) is not None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            try:
                wandb.Api().artifact(f"{self.path}:last").download(place, skip_cache=True)
            except (wandb.Error, ValueError, OSError) as error:
                reason = printable((str(error).splitlines() or [""])[0])
                print(f"no checkpoint of this run here or in W&B ({reason}): it starts over", file=sys.stderr)
                return
            if (fetched := newest(Path(place))) is not None:
                fetched.rename(folder / fetched.name)

    def _delete_older(self, artifact: Any) -> None:
        artifact.wait()
        for version in list(wandb.Api().artifacts("model", self.path)):
            number = int(version.version.removeprefix("v"))
            foreign = {a for a in version.aliases if not a.startswith("milestone-")} - _OWN_ALIASES
            if number < int(artifact.version.removeprefix("v")) and not foreign:
                version.delete(delete_aliases=True)


def _in_background(work: Callable[[], None]) -> None:
    def attempt() -> None:
        with suppress(Exception):  # an older version that stays does no harm
            work()

    threading.Thread(target=attempt, daemon=True).start()
