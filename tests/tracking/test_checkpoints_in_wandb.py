"""A checkpoint fetched from W&B: one file of ours, whatever else somebody put beside it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from loopback import Backend

from selector.tracking.artifacts import WandbCheckpoints
from selector.training.run_folder import last_checkpoint


@pytest.mark.usefixtures("wandb_here")
def test_files_with_other_names_are_left_where_they_are(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "content").write_text("content")
    folder = tmp_path / "a" / "b" / "runs"
    monkeypatch.chdir(tmp_path)
    names = ["milestone-0003.ckpt", "more/last.ckpt", "milestone-0004.ckpt.exe", ".bashrc"]
    with wandb.init(project="p", id="r1", settings=wandb.Settings(silent=True)) as run:
        artifact = wandb.Artifact("model-r1", type="model")
        for name in names:
            artifact.add_file("content", name=name)
        run.log_artifact(artifact, aliases=["last"]).wait()
        entity = run.entity
    assert set(wandb.Api().artifact(f"{entity}/p/model-r1:last").manifest.entries) == set(names)
    places = []

    def noted(artifact: wandb.Artifact, place: str, **keywords: bool) -> str:
        places.append(Path(place).stat().st_mode & 0o777)
        return download(artifact, place, **keywords)

    download = wandb.Artifact.download
    monkeypatch.setattr(wandb.Artifact, "download", noted)
    checkpoints = WandbCheckpoints(SimpleNamespace(entity=entity, project="p", id="r1", resumed=True), "last")
    checkpoints.fetch(folder, last_checkpoint)
    assert [path.name for path in folder.iterdir()] == ["milestone-0003.ckpt"]
    assert places == [0o700]  # nobody else sees or changes what has not been looked at yet
    found = {path.name for path in tmp_path.rglob("*") if "wandb" not in path.parts[len(tmp_path.parts)]}
    assert found == {"content", "a", "b", "runs", "milestone-0003.ckpt"}
