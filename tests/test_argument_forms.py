"""Every form in which W&B's agent or a person passes options. The agent's forms are those that wandb 0.31's
create_sweep_command_args makes."""

import json
import shlex
from typing import Literal

import pytest

from selector.argument_forms import expand
from selector.parameters import argument, parser_of, read

OPTIONS = {
    "method": Literal["a", "b"],
    "epochs": int,
    "clusters": int | None,
    "rate": float,
    "labels": bool,
    "skip_bad": bool,
    "where": str | None,
    "metric": tuple[str, ...],
}


def forms(*argv, agent=True):
    """What the words mean, by name."""
    sources = [] if agent else [argument("sources", tuple[str, ...], None, positional=True)]
    arguments = [*sources, *(argument(name, kind, None) for name, kind in OPTIONS.items())]
    return read(
        parser_of("prog", "", arguments, {}), expand(argv, OPTIONS, "prog", positional=not agent, agent=agent)
    )


def refusal(capsys, *argv, agent=True):
    with pytest.raises(SystemExit) as stop:
        forms(*argv, agent=agent)
    output = capsys.readouterr()
    assert (stop.value.code, output.out, output.err.count("\n")) == (2, "", 1)
    return output.err.strip()


def test_wandb_makes_these_forms():
    # From W&B itself, so that a change of its forms is seen here.
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    values = {"epochs": 3, "rate": 1e-05, "labels": False, "clusters": None, "method": "a"}
    made = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    for macro in (
        "args",
        "args_no_equals",
        "args_no_hyphens",
        "args_json",
        "args_append_hydra",
        "args_override_hydra",
    ):
        assert forms(*made[macro]) == values, macro
    true = create_sweep_command_args({"args": {"labels": {"value": True}, "skip_bad": {"value": False}}})
    assert forms(*true["args_no_boolean_flags"]) == {"labels": True}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--epochs 3", {"epochs": 3}),
        ("--epochs=3 --epochs 4", {"epochs": 4}),
        ("--skip-bad", {"skip_bad": True}),
        ("--skip_bad --epochs 3", {"skip_bad": True, "epochs": 3}),
        ("--no-labels", {"labels": False}),
        ("--labels False", {"labels": False}),
        ("--labels=false", {"labels": False}),
        ("--labels epochs=3", {"labels": True, "epochs": 3}),
        ("--clusters=null", {"clusters": None}),
        ("--where=null", {"where": None}),
        ("--epochs=64.0", {"epochs": 64}),
        ("--epochs -1", {"epochs": -1}),
        ("--rate=64.0", {"rate": 64.0}),
        ("--rate -1e-3", {"rate": -0.001}),
        ("--where=a=b", {"where": "a=b"}),
        ("--where a=b", {"where": "a=b"}),
        ("--where=--x", {"where": "--x"}),
        ("'where=a b'", {"where": "a b"}),
        ("--_wandb={} --epochs=3", {"epochs": 3}),
        ("", {}),
    ],
)
def test_forms(line, expected):
    assert forms(*shlex.split(line)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--metric a b source", {"metric": ("a", "b"), "sources": ("source",)}),
        ("--metric a b source --labels", {"metric": ("a", "b"), "sources": ("source",), "labels": True}),
        (
            "--metric a --metric b source --epochs=3",
            {"metric": ("a", "b"), "sources": ("source",), "epochs": 3},
        ),
        ("x --metric a --metric=b --epochs=3", {"metric": ("a", "b"), "sources": ("x",), "epochs": 3}),
        ("x y --metric a b", {"metric": ("a", "b"), "sources": ("x", "y")}),
        ("--epochs=3 -- --odd", {"epochs": 3, "sources": ("--odd",)}),
        ("a=b", {"sources": ("a=b",)}),
        ("'{\"epochs\": 3}'", {"sources": ('{"epochs": 3}',)}),
    ],
)
def test_several_values_and_sources(line, expected):
    assert forms(*shlex.split(line), agent=False) == expected


@pytest.mark.parametrize(
    "argv",
    [
        ['{"o": {"rate": 0.1, "deep": {"epochs": 2}}, "labels": true}'],
        ["--optimizer={'rate': 0.1, 'epochs': 2}", "--labels"],  # ${args} writes Python's own form
        ["--optimizer", "{'rate': 0.1}", "--epochs=2", "--labels=True"],
    ],
)
def test_nested_groups_are_merged(argv):
    assert forms(*argv) == {"rate": 0.1, "epochs": 2, "labels": True}


def test_a_json_file(tmp_path):
    file = tmp_path / "config-x.json"
    file.write_text(json.dumps({"epochs": 3, "clusters": None}))
    assert forms(str(file)) == {"epochs": 3, "clusters": None}
    assert forms(str(file), "--epochs=4") == {"epochs": 4, "clusters": None}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--epoch=3"], "unknown option --epoch, did you mean '--epochs'?"),
        (["--skip-bda"], "unknown option --skip-bda, did you mean '--skip-bad'?"),
        (["--zzz"], "unknown option --zzz (see"),
        (["zzz=3"], "unknown option --zzz (see"),
        (["--no-epochs"], "unknown option --no-epochs, did you mean '--epochs'?"),
        (["--epochs"], "--epochs needs a value"),
        (["--epochs", "--labels"], "--epochs needs a value"),
        (["stray"], "unexpected argument 'stray'; options are written --name value"),
        (['{"epochs": 3'], "is not a JSON object"),
        (['{"epochs": 3, "epochs": 4}'], "a name is given twice"),
        (['{"rate": 1, "group": {"rate": 2}}'], "rate is given twice"),
        (['{"group": {"rat": 2}}'], "unknown option --rat, did you mean '--rate'?"),
        (['{"group": {}}'], "unknown option --group"),
        (["--group={'rat': 2}"], "unknown option --rat, did you mean '--rate'?"),
        (["--group={1"], "--group is not a group of options"),
        (["--a\x1b[31mb\n"], "unknown option --a [31mb (see"),
    ],
)
def test_refusals(capsys, argv, said):
    assert said in refusal(capsys, *argv)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--group={'rate': 1}"], "unknown option --group"),
        (["x", "-v"], "unexpected argument '-v'"),
        (["--epochs=3"], "SOURCES is missing"),
    ],
)
def test_refusals_of_a_command(capsys, argv, said):
    assert said in refusal(capsys, *argv, agent=False)
