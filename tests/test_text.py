import json

from selector.text import csv_cell, escaped, nearest, printable


def test_nearest_name():
    assert nearest("rankm", ["entropy", "rankme"]) == ", did you mean 'rankme'?"
    assert nearest("RANKME", ["rankme"]) == ", did you mean 'rankme'?"
    assert nearest("xyz", ["rankme"]) == ""


def test_printable_text_is_one_line_without_escapes():
    assert printable("a\x1b[31mb\nc\x00d\u202ee") == "a [31mb c d e"
    assert printable("näme – ρ ▂") == "näme – ρ ▂"


def test_escaped_json_means_the_same_and_moves_no_terminal():
    value = {"a\x1b": "näme ρ 🧪 \x9b \u202e \U000e0001 \x7f\n"}
    text = escaped(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()
    assert "näme ρ 🧪" in text


def test_cells_of_a_table_are_no_formulas():
    assert [csv_cell(value) for value in ("=1+1", " @x", "+1", "-rf")] == ["'=1+1", "' @x", "'+1", "'-rf"]
    assert [csv_cell(value) for value in ("a-b", "a\x1bb", -1.5, None)] == ["a-b", "a b", -1.5, None]
