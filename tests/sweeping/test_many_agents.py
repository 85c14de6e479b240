"""Several `selector sweep` processes on one sweep, killed at random: each configuration runs once."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from selector.sweeping.state import SweepRun, read_sweep

# Trains nothing, takes a moment, and writes a record; a second process of the same run at once is noted.
STUB = """
import fcntl, os, sys, time
from pathlib import Path
from selector.record import Record
from selector.runs import Milestone
run = os.environ["WANDB_RUN_ID"]
config = {name: int(value) for name, value in (pair[2:].split("=") for pair in sys.argv[1:])}
alone = open(run + ".alone", "w")
try:
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    Path("twice-at-once").touch()
record = Record(Path(os.environ["WANDB_DIR"]) / "runs" / run, config, sweep_id=os.environ["WANDB_SWEEP_ID"])
for epoch in range(3):
    time.sleep(0.05)
    record.milestone(Milestone(epoch, {"label_free/rankme": config["a"] + epoch / (1 + config["b"])}))
record.end("completed", 2)
"""
# Warm runs would import torch, which none of these needs.
AGENT = "import sys; from selector.cli import main; sys.exit(main(sys.argv[1:]))"


def write_sweep(folder: Path, runs: int) -> None:
    (folder / "stub.py").write_text(STUB)
    (folder / "sweep.yaml").write_text(
        "program: stub.py\nmethod: grid\nmetric: {name: label_free/rankme, goal: maximize}\n"
        f"parameters: {{a: {{values: {list(range(runs // 4))}}}, b: {{values: [0, 1, 2, 3]}}}}\n"
    )


def start(folder: Path, out: str, *flags: str) -> subprocess.Popen:
    log = (folder / f"{out}.txt").open("ab")
    command = [sys.executable, "-c", AGENT, "sweep", "sweep.yaml", "--directory", out, "--quiet", *flags]
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def disturb(folder: Path, agents: int, kills: int, *flags: str) -> None:
    """Kill agents at random, and start others in their place; then let them come to their end."""
    generator = random.Random(0)
    going = [start(folder, "out", *flags) for _ in range(agents)]
    for _ in range(kills):
        time.sleep(generator.uniform(0.5, 2.5))
        which = generator.randrange(agents)
        going[which].send_signal(generator.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        going[which].wait(60)
        going[which] = start(folder, "out", *flags)
    for agent in going:
        assert agent.wait(600) == 0, (folder / "out.txt").read_text()[-3000:]


def ranking(folder: Path, out: str) -> list[tuple]:
    command = [sys.executable, "-m", "selector.cli", "rank", out, "--metric", "rankme", "--json"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    (group,) = json.loads(answer.stdout)["groups"]
    return sorted((one["score"], one["config"]["a"], one["config"]["b"]) for one in group["ranking"])


def judge(folder: Path, found: tuple[SweepRun, ...], runs: int) -> None:
    assert not (folder / "twice-at-once").exists()
    assert Counter(run.status for run in found) == {"finished": runs}
    assert Counter((run.config["a"], run.config["b"]) for run in found) == Counter(
        (a, b) for a in range(runs // 4) for b in range(4)
    )
    assert all(run.objective == run.config["a"] + 2 / (1 + run.config["b"]) for run in found)
    assert len({run.agent for run in found}) > 1


@pytest.mark.parametrize(("runs", "kills"), [(12, 3), pytest.param(200, 30, marks=pytest.mark.slow)])
def test_four_agents_under_random_kills_carry_out_each_configuration_once(folder, runs, kills):
    write_sweep(folder, runs)
    disturb(folder, 4, kills)
    judge(folder, read_sweep(folder / "out").runs, runs)
    assert start(folder, "peaceful", "--jobs", "4").wait(600) == 0
    assert ranking(folder, "out") == ranking(folder, "peaceful")


# An agent that is killed after it has started a process and before it has written down which.
DIES_AT_A_START = """
import os
from selector.sweeping.storage import Ledger
note = Ledger.note
Ledger.note = lambda ledger, run, **fields: os._exit(9) if "pid" in fields else note(ledger, run, **fields)
"""


def test_a_run_whose_agent_had_no_time_to_name_its_process_is_ended_and_carried_out_again(folder):
    write_sweep(folder, 4)
    (folder / "stub.py").write_text(
        STUB + "if not os.path.exists('begun'):\n    Path('begun').touch()\n    time.sleep(600)\n"
    )
    command = ["sweep", "sweep.yaml", "--directory", "out"]
    program = [sys.executable, "-c", DIES_AT_A_START + AGENT]
    killed = subprocess.run([*program, *command], cwd=folder, check=False)
    assert killed.returncode == 9
    while not (folder / "begun").exists():
        time.sleep(0.05)
    assert start(folder, "out").wait(60) == 0, (folder / "out.txt").read_text()
    assert [run.status for run in read_sweep(folder / "out").runs] == ["finished"] * 4
    assert not (folder / "twice-at-once").exists()


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_agents_side_by_side_draw_what_one_alone_would(folder, method):
    write_sweep(folder, 4)
    text = (folder / "sweep.yaml").read_text().replace("grid", method)
    text = text.replace("a: {values: [0]}", "a: {min: 0, max: 999999}")
    (folder / "sweep.yaml").write_text(text)
    agents = [start(folder, "out", "--count", "6") for _ in range(2)]
    assert [agent.wait(120) for agent in agents] == [0] * 2
    runs = read_sweep(folder / "out").runs
    assert [run.status for run in runs] == ["finished"] * 6
    assert len({run.config["a"] for run in runs}) == 6
    if method == "random":
        assert start(folder, "alone", "--count", "6").wait(120) == 0
        assert [run.config for run in read_sweep(folder / "alone").runs] == [run.config for run in runs]


def test_a_run_of_a_dead_machine_is_continued_and_one_of_a_living_machine_is_left(folder, monkeypatch):
    from selector.sweeping import agent
    from selector.sweeping.state import Agent
    from selector.sweeping.storage import Ledger

    monkeypatch.setattr(agent, "LEASE_SECONDS", 6.0)
    write_sweep(folder, 4)
    assert start(folder, "out", "--count", "1").wait(60) == 0
    ledger = Ledger(folder / "out", None, 0, None, read_sweep(folder / "out").sweep_file)
    ledger.plan(4)
    dead, living = (ledger.begin(Agent(name, "another machine")) for name in ("dead0000", "living00"))
    over = threading.Event()

    def beat() -> None:
        count = 0
        while not over.wait(0.3):
            ledger.note(living, beat=(count := count + 1))

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        state = agent.run_sweep(folder / "sweep.yaml", folder / "out", count=4)
    finally:
        over.set()
        heart.join()
    assert [run.status for run in state.runs] == ["finished", "finished", "running", "finished"]
    assert (state.runs[dead.index].attempt, state.runs[living.index].attempt) == (1, 0)
    assert state.runs[dead.index].id == dead.id


@pytest.fixture
def postgres() -> Iterator[str]:
    """A PostgreSQL server of the test's own; the URL of an empty database."""
    places = [shutil.which("pg_ctl"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))]
    found = next((Path(place).resolve().parent for place in places if place), None)
    if found is None:
        pytest.skip("no PostgreSQL is installed")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        root = os.geteuid() == 0  # as whom PostgreSQL refuses to run
        if root:
            shutil.chown(name, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"] if root else []

        def call(program: str, *arguments: str) -> None:
            command = [*as_user, found / program, "--pgdata", f"{name}/data", *arguments]
            subprocess.run(command, check=True, cwd=name, stdout=subprocess.DEVNULL)

        call("initdb", "--username=selector", "--auth=trust", "--no-sync")
        call("pg_ctl", "start", "--wait", "--log", f"{name}/log", "--options", f"-k {name} -h ''")
        try:
            yield f"postgresql://selector:secret@/postgres?host={name}"
        finally:
            call("pg_ctl", "stop", "--mode=immediate")


@pytest.mark.postgres
def test_agents_share_a_sweep_in_postgresql(folder, postgres):
    from selector.sweeping.storage import Ledger

    write_sweep(folder, 12)
    disturb(folder, 4, 3, "--storage", postgres)
    ledger = Ledger(folder / "out", postgres, 0, None, {})
    judge(folder, ledger.state.runs, 12)
    (folder / "sweep.yaml").write_text((folder / "sweep.yaml").read_text().replace("maximize", "minimize"))
    assert start(folder, "out", "--storage", postgres).wait(60) == 1
    said = (folder / "out.txt").read_text()
    assert "holds another sweep: metric.goal was 'maximize', now 'minimize'" in said
    assert start(folder, "out", "--storage", postgres.replace("host=", "host=/nowhere")).wait(60) == 1
    assert "cannot use the storage postgresql://selector:***@/postgres" in (folder / "out.txt").read_text()
    assert "secret" not in (folder / "out.txt").read_text()
