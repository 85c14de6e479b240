import json

from selector.text import counted, escaped, nearest, printable


def test_nearest_name():
    assert nearest("rankm", ["entropy", "rankme"]) == ", did you mean 'rankme'?"
    assert nearest("RANKME", ["rankme"]) == ", did you mean 'rankme'?"
    assert nearest("xyz", ["rankme"]) == ""


def test_one_run_and_more():
    assert [counted(n, "run") for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert counted(3, "class") == "3 classes"


def test_printable_text_is_one_line_without_escapes():
    assert printable("a\x1b[31mb\nc\x00d\u202ee") == "a [31mb c d e"
    assert printable("näme – ρ ▂") == "näme – ρ ▂"


def test_escaped_json_means_the_same_and_moves_no_terminal():
    value = {"a\x1b": "näme ρ 🧪 \x9b \u202e \U000e0001 \x7f\n"}
    text = escaped(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()
    assert "näme ρ 🧪" in text
