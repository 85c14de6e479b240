import pytest

from selector.errors import UserError
from selector.sweeping.located_yaml import read_yaml


def test_data_are_those_of_pyyaml_and_lines_are_those_of_the_file(sweep_file):
    yaml = read_yaml(sweep_file("a: 1\nb:\n  - x\n  - {c: null, d: 2.5}\n"))
    assert yaml.data == {"a": 1, "b": ["x", {"c": None, "d": 2.5}]}
    assert yaml.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("b", 1, "d"): 4,
    }


def test_aliases_and_merges_are_resolved_and_the_mapping_itself_wins(sweep_file):
    yaml = read_yaml(sweep_file("x: &d {p: 1, q: 2}\ny:\n  <<: *d\n  q: 3\nz: *d\n"))
    assert yaml.data["y"] == {"p": 1, "q": 3}
    assert yaml.data["z"] == {"p": 1, "q": 2}
    assert yaml.lines["y", "p"] == 1  # where the alias was defined
    assert yaml.lines["y", "q"] == 4


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "\n".join(
    f"{chr(97 + i)}: &{chr(97 + i)} [{', '.join(['*' + chr(96 + i)] * 10)}]" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: [1\nb: 2", 2, "not YAML"),
        ("a: 1\n\ta: 2", 2, "not YAML"),
        ("a: 1\nb: 2\na: 3", 3, r"'a' is given twice \(first on line 1\)"),
        ("x:\n  k: 1\n  k: 2", 3, "'k' is given twice"),
        ("a: !!python/object/apply:os.system ['touch owned']", 1, "tag .* not allowed"),
        ("a: 1\nb: !env HOME", 2, "tag '!env' is not allowed"),
        ("a: !!binary aGVsbG8=", 1, "not allowed"),
        ("a: !!set {x}", 1, "not allowed"),
        ("a: 2024-05-01", 1, "reads as a date"),
        ("a: 1\n2: b", 2, "the key '2' must be a text"),
        ("a: 1\n? [x]\n: b", 2, "must be a text"),
        ("on: 1", 1, "the key 'on' must be a text"),
        ("a: &a [1, *a]", 1, "nested on more than 100 levels"),
        (BOMB, 5, "more than 100000"),
        ('a: "x\\0y"', 1, "NUL"),
        ("a: !!int abc", 1, "is not a valid int"),
        ("a: 1\nb: {value: 0x" + "f" * 1000 + "}", 2, "a number of more than 1000 characters"),
        ("a: 1" + ":59" * 1000, 1, "a number of more than 1000 characters"),
        ("a: 1" + ":59" * 200 + ".5", 1, "is not a valid float"),
        ("a: 1\nb: " + "[" * 101 + "]" * 101, 2, "nested on more than 100 levels"),
        ("a: 1\n---\nb: 2", 2, "not YAML"),
    ],
)
def test_refuses_with_line_and_reason(sweep_file, folder, text, line, reason):
    with pytest.raises(UserError, match=rf"sweep\.yaml, line {line}\b.*{reason}") as error:
        read_yaml(sweep_file(text))
    assert "\n" not in str(error.value)
    assert not (folder / "owned").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"\xff\xfe\x00\x01\x99", "is not YAML"),
        (b"\x89PNG\r\n\x1a\n", "is not YAML"),
        (b"a: " + b"[" * 2000, "not YAML|nested too deeply"),
        (b"a: '" + b"x" * 1_000_001 + b"'", "larger than"),
    ],
)
def test_refuses_what_is_no_yaml_at_all(folder, content, reason):
    (folder / "sweep.yaml").write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        read_yaml(folder / "sweep.yaml")
    assert "\n" not in str(error.value)


def test_what_is_within_the_limits_is_read(sweep_file):
    yaml = read_yaml(sweep_file(f"a: 0x{'f' * 998}\nb: " + "[" * 99 + "1" + "]" * 99))
    assert yaml.data["a"] == 16**998 - 1


def test_a_terminal_escape_in_a_key_is_shown_as_text(sweep_file):
    with pytest.raises(UserError) as error:
        read_yaml(sweep_file('"\\e[31mred": 1\n"\\e[31mred": 2'))
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("on", "true"),
        ("No", "false"),
        ("1:30", "90"),
        ("010", "8"),
        ("true", None),
        ("1.5", None),
        ("'on'", None),
        ("10", None),
        ("0", None),
        ("null", None),
    ],
)
def test_words_that_yaml_misreads(sweep_file, text, said):
    path = sweep_file(f"a:\n  - &x {text}\n  - *x\n")
    expected = [f"{path}, line 2: YAML reads {text} as {said}; quote it, or write {said}"] if said else []
    assert list(read_yaml(path).warnings) == expected
