"""A run's checkpoints in W&B: an artifact of type `model`, with a version for each milestone that is kept."""

import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from selector.errors import UserError
from selector.metrics.pooled import FINGERPRINT
from selector.text import first_line, printable

if TYPE_CHECKING:
    import wandb

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
        import wandb

        artifact = wandb.Artifact(f"model-{self.run.id}", type="model")
        artifact.add_file(str(path), name=path.name, skip_cache=True)
        if (fingerprint := path.parent / FINGERPRINT).exists():
            artifact.add_file(str(fingerprint), name=FINGERPRINT, skip_cache=True)
        logged = self.run.log_artifact(artifact, aliases=["last", *aliases])
        if self._keep == "last":
            threading.Thread(target=self._delete_older, args=[logged], daemon=True).start()

    def fetch(self, folder: Path, newest: Callable[[Path], Path | None]) -> None:
        """Put the version `last` of a run that worked elsewhere into a `folder` without checkpoints.

        Args:
            folder: Of the run.
            newest: Finds the latest checkpoint in a folder. A run that has none starts again.
        """
        if not self.run.resumed or newest(folder) is not None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _downloaded(f"{self.path}:last", folder) as place:
                if (fetched := newest(place)) is not None:
                    fetched.rename(folder / fetched.name)
        except NoArtifact as error:
            print(f"no checkpoint of this run here or in W&B ({error}): it starts over", file=sys.stderr)

    def _delete_older(self, artifact: Any) -> None:
        import wandb

        with suppress(Exception):  # an older version that stays does no harm
            artifact.wait()
            for version in list(wandb.Api().artifacts("model", self.path)):
                number = int(version.version.removeprefix("v"))
                foreign = {a for a in version.aliases if not a.startswith("milestone-")} - _OWN_ALIASES
                if number < int(artifact.version.removeprefix("v")) and not foreign:
                    version.delete(delete_aliases=True)


class NoArtifact(Exception):
    """W&B has no such artifact, or cannot be reached; the text is one line."""


@contextmanager
def _downloaded(path: str, beside: Path | None = None) -> Iterator[Path]:
    """A temporary folder, `beside` other files, that holds an artifact for as long as the context lasts."""
    import wandb

    with tempfile.TemporaryDirectory(dir=beside) as folder:
        try:
            wandb.Api().artifact(path).download(folder, skip_cache=True)
        except (wandb.Error, ValueError, OSError) as error:
            raise NoArtifact(printable(first_line(error))) from error
        yield Path(folder)


def fetched_file(path: str, name: str) -> bytes | None:
    """One file of an artifact, or None where there is no such artifact or file.

    Args:
        path: entity/project/model-RUN:ALIAS.
        name: Of the file.
    """
    import wandb

    with tempfile.TemporaryDirectory() as folder:
        try:
            entry = wandb.Api().artifact(path).get_entry(name)
            return Path(entry.download(folder, skip_cache=True)).read_bytes()
        except (wandb.Error, ValueError, OSError, KeyError):
            return None


@contextmanager
def fetched_checkpoint(path: str) -> Iterator[Path]:
    """The last milestone's checkpoint in an artifact, downloaded for as long as the context lasts.

    Args:
        path: entity/project/model-RUN:ALIAS.

    Raises:
        UserError: There is no such artifact, or no checkpoint in it.
    """
    try:
        with _downloaded(path) as folder:
            milestones = sorted(folder.glob("milestone-*.ckpt"))
            if not milestones:
                raise UserError(f"artifact {printable(path)!r} holds no milestone-*.ckpt of train.py")
            yield milestones[-1]
    except NoArtifact as error:
        raise UserError(
            f"artifact {printable(path)!r} cannot be fetched from W&B ({error}):"
            " name it as entity/project/model-RUN:ALIAS"
        ) from error
