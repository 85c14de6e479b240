import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selector.errors import UserError
from selector.sweeping import agent as agent_module, launch, processes
from selector.sweeping.agent import Reporter, run_sweep
from selector.sweeping.search import outcome, random_config
from selector.sweeping.state import SweepState, read_sweep
from selector.sweeping.sweep_file import read_sweep_file

# Every start and every end of a run is a line in calls.txt: id, event, arguments.
PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path

def note(event):
    with open("calls.txt", "a") as file:
        file.write(json.dumps([os.environ["WANDB_RUN_ID"], event, sys.argv[1:], os.getpid()]) + "\\n")

values = dict(pair.removeprefix("--").split("=", 1) for pair in sys.argv[1:])
note("start")
"""
GRID = """
    program: program.py
    method: grid
    parameters:
      a: {values: [1, 2]}
      b: {values: [x, null]}
"""
RANDOM = """
    program: program.py
    method: random
    run_cap: 5
    parameters:
      a: {min: 0.0, max: 1.0}
"""


@pytest.fixture
def program(folder):
    """Writes program.py, which notes its start, does what the test says, and notes its end."""
    shutil.copy(Path(__file__).parent / "tiny_wandb.py", folder)

    def write(body: str = "") -> Path:
        (folder / "program.py").write_text(f"{PROGRAM}\n{body}\nnote('end')\n")
        return folder / "program.py"

    write()
    return write


@pytest.fixture
def calls(folder):
    def read(event: str) -> list[tuple[str, list[str]]]:
        path = folder / "calls.txt"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(run, arguments) for run, what, arguments, _ in lines if what == event]

    return read


class Recorder(Reporter):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.notes: list[str] = []

    def sweep_started(self, progress: SweepState) -> None:
        self.events.append(f"sweep of {progress.planned}, {progress.done} done")

    def run_started(self, run, progress) -> None:
        self.events.append(f"start {run.index} {run.status}")

    def run_advanced(self, run, values) -> None:
        self.events.append(f"advance {run.index} {list(values)}")

    def run_ended(self, run, progress) -> None:
        best = progress.best.index if progress.best else None
        self.events.append(f"end {run.index} {run.status} best {best}")

    def note(self, text: str) -> None:
        self.notes.append(text)


def statuses(progress: SweepState) -> list[str]:
    return [run.status for run in progress.runs]


def test_every_configuration_runs_once_and_a_second_call_runs_nothing(sweep_file, program, calls, folder):
    path, out = sweep_file(GRID), folder / "out"
    recorder = Recorder()
    progress = run_sweep(path, out, reporter=recorder)
    expected = [["--a=1", "--b=x"], ["--a=1", "--b=None"], ["--a=2", "--b=x"], ["--a=2", "--b=None"]]
    assert [arguments for _, arguments in calls("end")] == expected
    assert [run for run, _ in calls("end")] == [run.id for run in progress.runs]
    assert [run.config for run in progress.runs][1] == {"a": 1, "b": None}
    assert statuses(progress) == ["finished"] * 4
    assert [run.exit_status for run in progress.runs] == [0] * 4
    assert recorder.events == [
        "sweep of 4, 0 done",
        *(f"{event}" for i in range(4) for event in (f"start {i} running", f"end {i} finished best None")),
    ]
    assert read_sweep(out) == progress
    assert (out / "sweep.yaml").read_text() == path.read_text()
    assert sorted(p.stem for p in (out / "logs").iterdir()) == sorted(run.id for run in progress.runs)
    assert run_sweep(path, out) == progress
    assert len(calls("start")) == 4


def test_a_run_is_told_what_wandbs_agent_would_tell_it(sweep_file, program, folder, monkeypatch):
    program("""
import yaml
print(json.dumps({name: value for name, value in os.environ.items() if name.startswith("WANDB_")}))
print(Path(os.environ["WANDB_SWEEP_PARAM_PATH"]).read_text(), os.getcwd())
""")
    monkeypatch.setenv("WANDB_MODE", "online")
    before = dict(os.environ)
    progress = run_sweep(sweep_file(GRID), Path("out"), count=1)
    (run,) = progress.runs
    log = (folder / "out" / "logs" / f"{run.id}.log").read_text()
    parameters = folder / "out" / "wandb" / f"sweep-{progress.id}" / f"config-{run.id}.yaml"
    assert json.loads(log.splitlines()[0]) == {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(folder / "out"),
        "WANDB_SWEEP_ID": progress.id,
        "WANDB_RUN_ID": run.id,
        "WANDB_SWEEP_PARAM_PATH": str(parameters),
        "WANDB__TRANSACTION_LOG_FLUSH_INTERVAL": "1",
    }
    assert "wandb_version: 1\n\na:\n  value: 1\nb:\n  value: x\n" in log
    assert log.splitlines()[-1].endswith(str(folder))
    assert dict(os.environ) == before


def test_a_command_of_the_files_own(sweep_file, program, folder, monkeypatch):
    monkeypatch.setenv("GREETING", "good day")
    path = sweep_file("""
        method: grid
        parameters: {a: {value: {b: [1]}}}
        command: ["${env}", X=1, sh, -c, 'echo "$0" $X; cat "$1"', "${envvar:GREETING}", "${args_json_file}"]
    """)
    (run,) = run_sweep(path, folder / "out").runs
    assert (folder / "out" / "logs" / f"{run.id}.log").read_text() == 'good day 1\n{"a": {"b": [1]}}'


def test_count_is_the_number_of_runs_in_all(sweep_file, program, calls, folder):
    path = sweep_file(RANDOM)
    assert len(run_sweep(path, folder / "out", count=2).runs) == 2
    assert len(run_sweep(path, folder / "out").runs) == 2
    assert len(run_sweep(path, folder / "out", count=4).runs) == 4
    progress = run_sweep(path, folder / "out", count=9)  # run_cap is 5
    assert len(progress.runs) == len(calls("start")) == 5
    parameters = read_sweep_file(path).parameters
    assert [run.config for run in progress.runs] == [random_config(parameters, 0, i) for i in range(5)]


def test_a_failed_run_is_recorded_and_the_sweep_goes_on(sweep_file, program, calls, folder):
    program("""
if values == {"a": "1", "b": "None"} and not Path("mended").exists():
    print("some output"); sys.exit("\\x1b[31mno such thing")
""")
    path = sweep_file(GRID)
    progress = run_sweep(path, folder / "out")
    assert statuses(progress) == ["finished", "failed", "finished", "finished"]
    assert progress.runs[1].reason == "exit status 1:  [31mno such thing"
    assert (progress.done, progress.failed, progress.runs[1].failures) == (3, 1, 2)
    assert [arguments for _, arguments in calls("start")][4:] == [
        ["--a=1", "--b=None"]
    ]  # once more, at the end
    assert run_sweep(path, folder / "out").runs[1].failures == 3  # and once more in each later call
    (folder / "mended").touch()
    mended = run_sweep(path, folder / "out")
    assert statuses(mended) == ["finished"] * 4
    assert mended.runs[1].id == progress.runs[1].id


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL (out of memory?)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 6)", "killed by signal 40"),
        ("sys.exit(9)", "exit status 9"),
    ],
)
def test_how_a_run_failed(sweep_file, program, folder, body, reason):
    program(body)
    assert run_sweep(sweep_file(GRID), folder / "out", count=1).runs[0].reason == reason


def test_three_failures_at_the_start_end_the_sweep(sweep_file, program, calls, folder):
    program("sys.exit('no module named nothing')")
    with pytest.raises(
        UserError, match=r"first 3 runs failed.*exit status 1: no module named nothing"
    ) as error:
        run_sweep(sweep_file(GRID), folder / "out")
    assert "\n" not in str(error.value)
    assert len(calls("start")) == 3
    program()
    assert statuses(run_sweep(sweep_file(GRID), folder / "out")) == ["finished"] * 4


def test_a_command_that_cannot_be_started(sweep_file, program, folder):
    path = sweep_file(GRID + "\n    command: [/no/such/thing, '${args}']\n")
    with pytest.raises(UserError, match=r"first 3 runs failed.*cannot be started: .*No such file"):
        run_sweep(path, folder / "out")


# Interruptions

AGENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins without one
from pathlib import Path
from selector.errors import UserError
from selector.sweeping.agent import run_sweep
try:
    run_sweep(Path("sweep.yaml"), Path("out"), jobs=int(sys.argv[1]))
except UserError as error:
    sys.exit(f"{error}")
"""


def start_agent(jobs: int = 1) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", AGENT, str(jobs)], stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


SLOW_SECOND = """
if values["a"] == "1" and values["b"] == "None" and not Path("quick").exists():
    note("slow")
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        note("cleanly"); sys.exit(130)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_sweep_continues_where_it_was(sweep_file, program, calls, folder, signum):
    path = sweep_file(GRID)
    program(SLOW_SECOND)
    agent = start_agent()
    wait_for(lambda: calls("slow"))
    agent.send_signal(signum)
    message = agent.communicate(timeout=20)[1]
    second = calls("slow")[0][0]
    ledger = read_sweep(folder / "out")
    if signum == signal.SIGKILL:
        assert [run.status for run in ledger.runs] == ["finished", "running"]
    else:
        assert agent.returncode == 1
        assert message == f"stopped by {signum.name} with 1 of 4 runs done; the same command continues\n"
        assert [run.status for run in ledger.runs] == ["finished", "interrupted"]
    assert len(calls("cleanly")) == (signum == signal.SIGINT)
    (folder / "quick").touch()
    progress = run_sweep(path, folder / "out")
    assert statuses(progress) == ["finished"] * 4
    assert [run for run, _ in calls("start")].count(second) == 2
    assert [run for run, _ in calls("end")] == [
        progress.runs[0].id,
        second,
        *(run.id for run in progress.runs[2:]),
    ]


def test_who_presses_ctrl_c_again_and_again_need_not_wait(sweep_file, program, calls, folder):
    sweep_file(GRID)
    program(
        "for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
        "note('slow'); time.sleep(60)"
    )
    agent = start_agent()
    wait_for(lambda: calls("slow"))
    for _ in range(3):
        agent.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert "stopped by SIGINT" in agent.communicate(timeout=10)[1]
    assert [run.status for run in read_sweep(folder / "out").runs] == ["interrupted"]


def test_a_file_system_without_locks_is_refused(sweep_file, program, folder, monkeypatch):
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(agent_module.fcntl, "flock", flock)
    with pytest.raises(
        UserError, match=r"file system of .*out has no locks \(No locks available\)"
    ) as refused:
        run_sweep(sweep_file(GRID), folder / "out")
    assert "\n" not in str(refused.value)
    assert [path.name for path in (folder / "out").rglob("*")] == ["agents"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_full_disk_ends_the_sweep_and_leaves_no_run_behind(sweep_file, program, folder, jobs, monkeypatch):
    from selector.sweeping import storage

    def fsync(descriptor: int) -> None:
        if Path("full").exists():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", fsync)
    monkeypatch.setattr(agent_module, "KILL_DELAY", 1.0)
    path = sweep_file(GRID)
    program(f"""
from selector.sweeping.state import read_sweep
if values["a"] == "1" and values["b"] == "x" and not Path("room").exists():
    while len([run for run in read_sweep(Path("out")).runs if run.pid]) < {jobs}:
        time.sleep(0.01)
    Path("full").touch()  # only once all runs stand in the ledger
elif not Path("room").exists():
    if values["a"] == "2":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
""")
    with pytest.raises(
        UserError, match=r"out: No space left on device; .*the same command continues"
    ) as full:
        run_sweep(path, folder / "out", jobs=jobs)
    assert "\n" not in str(full.value)
    before = read_sweep(folder / "out")
    assert statuses(before) == ["running"] * jobs  # as it was when there was room
    assert not any(Path(f"/proc/{run.pid}").exists() for run in before.runs)
    (folder / "room").touch()
    (folder / "full").unlink()
    progress = run_sweep(path, folder / "out", jobs=jobs)
    assert statuses(progress) == ["finished"] * 4
    assert [run.id for run in progress.runs[:jobs]] == [run.id for run in before.runs]


# What is refused before anything is written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GRID.replace("program.py", "nothing.py"), "line 2: program 'nothing.py' is not in"),
        (GRID.replace("values: [1, 2]", "valeus: [1, 2]"), "line 5: a: 'valeus' is not a key"),
        (
            "program: train.py\nmethod: grid\nparameters:\n  tempature: {value: 1}\n",
            "line 4: train.py: unknown option --tempature, did you mean '--temperature'",
        ),
    ],
)
def test_refuses_before_anything_is_written(sweep_file, program, folder, text, reason):
    (folder / "train.py").write_text("def main():\n    from selector.config import TrainConfig\n")
    with pytest.raises(UserError, match=reason):
        run_sweep(sweep_file(text), folder / "out")
    assert not (folder / "out").exists()


# Several runs at the same time


def test_jobs_run_at_the_same_time_and_share_the_cores(sweep_file, program, calls, folder):
    program("""
print(os.environ.get("OMP_NUM_THREADS"))
deadline = time.time() + 20
while Path("calls.txt").read_text().count("start") < 2 and time.time() < deadline:
    time.sleep(0.01)
assert time.time() < deadline
""")
    progress = run_sweep(sweep_file(GRID), folder / "out", jobs=2)
    assert statuses(progress) == ["finished"] * 4
    cores = len(os.sched_getaffinity(0))
    logs = {(folder / "out" / "logs" / f"{run.id}.log").read_text() for run in progress.runs}
    assert logs == {f"{max(1, cores // 2)}\n"}


# The metric

LOGS = """
from tiny_wandb import TinyRun
run = TinyRun()
"""


def test_the_metric_is_read_and_the_best_run_is_known(sweep_file, program, folder):
    program(
        LOGS
        + "sign = -1 if values['b'] == 'x' else 1\n"
        + "run.log(epoch=0, score=9); run.log(epoch=1, score=sign * int(values['a']))"
    )
    recorder = Recorder()
    text = GRID + "    metric: {name: score, goal: maximize}\n"
    progress = run_sweep(sweep_file(text), folder / "out", reporter=recorder)
    assert [run.objective for run in progress.runs] == [-1.0, 1.0, -2.0, 2.0]
    assert progress.best == progress.runs[3]
    assert [event for event in recorder.events if event.startswith("end")] == [
        "end 0 finished best 0",
        "end 1 finished best 1",
        "end 2 finished best 1",
        "end 3 finished best 3",
    ]


def test_a_target_ends_the_sweep(sweep_file, program, folder):
    program(LOGS + "run.log(score=int(values['a']))")
    path = sweep_file(GRID + "    metric: {name: score, goal: maximize, target: 2}\n")
    progress = run_sweep(path, folder / "out")
    assert [run.objective for run in progress.runs] == [1.0, 1.0, 2.0]
    assert len(run_sweep(path, folder / "out").runs) == 3


def test_hyperband_stops_bad_runs(sweep_file, program, calls, folder):
    # The first run ends at 1.0 after four rows. With eta 2 the threshold of two runs is the worse of both,
    # so the third run that is worse than both others at band 2 is the first to be stopped.
    program(
        LOGS
        + """
level = {"1": 1.0, "2": 2.0, "3": 3.0, "4": 0.5}[values["a"]]
for epoch in range(4):
    run.log(epoch=epoch, loss=level)
    if epoch == 1 and values["a"] == "3":
        note("waiting"); time.sleep(60)
"""
    )
    path = sweep_file("""
        program: program.py
        method: grid
        metric: {name: loss, goal: minimize}
        early_terminate: {type: hyperband, min_iter: 2, eta: 2}
        parameters: {a: {values: [1, 2, 3, 4]}}
    """)
    recorder = Recorder()
    progress = run_sweep(path, folder / "out", reporter=recorder)
    assert statuses(progress) == ["finished", "finished", "stopped", "finished"]
    stopped = progress.runs[2]
    assert stopped.reason == "hyperband at iteration 2: value 3 is worse than 2"
    assert (stopped.exit_status, stopped.objective) == (-signal.SIGTERM, 3.0)
    assert "advance 2 [3.0, 3.0]" in recorder.events
    assert progress.done == 4
    assert progress.best == progress.runs[3]
    run_sweep(path, folder / "out")
    assert len(calls("start")) == 4  # a stopped run is over


BAYES = """
    program: program.py
    method: bayes
    run_cap: 12
    metric: {name: loss, goal: minimize}
    parameters:
      a: {min: -1.0, max: 1.0}
      b: {values: [1, 2, 3]}
"""
LOSS = (
    LOGS
    + """
a, b = float(values["a"]), int(values["b"])
run.log(loss=float("nan") if b == 2 else (a - 0.3) ** 2 + (b == 1))
"""
)


def test_bayes_learns_from_results_alone_and_interruptions_change_nothing(sweep_file, program, folder):
    program(LOSS)
    path = sweep_file(BAYES)
    progress = run_sweep(path, folder / "out")
    assert statuses(progress) == ["finished"] * 12
    for run in progress.runs:
        a, b = run.config["a"], run.config["b"]
        if b == 2:
            assert run.objective is None
            assert run.reason == "the last value of 'loss' is nan"
        else:
            assert run.objective == pytest.approx((a - 0.3) ** 2 + (b == 1))
    # The search begins with 10 random configurations; later ones keep away from runs without a result.
    assert 2 not in [run.config["b"] for run in progress.runs[10:]]
    assert progress.best is not None
    for count in (4, 11, 12):
        in_parts = run_sweep(path, folder / "in-parts", count=count)
    assert [run.config for run in in_parts.runs] == [run.config for run in progress.runs]


@pytest.mark.parametrize(("impute", "value"), [("worst", 8.0), ("best", 1.0), ("latest", 5.0)])
def test_what_a_failed_run_counts_as_for_bayes(sweep_file, program, folder, impute, value):
    # Runs 0 and 1 reach 8 and 3. Run 2 logs 1, then 5, and fails.
    program(
        LOGS
        + """
match len(list(Path("out/logs").iterdir())):
    case 1: run.log(loss=8.0)
    case 2: run.log(loss=3.0)
    case 3: run.log(loss=1.0); run.log(loss=5.0); sys.exit(1)
"""
    )
    path = sweep_file(BAYES.replace("goal: minimize", f"goal: minimize, impute: {impute}"))
    progress = run_sweep(path, folder / "out", count=3)
    objective = read_sweep_file(path).metric
    assert [outcome(run, progress.runs, objective)[1] for run in progress.runs] == [8.0, 3.0, value]


# Warm starts


@pytest.fixture
def quick_preload(monkeypatch):
    """Preloads a small module in place of torch, whose import alone would take as long as all tests."""
    monkeypatch.setattr(processes, "PRELOAD", ("decimal",))


OURS = """
import sys as first_look
preloaded = "decimal" in first_look.modules
if False:
    import selector.training
"""


def test_warm_and_cold_runs_give_the_same_result(sweep_file, program, calls, folder, quick_preload):
    body = LOSS + "print(preloaded, sys.argv, sorted(os.environ), os.getcwd(), __name__)"
    path = program(body)
    path.write_text(OURS + path.read_text())
    file = sweep_file(BAYES)
    warm = run_sweep(file, folder / "warm", count=4)
    cold = run_sweep(file, folder / "cold", count=4, warm=False)
    assert [run.config for run in warm.runs] == [run.config for run in cold.runs]
    assert [(run.status, run.exit_status, run.objective) for run in warm.runs] == [
        (run.status, run.exit_status, run.objective) for run in cold.runs
    ]
    for w, c in zip(warm.runs, cold.runs, strict=True):
        said_warm = (folder / "warm" / "logs" / f"{w.id}.log").read_text()
        said_cold = (folder / "cold" / "logs" / f"{c.id}.log").read_text()
        assert said_warm.startswith("True ")
        assert said_cold.startswith("False ")
        assert said_warm.split()[1:] == said_cold.split()[1:]


REAL_WANDB = """
if False:
    import selector.training
import wandb
with wandb.init(config={"a": "default", "own": 1}) as run:
    run.log({"epoch": 0, "score": 1.0})
    run.log({"epoch": 1, "score": float(run.config.a)})
"""


def test_real_wandb_runs_carry_the_sweep_and_its_configuration(sweep_file, program, folder, quick_preload):
    from selector.sweeping.objective import files_of
    from selector.tracking.offline_file import read_segment

    (folder / "program.py").write_text(REAL_WANDB)
    path = sweep_file("""
        program: program.py
        method: grid
        metric: {name: score, goal: maximize}
        parameters: {a: {values: [0.25, 0.5]}, group: {parameters: {b: {value: [1, x]}}}}
    """)
    for warm in (True, False):
        progress = run_sweep(path, folder / f"warm-{warm}", warm=warm, count=1)
        for run in progress.runs:
            assert (run.status, run.objective) == ("finished", run.config["a"])
            (file,) = files_of(progress.directory, run.id)
            segment = read_segment(file)
            assert (segment.run_id, segment.names["sweep_id"]) == (run.id, progress.id)
            assert segment.config["a"] == run.config["a"]
            assert segment.config["group"] == {"b": [1, "x"]}
            assert segment.config["own"] == 1
            assert segment.exit_code == 0


@pytest.mark.parametrize("warm", [True, False])
def test_the_key_is_in_no_file_of_a_sweep_and_no_argument(
    sweep_file, program, folder, quick_preload, monkeypatch, capfd, warm
):
    key = "0123456789abcdef" * 2 + "deadbeef"
    monkeypatch.setenv("WANDB_API_KEY", key)
    commands = """
import os
from pathlib import Path
pid, found = os.getpid(), Path(f"commands-{os.getpid()}.txt").open("w")
while pid > 1:  # of this run, of what started it, and so on
    found.write(Path(f"/proc/{pid}/cmdline").read_text())
    pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
assert len(os.environ["WANDB_API_KEY"]) == 40  # a run may sync, and inherits it
found.close()
"""
    (folder / "program.py").write_text(commands + REAL_WANDB)
    path = sweep_file("{program: program.py, method: grid, parameters: {a: {values: [0.25, 0.5]}}}")
    assert statuses(run_sweep(path, folder / "out", warm=warm)) == ["finished"] * 2
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".wandb", ".log", ".yaml", ".txt"}
    assert not [path for path in files if key.encode() in path.read_bytes()]
    assert key not in "".join(capfd.readouterr())


def test_preloading_that_fails_is_said_and_runs_start_cold(sweep_file, program, folder, monkeypatch):
    monkeypatch.setattr(processes, "PRELOAD", ("no_such_module",))
    path = program()
    path.write_text(OURS + path.read_text())
    recorder = Recorder()
    progress = run_sweep(sweep_file(GRID), folder / "out", count=1, reporter=recorder)
    assert statuses(progress) == ["finished"]
    assert ["every run imports by itself" in note for note in recorder.notes] == [True]


def test_an_interruption_reaches_a_forked_run(sweep_file, program, calls, folder):
    path = program(SLOW_SECOND)
    path.write_text(OURS + path.read_text())
    sweep_file(GRID)
    quick = "from selector.sweeping import processes; processes.PRELOAD = ('decimal',)\n"
    agent = subprocess.Popen([sys.executable, "-c", quick + AGENT, "1"], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: calls("slow"))
    agent.send_signal(signal.SIGINT)
    assert "stopped by SIGINT with 1 of 4 runs done" in agent.communicate(timeout=20)[1]
    assert len(calls("cleanly")) == 1


@pytest.mark.parametrize(
    ("command", "source", "parts"),
    [
        ('["${env}", "${interpreter}", "${program}", "${args}"]', "from selector.training.data import x", 3),
        ('["${interpreter}", "${program}", "${args_no_hyphens}", "x"]', "import selector.training", 2),
        ('["${env}", "${interpreter}", "${program}", "${args}"]', "import selector.config", 0),
        ('["${env}", "${interpreter}", "${program}", "${args}"]', "import selector.trainings", 0),
        ('["${env}", "A=1", "${interpreter}", "${program}"]', "import selector.training", 0),
        ('["python", "${program}", "${args}"]', "import selector.training", 0),
        ('["${interpreter}", "-u", "${program}"]', "import selector.training", 0),
        ('["${env}"]', "import selector.training", 0),
    ],
)
def test_which_commands_can_be_forked(read, folder, command, source, parts):
    (folder / "program.py").write_text(source)
    text = f"program: program.py\nmethod: grid\ncommand: {command}\nparameters: {{a: {{value: 1}}}}\n"
    assert launch.warm_parts(read(text)) == parts
