import sys

import pytest
import yaml
from PIL import Image

from selector.cli import main
from selector.commands.init import sweep_for
from selector.errors import UserError
from selector.sweeping import check as module
from selector.sweeping.check import check

TINY = """
program: train.py
method: grid
parameters:
  dataset: {value: digits}
  train_images: {value: 128}
  batch_size: {value: 64}
  epochs: {value: 10}
  milestone_every: {value: 4}
  temperature: {values: [0.1, 0.5, 1.0]}
"""


def test_says_runs_what_varies_and_how_long_it_takes(sweep_file, folder, monkeypatch):
    # A step of 2 s: two steps per epoch and ten epochs are 40 s, three such runs two at a time 80 s.
    monkeypatch.setattr(module, "timed_step", lambda config: (2.0, 128))
    assert check(sweep_file(TINY), jobs=2) == [
        "grid: 3 runs",
        "temperature: 0.1, 0.5, 1.0",
        "one run: 20 steps of 2.0 s on this machine, about 40 s, and 4 milestones; timed with the first"
        " configuration",
        "the sweep, without its milestones: about 80 s",
    ]


def test_a_command_with_options_of_its_own_is_not_timed(sweep_file, folder):
    text = TINY.replace("temperature: {values: [0.1, 0.5, 1.0]}", "predictor_hidden: {value: 64}")
    command = "command: ['${interpreter}', '${program}', --method=simsiam, '${args}']\n"
    assert check(sweep_file(text + command))[-1] == "not timed: the command sets options of its own"


@pytest.mark.slow
def test_times_real_steps_from_any_folder_and_leaves_nothing_behind(sweep_file, folder, capsys):
    path = sweep_file(TINY)  # there is no train.py here
    assert main(["sweep", str(path), "--check"]) == 0
    assert "20 steps of " in capsys.readouterr().out
    assert [file.name for file in folder.iterdir()] == ["sweep.yaml"]


def test_a_false_that_the_command_would_leave_out_is_refused(sweep_file, folder):
    text = (
        TINY
        + "  labels: {value: false}\ncommand: ['${interpreter}', '${program}', '${args_no_boolean_flags}']\n"
    )
    with pytest.raises(UserError, match=r"line 11: train.py would use labels True, not False: .*\$\{args\}"):
        check(sweep_file(text))


@pytest.mark.parametrize(
    ("count", "side", "gpu", "cores", "expected", "jobs"),
    [
        # 1,600 train: batches of 128, 12 steps per epoch, 1,500 steps: 125 epochs, rounded to 120
        (2000, 300, False, 20, ("resnet-9", 48, 128, 120, 2), " --jobs 8"),
        (2000, 300, True, 20, ("resnet-18", 96, 256, 1000, 20), ""),
        (100, 28, False, 2, ("resnet-9", 24, 16, 300, 1), " --jobs 2"),
        (10**6, 64, True, 1, ("resnet-18", 64, 512, 10, 1), ""),
        (100, 28, False, 1, ("resnet-9", 24, 16, 300, 1), ""),
    ],
)
def test_a_sweep_is_sized_for_images_and_machine(tmp_path, count, side, gpu, cores, expected, jobs):
    text = sweep_for(tmp_path, count, side, gpu, cores)
    parameters = yaml.safe_load(text)["parameters"]
    named = ("backbone", "image_size", "batch_size", "epochs", "threads")
    assert tuple(parameters[name]["value"] for name in named) == expected
    assert f"--directory out{jobs} " in text
    assert int(jobs.split()[-1] if jobs else 1) * expected[-1] <= cores


def test_init_writes_a_sweep_that_check_explains(folder, monkeypatch, capsys):
    photos = folder / "it's my photos"
    photos.mkdir()
    for number in range(24):
        Image.new("RGB", (40, 60 + number), (number, 0, 0)).save(photos / f"{number}.jpg")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)  # not needed to count images
        assert main(["init", str(photos)]) == 0
    (folder / "photos.yaml").write_text(capsys.readouterr().out)
    monkeypatch.setattr(module, "timed_step", lambda config: (0.1, 19))
    lines = check(folder / "photos.yaml")
    assert lines[0] == "grid: 12 runs"
    assert not [line for line in lines if "warning" in line]
    assert main(["init", str(folder / "none")]) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_init_counts_what_train_py_reads(tmp_path, capsys):
    for number in range(24):
        (tmp_path / f"{number}.psd").touch()
        Image.new("L", (40, 60)).save(tmp_path / f"{number}.pgm")
    assert main(["init", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("# A sweep over 24 images of about 40 pixels")
