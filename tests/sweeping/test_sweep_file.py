import pytest

from selector.errors import UserError
from selector.sweeping.hyperband import Hyperband
from selector.sweeping.sweep_file import Objective

SOUND = "program: train.py\nmethod: random\nparameters:\n  x: {values: [1, 2]}\n"


def test_reads_everything_that_a_sweep_file_may_say(read):
    sweep = read("""
        apiVersion: v1
        kind: sweep
        name: a sweep
        description: what for
        project: digits
        entity: team
        program: train.py
        command: ["${env}", "${interpreter}", "${program}", --fixed, 3, "${args_no_hyphens}"]
        controller: {type: local}
        scheduler: {engine: wandb}
        method: bayes
        metric: {name: loss, goal: maximize, target: 0.9, impute: best, impute_while_running: false}
        early_terminate: {type: hyperband, min_iter: 2, eta: 4, strict: false}
        run_cap: 7
        parameters: {x: {min: 0.0, max: 1.0}}
    """)
    assert sweep.method == "bayes"
    assert sweep.metric == Objective("loss", "maximize", 0.9, "best", False)
    assert sweep.early_terminate == Hyperband(min_iter=2, eta=4, strict=False)
    assert (sweep.program, sweep.run_cap, sweep.project, sweep.entity) == ("train.py", 7, "digits", "team")
    expected = ("${env}", "${interpreter}", "${program}", "--fixed", "3", "${args_no_hyphens}")
    assert sweep.command == expected
    assert sweep.warnings == []


def test_what_wandb_assumes_where_nothing_is_said(read):
    sweep = read(SOUND + "metric: {name: loss}\nearly_terminate: {type: hyperband, max_iter: 27, s: 2}\n")
    assert sweep.command == ("${env}", "${interpreter}", "${program}", "${args}")
    assert sweep.metric == Objective("loss", "minimize", None, "worst")
    assert sweep.early_terminate == Hyperband(max_iter=27, s=2, eta=3, strict=True)
    assert sweep.run_cap is None
    assert len(sweep.warnings) == 1  # nobody said which way is better
    assert "line 5: metric has no goal" in sweep.warnings[0]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("- a\n- b", 1, "a sweep file must be a mapping"),
        ("just text", 1, "a sweep file must be a mapping"),
        ("program: p.py\nparameters: {x: {value: 1}}", 1, "a sweep file needs method"),
        ("program: p.py\nmethod: random", 1, "a sweep file needs parameters"),
        ("program: p.py\nmethod: random\nparameters: {}", 3, "at least one parameter"),
        ("program: p.py\nmethod: random\nparameters:", 3, "at least one parameter, got None"),
        ("program: p.py\nmethod: random\nparameters: [a]", 3, "at least one parameter"),
        ("method: random\nparameters: {x: {value: 1}}", 1, "program is missing"),
        (SOUND + "metric: {name: loss, target: .inf}", 5, "a number must be finite, got inf"),
        (SOUND + "command: [python, .nan]", 5, "a number must be finite, got nan"),
        ('program: p.py\nmethod: random\nparameters: {x: {values: ["\\ud800"]}}', 3, "half a character"),
        ("program: p.py\nmethod: grid\nparameters: {x: {min: 0, max: 10000000000000000000}}", 3, "more than"),
        (SOUND + "paramters: {}", 5, "'paramters' is not a key of a sweep file, did you mean 'parameters'"),
        (SOUND + "colour: red", 5, "'colour' is not a key of a sweep file; known are"),
        (
            SOUND.replace("random", "gird"),
            2,
            "method must be 'grid', 'random' or 'bayes', got 'gird', did you mean 'grid'",
        ),
        (SOUND.replace("random", "7"), 2, "method must be 'grid', 'random' or 'bayes', got 7"),
        (SOUND.replace("random", "[grid]"), 2, "method must be .grid., .random. or .bayes., got"),
        (SOUND.replace("random", "on"), 2, "method must be .*got True; YAML reads on as true; quote it, or"),
        (SOUND.replace("{values: [1, 2]}", "off"), 4, "x must be a mapping .*; YAML reads off as false"),
        (SOUND.replace("random", "custom"), 2, "wandb sweep-scheduler"),
        (SOUND.replace("random", "bayes"), 2, "bayes needs a metric section"),
        (
            "program: p.py\nmethod: bayes\nmetric: {name: m}\nparameters: {x: {value: 1}, y: {values: [1]}}",
            4,
            "bayes needs a parameter with more than one value",
        ),
        (SOUND + "run_cap: 0", 5, "run_cap must be at least 1, got 0"),
        (SOUND + "run_cap: many", 5, "got 'many'"),
        (SOUND + "run_cap: true", 5, "got True"),
        (SOUND + "run_cap:", 5, "got None"),
        (SOUND + "name: 3", 5, r"name must be a text \(quote it\), got 3"),
        (SOUND + "project: [a]", 5, "project must be a text"),
        (SOUND + "job: a/b:latest", 5, "job is for W&B Launch"),
        (SOUND + "scheduler: {engine: optuna}", 5, "wandb sweep-scheduler"),
        (SOUND + "metrics: [{name: a}, {name: b}]", 5, "several metrics need W&B.s scheduler"),
        (SOUND + "metric: loss", 5, "metric must be a mapping, got 'loss'"),
        (SOUND + "metric: {goal: minimize}", 5, "metric needs name"),
        (SOUND + "metric:\n  name: m\n  goal: up", 7, "goal must be 'minimize' or 'maximize', got 'up'"),
        (SOUND + "metric:\n  name: m\n  gaol: maximize", 7, "'gaol' is not .* did you mean 'goal'"),
        (SOUND + "metric: {name: m, target: high}", 5, "target must be a number"),
        (SOUND + "metric: {name: m, impute: zero}", 5, "impute must be 'latest', 'best' or 'worst'"),
        (SOUND + "early_terminate: {type: hyperband, min_iter: 1}", 5, "early_terminate needs a metric"),
        (SOUND + "command: python train.py", 5, "command must be a list"),
        (SOUND + "command: []", 5, "command must be a list"),
        (SOUND + "command:\n  - python\n  - ${arsg}", 7, r"unknown macro '\${arsg}', did you mean 'args'"),
        (SOUND + "command:\n  - python\n  - {a: 1}", 7, "a part of command must be a text"),
        (SOUND + "command: ['${envvar:home}']", 5, "names of environment variables are A-Z"),
    ],
)
def test_refuses_with_line_and_reason(read, text, line, reason):
    with pytest.raises(UserError, match=rf"sweep\.yaml, line {line}: .*{reason}") as error:
        read(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("yes", "must be a mapping with type: hyperband"),
        ("{min_iter: 1}", "must be a mapping with type: hyperband"),
        ("{type: median}", "must be a mapping with type: hyperband"),
        ("{type: hyperband}", "needs min_iter, or max_iter together with s"),
        ("{type: hyperband, max_iter: 9}", "max_iter needs s"),
        ("{type: hyperband, min_iter: 3, max_iter: 9}", "max_iter needs s"),
        ("{type: hyperband, min_iter: 0}", "min_iter must be at least 1, got 0"),
        ("{type: hyperband, min_iter: 1.5}", "min_iter must be a whole number"),
        ("{type: hyperband, min_iter: true}", "min_iter must be a whole number"),
        ("{type: hyperband, min_iter: 1, eta: 1}", "eta must be at least 1.01, got 1"),
        ("{type: hyperband, min_iter: 1, eta: 1.0000001}", "eta must be at least 1.01"),
        ("{type: hyperband, max_iter: 2, eta: 3, s: 999999999}", "max_iter is below eta"),
        ("{type: hyperband, min_iter: 1, eta: .nan}", "a number must be finite, got nan"),
        ("{type: hyperband, min_iter: 1, strict: maybe}", "strict must be true or false"),
        ("{type: hyperband, min_iter: 1, mininum: 2}", "'mininum' is not a key of early_terminate"),
        ("{type: hyperband, max_iter: 2, s: 1}", "hyperband has nowhere to stop a run"),
    ],
)
def test_refuses_settings_of_hyperband(read, section, reason):
    with pytest.raises(UserError, match=rf"line 6: .*{reason}"):
        read(SOUND + f"metric: {{name: m, goal: minimize}}\nearly_terminate: {section}\n")


@pytest.mark.parametrize(("goal", "better"), [("minimize", 1.0), ("maximize", 2.0)])
def test_objective_knows_which_way_is_better(goal, better):
    objective = Objective("m", goal, target=1.5)
    assert objective.better(better, 3.0 - better)
    assert not objective.better(better, better)
    assert objective.reached(better)
    assert objective.reached(1.5)
    assert not objective.reached(3.0 - better)
    assert not Objective("m", goal).reached(better)
