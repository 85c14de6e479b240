import json
import math
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb
from loopback import API_KEY, Backend, Fault
from wandb.sdk.lib import wbauth

from selector.errors import UserError
from selector.runs import Milestone, RunSet, Unreadable
from selector.tracking.wandb_api import read_wandb
from selector.tracking.wandb_client import Patience

pytestmark = pytest.mark.usefixtures("wandb_here")

DEFINITION = {"projector_dim": 128, "version": 1}
COMPLETED = {"completion/status": "completed", "completion/epoch": 10}
DIVERGED = {"completion/status": "diverged", "completion/epoch": 3}


@pytest.fixture
def read(backend: Backend, tmp_path: Path) -> Callable[..., RunSet]:
    """read_wandb with a cache of its own."""

    def read(source: str, **keywords: Any) -> RunSet:
        backend.requests.clear()
        patience = Patience(garbled=(0.01, 0.01))
        return read_wandb(source, **{"cache": tmp_path / "cache", "patience": patience, **keywords})

    return read


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


# What is read


def test_a_run_as_it_was_logged(backend: Backend, read: Callable[..., RunSet]):
    sweep = backend.sweep("p", "method: grid\nparameters: {lr: {values: [1, 2, 3]}}")
    rows = [
        {"epoch": 5, "label_free/rankme": 41, "nested": {"deep": 2.5}, "text": "word", "_runtime": 3.0},
        {"epoch": 0, "label_free/rankme": 7.5},
        {"epoch": 5, "labelled/knn_accuracy": 0.5},
    ]
    config = {"lr": 0.1, "nested": {"value": [1, None]}, "definition": DEFINITION}
    summary = {**COMPLETED, "checkpoint": "runs/x/last.ckpt", "versions": "torch 9.8.7"}
    backend.run(
        "p", "x", rows, config, summary, sweep=sweep, group="g", job_type="train", display_name="é [b]",
        tags=["t", "ü"], created=1767312000.75,
    )  # fmt: skip
    found = read(f"loopback/p/{sweep.name}")
    (run,) = found.runs
    assert (run.id, run.name, run.group, run.job_type, run.sweep_id) == (
        "x",
        "é [b]",
        "g",
        "train",
        sweep.name,
    )
    assert (run.state, run.detail, run.checkpoint, run.directory) == (
        "finished",
        "",
        "runs/x/last.ckpt",
        None,
    )
    assert run.config == {"lr": 0.1, "nested": {"value": [1, None]}}
    assert run.definition == DEFINITION
    assert run.counted_by == "epoch"
    assert run.versions == "torch 9.8.7"
    assert (run.tags, run.started) == (("t", "ü"), 1767312000.0)  # W&B gives whole seconds
    assert run.milestones == (
        Milestone(0, {"label_free/rankme": 7.5}),
        Milestone(5, {"label_free/rankme": 41.0, "nested.deep": 2.5, "labelled/knn_accuracy": 0.5}),
    )
    assert found.source == f"loopback/p/{sweep.name}"
    assert (found.unreadable, found.warnings) == ((), ())


def test_numbers_that_are_not_finite(backend: Backend, read: Callable[..., RunSet]):
    run = backend.run("p", "x", [])
    run.write_history(
        0,
        ['{"_step": 0, "epoch": 1, "a": NaN, "b": -Infinity, "c": "NaN", "d": "Infinity", "e": "-Infinity"}'],
    )
    (milestone,) = read("loopback/p").runs[0].milestones
    values = dict(milestone.values)
    assert math.isnan(values.pop("a"))
    assert math.isnan(values.pop("c"))
    assert values == {"b": -math.inf, "d": math.inf, "e": -math.inf}


def test_runs_without_epochs_are_counted_by_steps(backend: Backend, read: Callable[..., RunSet]):
    backend.run("p", "x", [{"loss": 3.0}, {"loss": 2.0}])
    found = read("loopback/p")
    assert found.runs[0].counted_by == "_step"
    assert found.runs[0].milestones == (Milestone(0, {"loss": 3.0}), Milestone(1, {"loss": 2.0}))
    assert found.warnings == ("1 runs log no epoch; their milestones are numbered by _step: x",)


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
)  # fmt: skip
def test_states(
    backend: Backend,
    read: Callable[..., RunSet],
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


def test_every_row_of_a_long_history_and_never_samples(backend: Backend, read: Callable[..., RunSet]):
    # W&B thins out at 500 rows where it is not asked for a range, and one answer carries 5,000 at most.
    sweep = backend.sweep("p")
    for name, rows in (("short", 1200), ("long", 6000)):
        backend.run("p", name, [{"epoch": epoch, "v": epoch / 2} for epoch in range(rows)], sweep=sweep)
    gaps = backend.run("p", "gaps", [], sweep=sweep)
    gaps.write_history(0, [json.dumps({"_step": 50_000 * e, "epoch": e, "v": e / 2}) for e in range(60)])
    found = histories(read(f"loopback/p/{sweep.name}"))
    for name, rows in (("short", 1200), ("long", 6000), ("gaps", 60)):
        assert found[name] == tuple(Milestone(epoch, {"v": epoch / 2}) for epoch in range(rows))
    # The long one alone was left to wandb's own scanner, which pages it by thousands.
    assert backend.requests.count("HistoryPage") == 6


def test_a_server_that_gives_fewer_rows_than_it_counts(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 3, rows=20)
    backend.store.most_samples = 7  # more than these are thinned out, whoever asks
    found = read(path)
    # wandb's own scanner got no more, and so it is said.
    assert found.warnings == tuple(f"run r00{n}: W&B counts 20 history rows and gave 7" for n in range(3))
    backend.store.most_samples = 100_000
    assert histories(read(path)) == whole(3, rows=20)  # and it was not kept in the cache


def with_spectra(backend: Backend) -> str:
    """Three runs as train.py logs them: the untrained network has no loss, and each milestone a spectrum."""
    sweep = backend.sweep("p")
    for name in "abc":
        rows: list[dict[str, Any]] = [
            {"epoch": epoch, "rank": math.nan if epoch == 1 else epoch / 2, "train/loss": 1.0 / (epoch + 1),
             "spectrum/projector": [1.0, epoch / 4], "_runtime": 1.0}
            for epoch in range(3)
        ]  # fmt: skip
        del rows[0]["train/loss"]
        backend.run("p", name, rows, summary=COMPLETED, sweep=sweep)
    return f"loopback/p/{sweep.name}"


@pytest.mark.parametrize("counts_keys", [True, False])
def test_spectra_are_read_when_asked_for_and_else_not_even_sent(
    backend: Backend, read: Callable[..., RunSet], counts_keys: bool
):
    path = with_spectra(backend)
    backend.store.counts_keys = counts_keys
    backend.fail(Fault("error", "HistoryPage", times=None))  # nothing is left to wandb's own scanner
    backend.fail(Fault("error", "SelectorHistories", times=None, mentions="history: history("))
    for run in read(path).runs:
        first, second, third = run.milestones
        assert (first.values, third.values) == ({"rank": 0.0}, {"rank": 1.0, "train/loss": 1 / 3})
        assert math.isnan(second.values["rank"])
        assert second.values["train/loss"] == 0.5
        assert run.milestones[1].lists == {}
    backend.app.faults.clear()
    found = read(path, spectra=True)
    assert [m.lists for m in found.runs[2].milestones] == [
        {"spectrum/projector": (1.0, epoch / 4)} for epoch in range(3)
    ]
    assert found.runs[2].milestones[2].values == {"rank": 1.0, "train/loss": 1 / 3}
    assert read(path).runs[0].milestones[2].lists == {}


def test_whole_rows_where_too_many_keys_are_logged_now_and_then(
    backend: Backend, read: Callable[..., RunSet]
):
    sweep = backend.sweep("p")
    rows = [{"epoch": epoch, f"now/{epoch}": 1.0, "spectrum/x": [1.0]} for epoch in range(9)]
    backend.run("p", "x", rows, sweep=sweep)
    (run,) = read(f"loopback/p/{sweep.name}").runs
    assert run.milestones == tuple(Milestone(epoch, {f"now/{epoch}": 1.0}) for epoch in range(9))


def test_a_server_that_miscounts_its_keys(backend: Backend, read: Callable[..., RunSet]):
    path = with_spectra(backend)
    lacking = backend.project("p").bucket_by_name["b"]
    assert lacking.history_keys
    lacking.key_counts.update({"train/loss": 1})  # 3, as if each row had one
    keys = [sorted(milestone.values) for milestone in histories(read(path))["b"]]
    assert keys == [["rank"], ["rank", "train/loss"], ["rank", "train/loss"]]


# Where from


def test_sweep_group_tag_and_project(backend: Backend, read: Callable[..., RunSet]):
    sweep = backend.sweep("p")
    backend.run("p", "swept", [{"epoch": 1}], sweep=sweep, tags=["a", "b"])
    backend.run("p", "grouped", [{"epoch": 1}], group="night", tags=["b"])
    backend.run("other", "elsewhere", [{"epoch": 1}], group="night", tags=["b"])

    def ids(source: str, **keywords: str) -> list[str]:
        return [run.id for run in read(source, **keywords).runs]

    assert ids("loopback/p") == ["grouped", "swept"]
    assert ids(f"loopback/p/{sweep.name}") == ["swept"]
    assert ids(f"{backend.url}/loopback/p/sweeps/{sweep.name}?workspace=x") == ["swept"]
    assert ids(f"{backend.url}/loopback/p/groups/night/workspace") == ["grouped"]
    assert ids("loopback/p", group="night") == ["grouped"]
    assert ids("loopback/p", tag="a") == ["swept"]
    assert ids("loopback/p", tag="b") == ["grouped", "swept"]
    backend.run("p", "tables", [{"epoch": 1}], job_type="selection", tags=["a"])
    assert ids("loopback/p", tag="a") == ["swept"]
    with pytest.raises(UserError, match="project loopback/p has no runs of group 'night' and tag 'a': check"):
        read("loopback/p", group="night", tag="a")


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
    backend: Backend, read: Callable[..., RunSet], state: str, cap: int | None, command: str
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


def test_foreign_runs_are_not_read_for_nothing(backend: Backend, read: Callable[..., RunSet]):
    for number in range(300):
        backend.run("p", f"f{number:03}", [{"epoch": 1, "accuracy": 0.5}])
    backend.run("p", "ours", [{"epoch": 1, "label_free/rankme": 2}])
    found = histories(read("loopback/p", keys=["label_free/rankme"]))
    assert len(found) == 301
    assert found["ours"] == (Milestone(1, {"label_free/rankme": 2.0}),)
    assert found["f000"] == ()
    assert backend.requests.count("SelectorHistories") == 1


# How much is asked for


def test_few_requests_and_progress(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 120)
    seen: list[tuple[int, int]] = []
    assert histories(read(path, progress=lambda done, total: seen.append((done, total)))) == whole(120)
    # Login, sweep, one page of the list, histories of 50 + 50 + 20 runs.
    assert sorted(backend.requests) == ["SelectorHistories"] * 3 + [
        "SelectorRuns",
        "SelectorSource",
        "Viewer",
    ]
    assert (seen[0], seen[-1]) == ((0, 120), (120, 120))
    assert seen == sorted(seen)


def test_a_server_that_pages_in_tens(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 35)
    backend.store.page_limit = 10
    assert histories(read(path)) == whole(35)


def test_only_what_changed_is_read_again(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 60)
    first = read(path)
    assert histories(read(path)) == histories(first) == whole(60)
    assert "SelectorHistories" not in backend.requests
    changed = backend.project("p").bucket_by_name["r007"]
    changed.write_history(3, [json.dumps({"_step": 3, "epoch": 3, "label_free/rankme": 99})])
    changed.display_name, changed.tags = "renamed", ["new"]
    found = read(path)
    assert backend.requests.count("SelectorHistories") == 1
    assert histories(found) == whole(60) | {"r007": (*expected(7), Milestone(3, {"label_free/rankme": 99.0}))}
    assert next(run.name for run in found.runs if run.id == "r007") == "renamed"


def test_what_was_read_before_an_interruption_is_kept(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 120)

    def interrupt(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(path, progress=interrupt)
    for thread in threading.enumerate():  # what was under way when it came is still answered, and counted
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join()
    assert histories(read(path)) == whole(120)
    assert backend.requests.count("SelectorHistories") < 3


def test_a_run_made_anew_under_its_id_is_another(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 2)
    read(path)
    old = backend.project("p").bucket_by_name["r001"]
    backend.store.delete_run(old)
    new = backend.run("p", "r001", [{"epoch": e, "label_free/rankme": -e} for e in range(3)], sweep=old.sweep)
    new.created, new.heartbeat = old.created, old.heartbeat
    assert histories(read(path))["r001"][2] == Milestone(2, {"label_free/rankme": -2.0})


def test_without_the_cache(backend: Backend, read: Callable[..., RunSet], tmp_path: Path):
    path = sweep_of(backend, 2)
    for _ in range(2):
        assert histories(read(path, use_cache=False)) == whole(2)
        assert "SelectorHistories" in backend.requests
    assert not (tmp_path / "cache").exists()


# Bad days


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("SelectorSource", "rate_limit"),
        ("SelectorSource", "html"),
        ("SelectorRuns", "drop"),
        ("SelectorRuns", "rate_limit"),
        ("SelectorHistories", "error"),
        ("SelectorHistories", "rate_limit"),
        ("SelectorHistories", "drop"),
        ("SelectorHistories", "truncate"),
        ("SelectorHistories", "html"),
    ],
)
def test_what_goes_wrong_once_is_asked_for_again(
    backend: Backend, read: Callable[..., RunSet], operation: str, kind: Any
):
    path = sweep_of(backend, 3)
    fault = backend.fail(Fault(kind, operation, status=503, seconds=0.2))
    found = read(path)
    assert fault.hits == 1
    assert histories(found) == whole(3)
    assert found.unreadable == ()


def test_a_slow_answer_is_waited_for(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 3)
    backend.fail(Fault("slow", "SelectorHistories", seconds=0.5))
    assert histories(read(path)) == whole(3)


def test_a_server_that_refuses_many_histories_at_once(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 7)
    backend.fail(Fault("error", "SelectorHistories", times=None, status=400))
    assert histories(read(path)) == whole(7)
    assert backend.requests.count("HistoryPage") == 7  # wandb's own scanner, run by run


def test_one_run_that_the_server_cannot_answer(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 20)
    backend.fail(Fault("error", times=None, status=400, mentions="r013"))
    found = read(path)
    assert histories(found) == {id: rows for id, rows in whole(20).items() if id != "r013"}
    (gone,) = found.unreadable
    assert gone.run == "r013"
    assert re.match(r"history not read: returned error 400: .*something broke", gone.reason)
    backend.app.faults.clear()
    assert histories(read(path)) == whole(20)
    assert backend.requests.count("SelectorHistories") == 1


def test_histories_that_stay_silent_are_named(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 4)
    backend.fail(Fault("slow", "SelectorHistories", times=None, seconds=9))
    found = read(path, patience=Patience(answer=0.5, silence=1.0))
    assert found.runs == ()
    assert [gone.run for gone in found.unreadable] == ["r000", "r001", "r002", "r003"]
    assert all("has not answered for" in gone.reason for gone in found.unreadable)
    backend.app.faults.clear()
    assert histories(read(path)) == whole(4)


def test_a_list_that_breaks_off(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 25)
    backend.store.page_limit = 10
    backend.fail(Fault("html", "SelectorRuns", times=None, after=2))
    found = read(path)
    assert histories(found) == {id: rows for id, rows in whole(25).items() if id < "r020"}
    (rest,) = found.unreadable
    assert rest.run == "5 more of the 25 runs"
    assert rest.reason.startswith("the list broke off: the answer is broken")


def test_a_run_deleted_between_list_and_history(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 3)
    gone = backend.project("p").bucket_by_name["r001"]
    backend.fail(Fault("call", "SelectorHistories", action=lambda: backend.store.delete_run(gone)))
    found = read(path)
    assert sorted(histories(found)) == ["r000", "r002"]
    assert found.unreadable == (Unreadable("r001", "deleted while the runs were read"),)


def test_a_run_deleted_and_one_renamed_between_two_pages(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 25)
    backend.store.page_limit = 10
    runs = backend.project("p").bucket_by_name

    def meanwhile() -> None:
        backend.store.delete_run(runs["r003"])
        runs["r012"].display_name = "renamed"

    backend.fail(Fault("call", "SelectorRuns", after=1, action=meanwhile))
    found = read(path)
    gone = [run for run in found.unreadable if run.reason == "deleted while the runs were read"]
    # Its history was asked for while the second page was: it came in time, or else it is said.
    assert [run.id for run in found.runs if run.id == "r003"] + [run.run for run in gone] == ["r003"]
    assert histories(found) | {"r003": expected(3)} == whole(25)
    assert next(run.name for run in found.runs if run.id == "r012") == "renamed"


def test_what_is_no_json_inside_an_answer(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 4)
    runs = backend.project("p").bucket_by_name
    runs["r000"].config = "{broken"
    runs["r001"].lines[1] = "{broken"
    runs["r002"].lines[1] = "7"
    found = read(path)
    assert sorted(histories(found)) == ["r003"]
    assert found.unreadable == (
        Unreadable("r000", "its config or summary on the server is not JSON"),
        Unreadable("r001", "a row of its history is no JSON object"),
        Unreadable("r002", "a row of its history is no JSON object"),
    )


# What cannot be read at all: one line each


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "loopback/nowhere/abc",
            r"no project loopback/nowhere on http://127\.0\.0\.1:\d+, or no access to it",
        ),
        ("nobody/p", r"no project nobody/p on http"),
        ("loopback/p/abc", r"no sweep abc in loopback/p on http.*it was deleted, or its id is another"),
        ("loopback/p", r"project loopback/p has no runs: check"),
        ("abc", r"'abc' is no sweep or project: name a sweep as entity/project/sweep_id"),
    ],
)
def test_there_is_no_such_thing(backend: Backend, read: Callable[..., RunSet], source: str, message: str):
    backend.project("p")
    with pytest.raises(UserError, match=message) as error:
        read(source)
    assert "\n" not in str(error.value)


def test_a_sweep_without_runs_and_one_that_was_deleted(backend: Backend, read: Callable[..., RunSet]):
    sweep = backend.sweep("p")
    path = f"loopback/p/{sweep.name}"
    with pytest.raises(
        UserError, match=f"sweep {path} has no runs yet: start some with `wandb agent {path}`"
    ):
        read(path)
    backend.store.delete_sweep(sweep)
    with pytest.raises(UserError, match="it was deleted"):
        read(path)


@pytest.mark.parametrize("answer", ["null", "7", "{}", '{"data": null}', '{"data": {}}'])
def test_answers_that_are_no_answers(backend: Backend, read: Callable[..., RunSet], answer: str):
    path = sweep_of(backend, 1)
    backend.fail(Fault("text", "SelectorRuns", times=None, text=answer))
    with pytest.raises(UserError, match=f"cannot read {path} from http.*: the answer is"):
        read(path)


def test_a_project_deleted_while_it_is_read(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 1)
    backend.fail(Fault("call", "SelectorRuns", action=backend.store.project_by_path.clear))
    with pytest.raises(UserError, match="the project was deleted while it was read"):
        read(path)


def test_answers_that_are_never_json(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 1)
    backend.fail(Fault("html", "SelectorSource", times=None))
    with pytest.raises(
        UserError, match=rf"cannot read {path} from http.*: the answer is broken: invalid character '<'"
    ):
        read(path)


def test_a_server_that_is_not_there(
    backend: Backend, read: Callable[..., RunSet], capfd: pytest.CaptureFixture[str]
):
    path = sweep_of(backend, 1)
    backend.refuse()
    with pytest.raises(
        UserError, match=r"no answer from the W&B server http://.* within 1 s: check"
    ) as error:
        read(path, patience=Patience(answer=1, silence=1))
    assert "\n" not in str(error.value)
    assert API_KEY not in str(error.value) + "".join(capfd.readouterr())


@pytest.fixture
def logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """This process without any credentials of W&B."""

    def log_out() -> None:
        wbauth.unauthenticate_session(update_settings=False)
        wandb.teardown()

    log_out()
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(tmp_path / "no netrc"))
    yield
    log_out()


@pytest.mark.usefixtures("logged_out")
def test_no_login(backend: Backend, read: Callable[..., RunSet]):
    with pytest.raises(UserError, match=r"no W&B login for http.*: run `wandb login`, or set WANDB_API_KEY"):
        read("loopback/p/abc")
    assert backend.requests == []


@pytest.mark.usefixtures("logged_out")
@pytest.mark.parametrize("key", ["deadbeef" * 5, "short", "bad key!" * 6])
def test_a_wrong_key_is_never_shown(
    backend: Backend,
    read: Callable[..., RunSet],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    key: str,
):
    monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(UserError, match="cannot log in to W&B at http") as error:
        read("loopback/p/abc")
    assert "\n" not in str(error.value)
    assert key not in str(error.value) + "".join(capfd.readouterr())


def test_the_right_key_is_never_shown_either(
    backend: Backend, read: Callable[..., RunSet], capfd: pytest.CaptureFixture[str]
):
    path = sweep_of(backend, 2)
    backend.fail(Fault("error", "SelectorHistories", times=None, status=400))
    shown = repr(read(path))
    for source in ("loopback/p/nothing", f"{backend.url}/loopback/nothing", "https://wandb.ai/loopback/p"):
        with pytest.raises(UserError) as error:
            read(source)
        shown += str(error.value)
    assert API_KEY not in shown + "".join(capfd.readouterr())


def test_a_key_is_sent_to_no_other_server(backend: Backend, read: Callable[..., RunSet]):
    with pytest.raises(UserError, match=r"the URL is of wandb\.ai, but wandb is set up for 127\.0\.0\.1"):
        read("https://wandb.ai/loopback/p/sweeps/abc")
    assert set(backend.requests) <= {"Viewer"}
