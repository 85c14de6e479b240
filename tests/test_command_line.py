"""Command lines of train.py and of subcommands: what they mean, and the one line that a mistake gets."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import pytest

from selector.command_line import parse_command, parse_config
from selector.config import TrainConfig, paper_recipe
from selector.ranges import Shown
from selector.training.methods import METHODS


def refusal(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        parse_config(argv)
    output = capsys.readouterr()
    assert (stop.value.code, output.out, output.err.count("\n")) == (2, "", 1)
    return output.err.strip()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["--method={}", "--method {}", "method={}", '{{"method":"{}"}}'])
def test_the_method_brings_its_recipe(method, form):
    assert parse_config(form.format(method).split()) == paper_recipe(method)


def test_values_over_the_recipe_in_every_form(tmp_path):
    values = {
        "method": "moco_v2",
        "queue_size": 128,
        "learning_rate": 0.05,
        "labels": False,
        "clusters": 12,
        "skip_bad_images": True,
        "precision": "bf16",
        "data_dir": "a b=c",
    }
    expected = TrainConfig(**{**asdict(paper_recipe("moco_v2")), **values})
    file = tmp_path / "config.json"
    file.write_text(json.dumps(values))
    for argv in (
        [f"--{name}={value}" for name, value in values.items()],
        [f"--{name.replace('_', '-')}={value}" for name, value in values.items()],
        [part for name, value in values.items() for part in (f"--{name}", str(value))],
        [f"{name}={value}" for name, value in values.items()],
        [json.dumps(values)],
        [str(file)],
    ):
        assert parse_config(argv) == expected


def test_every_field_takes_its_own_value_back():
    for method in METHODS:
        recipe = paper_recipe(method)
        assert parse_config([f"--{name}={value}" for name, value in asdict(recipe).items()]) == recipe


@pytest.mark.parametrize(
    "form", ["--pixel-range -1024 -24.5", "--pixel_range=[-1024, -24.5]", "--pixel-range=(-1024.0,-24.5)"]
)
def test_two_numbers(form):
    argv = form.split() if "=" not in form else [form]
    assert parse_config([*argv, "--seed", "3"]).pixel_range == (-1024.0, -24.5)
    assert parse_config(["--seed", "3", "--pixel-range", "None", "--no-labels"]).pixel_range is None


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--learnin-rate=0.5"], "train.py: unknown option --learnin-rate, did you mean '--learning-rate'?"),
        (
            ["--dataset=cifr10"],
            "--dataset cannot be 'cifr10', did you mean 'cifar10'? (one of cifar10, cifar100,",
        ),
        (
            ["--method", "simsam"],
            "--method cannot be 'simsam', did you mean 'simsiam'? (one of byol, moco_v2, simclr,",
        ),
        (["--method"], "--method needs a value"),
        (["--labels=yes"], "--labels cannot be 'yes' (one of True, False)"),
        (["--epochs=abc"], "--epochs must be a whole number, got 'abc'"),
        (["--epochs=1.5"], "--epochs must be a whole number, got '1.5'"),
        (["--learning-rate=fast"], "--learning-rate must be a number, got 'fast'"),
        (["--clusters=x"], "--clusters must be a whole number or None, got 'x'"),
        (["--temperature=warm"], "--temperature must be a number or None, got 'warm'"),
        (["--learning-rate=None"], "--learning-rate must be a number, got 'None'"),
        (["--epochs=0"], "train.py: epochs must be greater than 0, got 0 (see train.py --help)"),
        (["--epochs=-3"], "epochs must be greater than 0, got -3"),
        (["--temperature=-1"], "temperature must be greater than 0, got -1.0"),
        (["--learning-rate=inf"], "learning_rate must be finite, got inf"),
        (["--batch-size=1"], "batch_size must be at least 2, got 1"),
        (["--backbone-width=0.01"], "backbone_width must be at least 0.015625, got 0.01"),
        (["--seed=18446744073709551616"], "seed must be below 9223372036854775808"),
        (["--method=moco_v2", "--batch-size=8"], "batch_norm_splits 8 leave one image per part of the batch"),
        (
            ["--method=simsiam", "--temperature=0.5"],
            "temperature has no effect on simsiam; it belongs to moco_v2 and simclr",
        ),
        (["--dataset=cifar10"], "data set cifar10 needs --data-dir"),
        (["x" * 300 + " y"], "unexpected argument"),
        (["--dataset", "a" * 200], "a" * 200),  # nothing is wrapped or cut
        (["--pixel-range", "9", "3"], "pixel_range must be two rising numbers, got (9.0, 3.0)"),
        (["--pixel-range", "9"], "--pixel-range"),
        (["--probe=paper", "--channels=13"], "probe paper augments colour images, channels is 13: use fast"),
        (["-x"], "unexpected argument '-x'"),
    ],
)
def test_a_mistake_is_one_line(capsys, argv, said):
    assert said in refusal(capsys, *argv)


def test_help_shows_the_methods_own_recipe(capsys):
    for argv, rate in ((["--help"], "0.5"), (["--method=simsiam", "--help"], "0.06")):
        with pytest.raises(SystemExit) as stop:
            parse_config(argv)
        assert stop.value.code == 0
        text = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert f"used as given: not scaled by the batch size. (default: {rate})" in text


def test_a_file_of_settings(capsys, tmp_path):
    file = tmp_path / "best.yaml"
    file.write_text("# run a\nmethod: simsiam\nlearning_rate: 0.3\ntemperature: null\n")
    for argv, rate in (
        ([f"--config={file}"], 0.3),
        (["--config", str(file), "--learning-rate=0.7"], 0.7),  # what stands last counts
        (["--learning-rate=0.7", "--config", str(file)], 0.3),
    ):
        config = parse_config(argv)
        assert (config.method, config.learning_rate) == ("simsiam", rate)
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "odd.yaml").write_text("leaning_rate: 1")
    for name, said in (
        ("gone.yaml", "gone.yaml cannot be read"),
        ("list.yaml", "list.yaml holds no settings"),
        ("odd.yaml", "unknown option --leaning_rate, did you mean '--learning-rate'?"),
    ):
        assert said in refusal(capsys, f"--config={tmp_path / name}")
    assert "--config needs the name of a YAML file" in refusal(capsys, "--config")


# Subcommands


def weigh(
    what: Annotated[str, Shown("WHAT")],
    /,
    *,
    unit: Literal["g", "kg"] = "g",
    json: bool = False,
    also: tuple[str, ...] = (),
) -> str:
    """Weigh something.

    Args:
        what: The thing.
        unit: Its unit.
        json: As JSON.
        also: Other things.
    """
    if what == "bug":
        raise ValueError("a bug of ours")
    return f"{what} {unit} {json} {also}"


def count(*, to: int | None = None, where: Path = Path("x")) -> str:
    """Count."""
    return f"{to} {where}"


COMMANDS = {"weigh": weigh, "count": count}


def command(*argv):
    return parse_command(COMMANDS, argv, "prog", "What it is.")()


def test_subcommands():
    assert command("weigh", "tea") == "tea g False ()"
    assert command("weigh", "--json", "tea", "--unit=kg") == "tea kg True ()"
    assert command("weigh", "tea", "--no-json") == "tea g False ()"
    assert command("weigh", "tea", "--json=True") == "tea g True ()"
    assert command("weigh", "tea", "--also", "a", "b") == "tea g False ('a', 'b')"
    assert command("weigh", "tea", "--also", "a", "--also", "b") == "tea g False ('a', 'b')"
    assert command("weigh", "--also", "a", "b", "tea") == "tea g False ('a', 'b')"
    assert command("count", "--to=3", "--where", "a/b") == "3 a/b"
    assert command("count") == "None x"


def test_parsing_does_not_run_the_command():
    run = parse_command(COMMANDS, ["weigh", "bug"], "prog", "")
    with pytest.raises(ValueError, match="a bug of ours"):  # no usage error of the user's
        run()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "prog: name a command: weigh, count (see prog --help)"),
        (["wiegh"], "prog: unknown command 'wiegh', did you mean 'weigh'?"),
        (["weigh"], "prog weigh: WHAT is missing"),
        (["weigh", "a", "b"], "prog weigh: unexpected argument 'b'"),
        (["weigh", "a", "--unti=g"], "prog weigh: unknown option --unti, did you mean '--unit'?"),
        (["weigh", "a", "--unit=mg"], "prog weigh: --unit cannot be 'mg', did you mean 'g'? (one of g, kg)"),
        (["weigh", "a", "--to=3"], "prog weigh: unknown option --to"),
        (["count", "--to=x"], "prog count: --to must be a whole number or None, got 'x'"),
        (["--json"], "prog: unknown command '--json'"),
        (["--verison"], "prog: unknown command '--verison', did you mean '--version'?"),
        (["help", "wiegh"], "prog: unknown command 'wiegh', did you mean 'weigh'?"),
    ],
)
def test_wrong_subcommands_are_one_line(capsys, argv, said):
    with pytest.raises(SystemExit) as stop:
        command(*argv)
    output = capsys.readouterr()
    assert (stop.value.code, output.out, output.err.count("\n")) == (2, "", 1)
    assert said in output.err


def test_help_of_commands(capsys):
    for argv, said in (
        (["--help"], "What it is."),
        (["help"], "What it is."),
        (["weigh", "--help"], "The thing."),
        (["help", "weigh"], "The thing."),
    ):
        with pytest.raises(SystemExit) as stop:
            command(*argv)
        assert stop.value.code == 0
        assert said in capsys.readouterr().out


def test_the_overview_fits_the_terminal_and_names_every_command(capsys, monkeypatch):
    from selector.cli import COMMANDS as OURS, main

    for columns in (80, 50, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as stop:
            main(["--help"])
        lines = capsys.readouterr().out.splitlines()
        assert stop.value.code == 0
        assert max(map(len, lines)) <= min(columns, 80)
        assert {name for name in OURS if any(line.startswith(f"  {name} ") for line in lines)} == set(OURS)


@pytest.mark.parametrize("columns", [60, 80])
def test_help_fits_the_terminal(capsys, monkeypatch, columns):
    from selector.cli import COMMANDS as OURS, main

    monkeypatch.setenv("COLUMNS", str(columns))
    for name in OURS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        text = capsys.readouterr().out
        assert text.startswith(f"usage: selector {name} ")
        assert max(map(len, text.splitlines())) <= columns, name
        assert "Args:" not in text, name


def test_bash_completes_commands_and_options_with_the_printed_script(capsys):
    import shutil

    from selector.cli import main

    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")

    def completed(*words):
        quoted = " ".join(f"'{word}'" for word in words)
        ask = f'COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _selector; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run([bash, "-c", script + "\n" + ask], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert completed("selector", "reg") == ["regret"]
    assert "--oracle" in completed("selector", "regret", "--or")
    registered = subprocess.run(
        [bash, "-c", script + "\ncomplete -p selector"], capture_output=True, text=True, check=True
    )
    # Files where it knows nothing, as of a SOURCE.
    assert registered.stdout == "complete -o default -F _selector selector\n"
