import pytest

from selector.errors import UserError
from selector.sweeping.search import foreseen
from selector.sweeping.train_fields import check_train_fields

HEAD = "program: train.py\nmethod: {}\nmetric: {{name: m, goal: minimize}}\nrun_cap: 20\nparameters:\n"


def check(read, parameters: str, method: str = "grid", planned: int | None = None):
    sweep = read(
        HEAD.format(method) + "".join(f"  {line.strip()}\n" for line in parameters.split("\n") if line)
    )
    check_train_fields(sweep, foreseen(sweep, 0, planned))


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("grid", "method: {values: [simsiam, simclr, moco_v2]}"),
        (
            "grid",
            "temperature: {values: [0.1, 1]}\nlabels: {values: [true, false]}\nimage_size: {value: null}",
        ),
        ("grid", "epochs: {min: 1, max: 3}\nprecision: {value: 32}"),
        (
            "grid",
            "learning-rate: {values: [0.1]}\nheads: {parameters: {projector_dim: {values: [64, 128.0]}}}",
        ),
        ("grid", "group: {value: {epochs: 3, seed: 1}}"),
        ("random", "learning_rate: {distribution: log_uniform_values, min: 0.001, max: 1}"),
        ("random", "batch_size: {distribution: q_log_uniform_values, min: 32, max: 256, q: 32.0}"),
        ("bayes", "weight_decay: {min: 0.0, max: 0.1}\nmethod: {value: moco_v2}"),
    ],
)
def test_accepts_what_train_py_accepts(read, method, parameters):
    check(read, parameters, method)


@pytest.mark.parametrize(
    ("method", "parameters", "line", "reason"),
    [
        ("grid", "epochs: {value: 1}\nlearning_rat: {value: 1}", 7, "did you mean '--learning-rate'"),
        ("grid", "zzz: {value: 1}", 6, "unknown option --zzz"),
        ("grid", "epochs: {value: 1}\ng: {parameters: {tau: {value: 1}}}", 7, "unknown option --tau"),
        ("grid", "epochs: {value: 1}\ng: {value: {temprature: 1}}", 7, "did you mean '--temperature'"),
        ("grid", "epochs: {value: 1}\ng: {parameters: {epochs: {value: 2}}}", 7, "epochs is given twice"),
        ("grid", "epochs: {value: 1}\ntemperature: {values: [0.5, 0]}", 7, "must be greater than 0, got 0"),
        ("grid", "temperature: {value: 1}\nmethod: {values: [simclr, simsiam]}", 6, "no effect on simsiam"),
        ("grid", "dataset: {value: cifar10}", 5, "data set cifar10 needs --data-dir"),
        ("grid", "method: {values: [simclr, simsam]}", 6, "did you mean 'simsiam'"),
        ("grid", "learning_rate: {values: [0.1, 1e-4]}", 6, r"YAML reads it as a text; write 1\.0e-4"),
        ("grid", "epochs: {value: 2.5}", 6, "--epochs must be a whole number, got '2.5'"),
        ("grid", "epochs: {value: true}", 6, "must be a whole number"),
        ("grid", "epochs: {value: null}", 6, "must be a whole number"),
        ("grid", "temperature: {value: high}", 6, "must be a number or None, got 'high'"),
        ("grid", "labels: {value: 1}", 6, r"--labels cannot be '1' \(one of True, False\)"),
        ("grid", "epochs: {value: [1]}", 6, "must be a whole number"),
        ("grid", "epochs: {value: '3'}", 6, "YAML reads it as a text; write 3"),
        ("grid", "labels: {value: 'no'}", 6, "--labels cannot be 'no'"),
        ("grid", "image_size: {value: 'null'}", 6, "YAML reads it as a text; write null"),
        (
            "grid",
            "temperature: {value: on}",
            6,
            "must be a number or None, got 'True'.*; YAML reads on as true",
        ),
        ("grid", "probe: {values: [fast,\nno]}", 6, "cannot be 'False'.*; YAML reads no as false"),
        ("grid", "dataset: {value: [digits]}", 6, r"cannot be .* \(one of cifar10"),
        ("random", "epochs: {min: 1.0, max: 9.0}", 6, "must be a whole number"),
        ("random", "momentum_min: {min: 0.5, max: 1.5}", 6, "momentum_min"),
        ("random", "learning_rate: {distribution: normal}", 6, "learning_rate must be greater than 0"),
        ("bayes", "learning_rate: {min: -1.0, max: 1.0}", 6, "learning_rate must be greater than 0"),
        ("random", "seed: {min: -1, max: 3}", 6, "seed must not be negative"),
    ],
)
def test_refuses_with_line_and_reason_what_train_py_refuses(read, method, parameters, line, reason):
    with pytest.raises(UserError, match=rf"line {line}: .*{reason}") as error:
        check(read, parameters, method)
    assert "\n" not in str(error.value)


def test_fields_set_in_the_command_itself_are_not_second_guessed(read):
    text = HEAD.format("grid") + "  predictor_hidden: {value: 64}\n"
    command = "command: [python, '${program}', --method=simsiam, '${args}']\n"
    for lines, refused in ((text, True), (text + command, False)):
        sweep = read(lines)
        if refused:
            with pytest.raises(UserError, match="no effect on simclr"):
                check_train_fields(sweep, foreseen(sweep, 0, None))
        else:
            check_train_fields(sweep, foreseen(sweep, 0, None))


def test_only_the_configurations_that_would_run_are_checked(read):
    check(read, "temperature: {values: [0.5, 0.1, -1]}", planned=2)
    with pytest.raises(UserError, match="greater than 0"):
        check(read, "temperature: {values: [0.5, 0.1, -1]}", planned=3)
