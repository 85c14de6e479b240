"""What is read from a W&B server, and what becomes of bad days, against the backend on 127.0.0.1."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from loopback import API_KEY, Backend, Fault, Workplace

from selector.errors import UserError
from selector.runs import Last, Milestone, RunSet
from selector.tracking import api, connection
from selector.tracking.connection import Unreachable

pytestmark = pytest.mark.usefixtures("wandb_here")

Reader = Callable[..., RunSet]

DEFINITION = {"projector_dim": 128, "version": 1}
COMPLETED = {"completion/status": "completed", "completion/epoch": 10}
DIVERGED = {"completion/status": "diverged", "completion/epoch": 3}


def sweep_of(backend: Backend, runs: int, rows: int = 3, project: str = "p") -> str:
    """A random sweep; run r007 logs 7 at epoch 0, 8 at epoch 1, …"""
    sweep = backend.sweep(project, "method: random\nparameters: {lr: {values: [1]}}")
    for number in range(runs):
        history = [{"epoch": epoch, "label_free/rankme": number + epoch} for epoch in range(rows)]
        config = {"lr": number, "definition": DEFINITION}
        backend.run(project, f"r{number:03}", history, config, COMPLETED, sweep=sweep)
    return f"loopback/{project}/{sweep.name}"


def expected(number: int, rows: int = 3) -> tuple[Milestone, ...]:
    return tuple(Milestone(epoch, {"label_free/rankme": float(number + epoch)}) for epoch in range(rows))


def histories(found: RunSet) -> dict[str, tuple[Milestone, ...]]:
    return {run.id: run.milestones for run in found.runs}


def whole(runs: int, rows: int = 3) -> dict[str, tuple[Milestone, ...]]:
    return {f"r{number:03}": expected(number, rows) for number in range(runs)}


def lines(steps: range, width: int = 1) -> list[str]:
    return [json.dumps({"_step": width * step, "epoch": step, "v": step / 2}) for step in steps]


# What is read


def test_a_run_as_it_was_logged(backend: Backend, read: Reader):
    sweep = backend.sweep("p", "method: grid\nparameters: {lr: {values: [1, 2, 3]}}")
    rows = [
        {"epoch": 5, "label_free/rankme": 41, "nested": {"deep": 2.5}, "text": "word", "_runtime": 3.0},
        {"epoch": 0, "label_free/rankme": 7.5},
        {"epoch": 5, "labelled/knn_accuracy": 0.5},
    ]
    config = {"lr": 0.1, "nested": {"deep": [1, None]}, "definition": DEFINITION}
    summary = {**COMPLETED, "checkpoint": "runs/x/last.ckpt", "versions": "torch 9.8.7"}
    attributes = {"group": "g", "job_type": "train", "display_name": "é [b]", "tags": ["t", "ü"]}
    backend.run("p", "x", rows, config, summary, sweep=sweep, created=1767312000.75, **attributes)
    found = read(f"loopback/p/{sweep.name}")
    (run,) = found.runs
    assert (run.id, run.name, run.group, run.job_type) == ("x", "é [b]", "g", "train")
    assert (run.sweep_id, run.state, run.detail) == (sweep.name, "finished", "")
    assert (run.checkpoint, run.directory, run.versions) == ("runs/x/last.ckpt", None, "torch 9.8.7")
    assert run.config == {"lr": 0.1, "nested": {"deep": [1, None]}}
    assert (run.definition, run.counted_by) == (DEFINITION, "epoch")
    assert (run.tags, run.started) == (("t", "ü"), 1767312000.0)  # W&B gives whole seconds
    assert run.milestones == (
        Milestone(0, {"label_free/rankme": 7.5}),
        Milestone(5, {"label_free/rankme": 41.0, "nested.deep": 2.5, "labelled/knn_accuracy": 0.5}),
    )
    assert (found.source, found.unreadable, found.warnings) == (f"loopback/p/{sweep.name}", (), ())


@pytest.mark.parametrize(
    ("rows", "summary", "key", "expected"),
    [
        # The last row by _step counts, as W&B's own summary says: see test_history …
        ([{"epoch": 5, "s": 5.0}, {"epoch": 0, "s": 1.0}], {"s": 1.0}, "s", Last(1.0, 0)),
        # … but for what no row holds, and for what define_metric asks for.
        ([{"epoch": 3, "s": 2.0}], {"best": 0.5}, "best", Last(0.5, 3, "summary")),
        ([{"epoch": 1, "s": 8.0}, {"epoch": 2, "s": 2.0}], {"s": {"max": 8.0}}, "s", Last(8.0, 2, "max")),
    ],
)
def test_what_other_peoples_runs_achieved(
    backend: Backend,
    read: Reader,
    rows: list[dict[str, float]],
    summary: dict[str, Any],
    key: str,
    expected: Last,
):
    backend.run("p", "x", rows, summary=summary)
    found = read("loopback/p", keys=[key])
    assert found.runs[0].last[key] == expected
    assert found.runs[0].project == "p"
    said = {"": (), "summary": (f"{key} is read from W&B's summary, since no row holds it: x",)}
    assert found.warnings == said.get(expected.source, ("s is each run's max, as define_metric asks: x",))


@pytest.mark.parametrize(
    ("state", "summary", "definition", "expected_state", "detail"),
    [
        ("finished", COMPLETED, DEFINITION, "finished", ""),
        ("crashed", COMPLETED, DEFINITION, "finished", ""),
        ("failed", DIVERGED, DEFINITION, "diverged", "in epoch 3"),
        ("finished", {}, DEFINITION, "crashed", "interrupted?"),
        ("finished", {}, None, "finished", ""),
        ("running", {}, DEFINITION, "running", ""),
        ("pending", {}, None, "running", "waits for an agent"),
        ("preempted", {}, DEFINITION, "running", "resumes it"),
        ("killed", {}, DEFINITION, "stopped", "stopped by W&B"),
        ("failed", {}, None, "failed", "exit code not 0"),
        ("crashed", {}, None, "crashed", "heard no more"),
        ("\x1bnew", {}, None, "crashed", "W&B calls it ' new'"),
    ],
)
def test_states(
    backend: Backend,
    read: Reader,
    state: str,
    summary: dict[str, Any],
    definition: dict[str, Any] | None,
    expected_state: str,
    detail: str,
):
    config = {"definition": definition} if definition else {}
    backend.run("p", "x", [{"epoch": 1}], config, summary, state=state)
    (run,) = read("loopback/p").runs
    assert run.state == expected_state
    assert detail in run.detail
    assert bool(detail) == bool(run.detail)


def test_every_row_of_long_histories_in_few_requests(
    backend: Backend, read: Reader, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(api, "_SAMPLES", 2_000)
    monkeypatch.setattr(api, "_ROWS_OF_A_PAGE", 1_000)
    backend.store.most_samples = 1_100  # no answer of a server holds more rows
    sizes = {"short": (600, 1), "wide": (1_000, 16_384), "long": (2_600, 1), "long and wide": (2_600, 16_384)}
    for name, (rows, width) in sizes.items():
        backend.run("p", name, []).write_history(0, lines(range(rows), width))
    found = histories(read("loopback/p"))
    for name, (rows, _) in sizes.items():
        assert found[name] == tuple(Milestone(epoch, {"v": epoch / 2}) for epoch in range(rows))
    # One for each run of up to 2,000 rows; of the two longer ones pages of 1,000 rows, whatever their steps.
    asked = Counter(backend.requests)
    assert (asked["RunFullHistory"], asked["HistoryPage"]) == (2, 3 + 3)


def test_a_server_that_gives_fewer_rows_than_it_counts(backend: Backend, read: Reader):
    path = sweep_of(backend, 3, rows=20)
    backend.store.most_samples = 7  # more than these are thinned out, whoever asks
    found = read(path)
    # wandb's own scanner got no more, and so it is said.
    assert found.warnings == tuple(f"run r00{n}: W&B counts 20 history rows but gave 7" for n in range(3))


def test_sweep_group_tag_and_project(backend: Backend, read: Reader, monkeypatch: pytest.MonkeyPatch):
    sweep = backend.sweep("my p")
    backend.run("my p", "swept", [{"epoch": 1}], sweep=sweep, tags=["a", "b"])
    backend.run("my p", "grouped", [{"epoch": 1}], group="night", tags=["b"])
    backend.run("my p", "tables", [{"epoch": 1}], job_type="selection", tags=["a"])
    backend.run("other", "elsewhere", [{"epoch": 1}], group="night", tags=["b"])

    def ids(source: str, **keywords: str) -> list[str]:
        return [run.id for run in read(source, **keywords).runs]

    assert ids("loopback/my p") == ids("loopback/my p/") == ["grouped", "swept"]
    assert ids(f"loopback/my p/{sweep.name}") == ["swept"]
    assert ids(f"{backend.url}/loopback/my%20p/sweeps/{sweep.name}?workspace=x") == ["swept"]
    assert ids(f"{backend.url}/loopback/my%20p/groups/night/workspace") == ["grouped"]
    assert ids("loopback/my p", group="night") == ["grouped"]
    assert ids("loopback/my p", tag="a") == ["swept"]
    assert ids("loopback/my p", tag="b") == ["grouped", "swept"]
    with pytest.raises(
        UserError, match="project loopback/my p has no runs of group 'night' and tag 'a': che"
    ):
        read("loopback/my p", group="night", tag="a")
    monkeypatch.setenv("WANDB_PROJECT", "my p")
    assert ids(sweep.name) == ["swept"]  # of the entity whose key it is
    monkeypatch.setenv("WANDB_ENTITY", "loopback")
    assert ids(f"my p/{sweep.name}") == ["swept"]


@pytest.mark.parametrize(
    ("state", "cap", "command"),
    [
        ("RUNNING", 5, "wandb agent loopback/p/{name}"),
        ("PAUSED", 5, "wandb sweep --resume loopback/p/{name} && wandb agent loopback/p/{name}"),
        ("CANCELED", 5, ""),
        ("RUNNING", 2, ""),
        ("RUNNING", None, "wandb agent loopback/p/{name}"),
    ],
)
def test_what_is_planned_and_how_to_finish_it(
    backend: Backend, read: Reader, state: str, cap: int | None, command: str
):
    config = {"method": "random", "parameters": {"lr": {"values": [1]}}, **({"run_cap": cap} if cap else {})}
    sweep = backend.sweep("p", json.dumps(config))
    sweep.state = state
    for name in "ab":
        backend.run("p", name, [{"epoch": 1}], sweep=sweep)
    found = read(f"loopback/p/{sweep.name}")
    assert found.planned == cap
    assert found.finish_command == command.format(name=sweep.name)
    assert found.ended == (command == "")
    sweep.run_list[1].state = "running"
    assert not read(f"loopback/p/{sweep.name}").ended


# How much is asked for


def test_few_requests_and_progress(backend: Backend, read: Reader):
    path = sweep_of(backend, 120)
    for number in range(30):
        backend.run("p", f"foreign{number}", [{"epoch": 1, "accuracy": 0.5}], sweep=backend.sweep("p"))
    seen: list[tuple[int, int]] = []
    assert histories(read(path, progress=lambda done, total: seen.append((done, total)))) == whole(120)
    assert Counter(backend.requests) == {
        "Viewer": 2,
        "GetDefaultEntity": 1,
        "GetSweep": 1,
        "Runs": 2,
        "RunFullHistory": 120,
    }
    assert seen == [(done, 120) for done in range(1, 121)]
    # Runs that logged none of the keys are not read for nothing.
    found = histories(read("loopback/p", keys=["accuracy"]))
    assert (found["foreign0"], found["r000"]) == ((Milestone(1, {"accuracy": 0.5}),), ())
    assert Counter(backend.requests)["RunFullHistory"] == 30


def test_a_second_look_reads_only_what_changed(backend: Backend, read: Reader):
    path = sweep_of(backend, 60)
    known: dict[str, Any] = {}
    assert histories(read(path, known=known)) == whole(60)
    assert histories(read(path, known=known)) == whole(60)
    assert "RunFullHistory" not in backend.requests
    changed, old = (backend.project("p").bucket_by_name[name] for name in ("r007", "r008"))
    changed.write_history(3, [json.dumps({"_step": 3, "epoch": 3, "label_free/rankme": 99})])
    changed.display_name = "renamed"
    backend.store.delete_run(old)  # and made anew, at the same time
    new = backend.run("p", "r008", [{"epoch": e, "label_free/rankme": -e} for e in range(3)], sweep=old.sweep)
    new.created, new.heartbeat = old.created, old.heartbeat
    found = read(path, known=known)
    assert Counter(backend.requests)["RunFullHistory"] == 2
    assert histories(found)["r007"] == (*expected(7), Milestone(3, {"label_free/rankme": 99.0}))
    assert histories(found)["r008"][2] == Milestone(2, {"label_free/rankme": -2.0})
    assert next(run.name for run in found.runs if run.id == "r007") == "renamed"


# Bad days


@pytest.mark.parametrize("operation", ["GetSweep", "Runs", "RunFullHistory"])
@pytest.mark.parametrize("kind", ["rate_limit", "html", "drop", "truncate", "error", "slow"])
def test_what_goes_wrong_once_is_asked_for_again(backend: Backend, read: Reader, operation: str, kind: Any):
    path = sweep_of(backend, 3)
    fault = backend.fail(Fault(kind, operation, status=503, seconds=0.2))
    found = read(path)
    assert fault.hits == 1
    assert (histories(found), found.unreadable) == (whole(3), ())


def test_one_run_that_the_server_cannot_answer(backend: Backend, read: Reader):
    path = sweep_of(backend, 20)
    backend.fail(Fault("error", "RunFullHistory", times=None, status=400, mentions="r013"))
    found = read(path)
    assert histories(found) == {id: rows for id, rows in whole(20).items() if id != "r013"}
    (gone,) = found.unreadable
    assert (gone.run, gone.reason[:18]) == ("r013", "history not read: ")
    assert "something broke" in gone.reason
    backend.app.faults.clear()
    assert histories(read(path)) == whole(20)


@pytest.mark.parametrize(("kind", "said"), [("html", "invalid character '<'"), ("truncate", "unexpected")])
def test_a_list_that_breaks_off(backend: Backend, read: Reader, kind: Any, said: str):
    path = sweep_of(backend, 25)
    backend.store.page_limit = 10
    backend.fail(Fault(kind, "Runs", times=None, after=2))
    found = read(path)
    assert histories(found) == {id: rows for id, rows in whole(25).items() if id < "r020"}
    (rest,) = found.unreadable
    assert rest.run == "5 more of the 25 runs"
    assert rest.reason.startswith("the list broke off: ")
    assert said in rest.reason


def test_a_run_deleted_and_one_renamed_between_two_pages(backend: Backend, read: Reader):
    path = sweep_of(backend, 25)
    backend.store.page_limit = 10
    runs = backend.project("p").bucket_by_name

    def meanwhile() -> None:
        backend.store.delete_run(runs["r013"])
        runs["r012"].display_name = "renamed"

    backend.fail(Fault("call", "Runs", after=1, action=meanwhile))
    found = read(path)
    assert histories(found) == {id: rows for id, rows in whole(25).items() if id != "r013"}
    assert found.unreadable == ()
    assert next(run.name for run in found.runs if run.id == "r012") == "renamed"


def test_what_is_no_json_inside_an_answer(backend: Backend, read: Reader):
    path = sweep_of(backend, 25)
    backend.store.page_limit = 10
    runs = backend.project("p").bucket_by_name
    runs["r001"].lines[1] = "{broken"
    runs["r002"].lines[1] = "7"
    runs["r012"].config = "{broken"  # wandb's client then reads none of its page
    found = read(path)
    intact = {f"r{number:03}" for number in range(25)} - {f"r{number:03}" for number in range(10, 20)}
    assert set(histories(found)) == intact - {"r001", "r002"}
    first, second, third = found.unreadable
    assert first.run == "10 more of the 25 runs"
    assert (second.run, second.reason[:18]) == ("r001", "history not read: ")
    assert (third.run, third.reason) == ("r002", "a row of its history is not a JSON object")


# Online, W&B itself forgets the rows that a rewind takes back.
REWOUND = """
import wandb
for source, scores in ({"id": "w1"}, range(1, 6)), ({"resume_from": "w1?_step=1"}, (103, 104)):
    run = wandb.init(project="p", **source)
    for epoch, score in enumerate(scores, 1 + run.starting_step):
        run.log({"epoch": epoch, "score": score})
    run.finish()
"""


def test_rows_that_were_taken_back_are_gone(workplace: Workplace, read: Reader):
    workplace.end(workplace.start("-c", REWOUND))
    (run,) = read("loopback/p").runs
    assert [(m.epoch, m.values["score"]) for m in run.milestones] == [(1, 1), (2, 2), (3, 103), (4, 104)]
    assert run.last["score"] == Last(104.0, 4)
    assert run.state == "finished"


# What cannot be read at all: one line each


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "loopback/nowhere/abc",
            r"no project loopback/nowhere on http://127\.0\.0\.1:\d+, or no access to it",
        ),
        ("nobody/p", r"no project nobody/p on http"),
        ("loopback/p/abc", r"no sweep abc in loopback/p on http.*it was deleted, it has another id, or"),
        ("loopback/p", r"project loopback/p has no runs: check"),
        ("abc", r"'abc' is not a sweep or project: name a sweep as entity/project/sweep_id"),
    ],
)
def test_there_is_no_such_thing(backend: Backend, read: Reader, source: str, message: str):
    backend.project("p")
    with pytest.raises(UserError, match=message) as error:
        read(source)
    assert "\n" not in str(error.value)


def test_a_sweep_without_runs_and_one_that_was_deleted(backend: Backend, read: Reader):
    sweep = backend.sweep("p")
    path = f"loopback/p/{sweep.name}"
    with pytest.raises(api.NoRunsYet, match=f"{path} has no runs yet: start some with `wandb agent {path}`"):
        read(path)
    backend.store.delete_sweep(sweep)
    with pytest.raises(UserError, match="it was deleted"):
        read(path)


@pytest.mark.parametrize("answer", ["null", "7", "{}", '{"data": null}', '{"data": {}}', "<html>"])
@pytest.mark.parametrize("operation", ["Runs", "GetProject"])
def test_answers_that_are_no_answers(backend: Backend, read: Reader, operation: str, answer: str):
    sweep_of(backend, 1)
    backend.fail(Fault("text", operation, times=None, text=answer))
    with pytest.raises(
        UserError, match=r"cannot read loopback/p from http|no project loopback/p on"
    ) as error:
        read("loopback/p")
    assert "\n" not in str(error.value)


def test_a_server_that_is_not_there(
    backend: Backend, read: Reader, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(connection, "LOGIN_SECONDS", 1)
    path = sweep_of(backend, 1)
    backend.refuse()
    with pytest.raises(Unreachable, match=r"no answer from the W&B server http://.* within 1 s: ch") as error:
        read(path)
    assert "\n" not in str(error.value)
    assert API_KEY not in str(error.value) + "".join(capfd.readouterr())


@pytest.mark.usefixtures("logged_out")
@pytest.mark.parametrize("key", ["deadbeef" * 5, "short", "bad key!" * 6])
def test_a_wrong_key_is_never_shown(
    read: Reader, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], key: str
):
    monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(UserError, match="cannot log in to W&B at http") as error:
        read("loopback/p/abc")
    assert "\n" not in str(error.value)
    assert key not in str(error.value) + "".join(capfd.readouterr())


def test_a_key_is_sent_to_no_other_server(backend: Backend, read: Reader):
    with pytest.raises(UserError, match=r"the URL points to wandb\.ai, but wandb is set up for 127\.0\.0\.1"):
        read("https://wandb.ai/loopback/p/sweeps/abc")
    assert backend.requests == []
