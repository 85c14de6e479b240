"""Names and values from a server or from files are data, whatever they hold, on every way out of here."""

import csv
import io
import json
import os
import re
import shlex
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from handmade import run, write_sweep

from selector.cli import main
from selector.export_file import write_records
from selector.runs import Milestone, RunSet

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\r\b\x00\x7f"
RIGHT_TO_LEFT = "\u202egnp.\u2066"
HOSTILE = {
    "parent": "../../x",
    "absolute": "/tmp/owned",
    "flag": "-rf",
    "shell": "$(touch owned); `touch owned` | touch owned & '\"",
    "escapes": f"a{ESCAPES}b",
    "lines": "one\ntwo\u2028three\n---\n- four: !!python/object/apply:os.system [touch owned]",
    "html": "</script><img src=x onerror=alert(1)><b>&amp;",
    "markup": "[red]x[/red][link=file:///etc]y[/link]",
    "latex": r"\input{/etc/passwd} \immediate\write18{touch owned} 50% $a_b^c$ # ~",
    "csv": '=HYPERLINK("http://x","y"),"; @SUM(1)',
    "bidi": f"b{RIGHT_TO_LEFT}d",
    "long": "n" * 10_000,
    "script": "实验 🧪 ünïcode عربي",
    "percent": "%s %n {0} {name}",
    "empty": " ",
}


def hostile_runs() -> list:
    """A run for each: as its id, name, group, tag, sweep, hyperparameter, checkpoint and software."""
    runs = []
    for number, (what, text) in enumerate(HOSTILE.items()):
        values = {"label_free/rankme": 10.0 + number, "labelled/linear_probe_accuracy": 0.5 + number / 50}
        values |= {"label_free/entropy": 3.0 - number / 10, f"foreign/{text}": float(number)}
        one = run(
            f"{text}-{number}",
            milestones=tuple(Milestone(epoch, values) for epoch in (0, 5, 10, 15)),
            name=text,
            learning_rate=0.1 + number,
            note=text,
            **{text: text},
        )
        one = replace(one, group=text, tags=(text,), checkpoint=text, detail=f"{what} {text}")
        runs.append(replace(one, sweep_id=text, job_type=f"train {text}", versions=text))
    crashed = replace(runs[4], id=f"crashed {HOSTILE['escapes']}", state="crashed")
    return [*runs, replace(crashed, config={**crashed.config, "learning_rate": 99.0})]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> str:
    text = write_records(RunSet("", tuple(hostile_runs())))
    # Checkpoints are left out of records; what else a hand could put there is put there.
    path = tmp_path_factory.mktemp("records") / f"a{RIGHT_TO_LEFT}.json"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Offline runs whose files lie where the file system lets them, and name themselves inside."""
    where = tmp_path_factory.mktemp("offline") / "-rf; $(touch owned) \x1b[31m<b>"
    runs = hostile_runs()
    safe = [replace(one, id=f"run{number}") for number, one in enumerate(runs)]
    return str(write_sweep(where, *safe))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory in an otherwise empty one, and a look whether anything else was written."""
    here = tmp_path / "above" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("COLUMNS", "80")
    yield here
    assert [path.name for path in tmp_path.iterdir()] == ["above"]
    assert [path.name for path in here.parent.iterdir()] == ["here"]
    assert not Path("/tmp/owned").exists()
    assert not list(here.rglob("owned*"))


def assert_plain(text: str, what: str) -> None:
    """No control character but line ends, and nothing that turns the direction of writing."""
    bad = {character for character in text if is_control(character)}
    assert not bad, f"{what}: {bad}"


def is_control(character: str) -> bool:
    if character in "\n":
        return False
    category = unicodedata.category(character)
    turns = re.fullmatch("(LR|RL)[EOI]|FSI|PD[FI]", unicodedata.bidirectional(character))
    return category in ("Cc", "Zl", "Zp") or turns is not None


COMMANDS = {
    "rank": ("rank",),
    "rank, a foreign key": ("rank", "--metric", f"foreign/{HOSTILE['markup']}", "--direction", "max"),
    "regret": ("regret",),
    "regret, csv": ("regret", "--metric", "rankme", "--oracle", "linear_probe_accuracy"),
    "correlate": ("correlate",),
    "correlate, csv": ("correlate", "--csv"),
    "correlate, LaTeX": ("correlate", "--latex"),
    "best": ("best",),
    "best, written": ("best", "--output", "best.yaml"),
    "report": ("report", "--output", "report.html"),
    "watch": ("watch", "--once"),
    "a group that is not there": ("rank", "--group", f"x{ESCAPES}"),
    "a metric that is not there": ("rank", "--metric", f"x{ESCAPES}", "--direction", "max"),
    "an epoch that is not there": ("rank", "--milestone", "99999"),
}
WITH_JSON = ("rank", "regret", "correlate", "best")


@pytest.mark.parametrize("source", ["records", "folder"])
@pytest.mark.parametrize("name", [*COMMANDS, *(f"{name} --json" for name in WITH_JSON)])
def test_what_is_printed(source: str, name: str, place: Path, capfd, request: pytest.FixtureRequest):
    where = request.getfixturevalue(source)
    command, *options = COMMANDS[name.removesuffix(" --json")]
    if name.endswith(" --json"):
        options.append("--json")
    status = main([command, where, *options])
    out, err = capfd.readouterr()
    assert status in (0, 1)
    assert "Traceback" not in err
    assert_plain(out, "stdout")
    assert_plain(err, "stderr")
    if status:
        assert err.count("\n") == err.count("selector: ")
    if name.endswith(" --json"):
        json.loads(out)


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("source", ["records", "folder"])
def test_best_is_yaml_and_its_command_one_shell_word_a_flag(
    source: str, what: str, tmp_path_factory: pytest.TempPathFactory, capfd
):
    runs = [one for one in hostile_runs() if one.name == HOSTILE[what] and one.state == "finished"]
    one = replace(runs[0], id="a", config={**runs[0].config, "data_dir": HOSTILE[what], "dataset": "folder"})
    where = tmp_path_factory.mktemp("best")
    if source == "folder":
        source = str(write_sweep(where, one))
    else:
        (where / "runs.json").write_text(write_records(RunSet("", (one,))), encoding="utf-8")
        source = str(where / "runs.json")
    assert main(["best", source]) == 0
    out = capfd.readouterr().out
    assert yaml.safe_load(out)["data_dir"] == HOSTILE[what]
    assert main(["best", source, "--json"]) == 0
    (best,) = json.loads(capfd.readouterr().out)["best"]
    assert f"--data-dir={HOSTILE[what]}" in shlex.split(best["command"])
    assert main(["best", source, "--output", "best.yaml"]) == 0
    assert_plain(capfd.readouterr().out, "stdout")
    assert yaml.safe_load(Path("best.yaml").read_text(encoding="utf-8"))["data_dir"] == HOSTILE[what]


def test_the_page_holds_no_markup_of_theirs(records: str, place: Path, capfd):
    assert main(["report", records, "--output", "report.html"]) == 0
    page = (place / "report.html").read_text(encoding="utf-8")
    for text in (HOSTILE["html"], "<img src=x", "</script><img"):
        assert text not in page
    assert "\x1b" not in page
    assert os.listdir(place) == ["report.html"]


@pytest.mark.parametrize("json_too", [False, True])
def test_pictures_stay_in_their_folder_and_none_takes_anothers_place(json_too: bool, place: Path, capfd):
    values = {"label_free/rankme": 1.0, "labelled/linear_probe_accuracy": 0.5}
    ids = ["../../x", "__/__/x", "/tmp/owned", "n" * 300 + "1", "n" * 300 + "2", HOSTILE["escapes"]]
    runs = [
        run(id, milestones=tuple(Milestone(n, values) for n in range(5)), name=HOSTILE["bidi"]) for id in ids
    ]
    Path("runs.json").write_text(write_records(RunSet("", tuple(runs))), encoding="utf-8")
    options = ("--metric", "rankme", "--output", "pictures", "--format", "svg", *["--json"] * json_too)
    assert main(["figures", "runs.json", *options]) == 0
    out, err = capfd.readouterr()
    assert_plain(out, "stdout")
    assert_plain(err, "stderr")
    assert len(list((place / "pictures").iterdir())) == len(ids)
    assert sorted(os.listdir(place)) == ["pictures", "runs.json"]


def test_export_keeps_them_as_they_are(folder: str, place: Path, capfd):
    assert main(["export", folder, "--output", "runs.json"]) == 0
    names = {one["name"] for one in json.loads((place / "runs.json").read_text(encoding="utf-8"))["runs"]}
    assert names == set(HOSTILE.values())


def test_a_table_for_spreadsheets_holds_no_formula(place: Path, capfd):
    values = {"label_free/rankme": 1.0, "labelled/linear_probe_accuracy": 0.5}
    rows = tuple(Milestone(epoch, values) for epoch in range(5))
    runs = [run(text, milestones=rows) for text in (HOSTILE["csv"], "@SUM(1)", "+1+1", "-2+3", "\t=1+1")]
    Path("runs.json").write_text(write_records(RunSet("", tuple(runs))), encoding="utf-8")
    assert main(["correlate", "runs.json", "--csv"]) == 0
    cells = [cell for row in csv.reader(io.StringIO(capfd.readouterr().out)) for cell in row]
    assert f"'{HOSTILE['csv']}" in cells
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "@")) or cell == "-2+3"]
