from selector.text import nearest, printable


def test_nearest_name():
    assert nearest("rankm", ["entropy", "rankme"]) == ", did you mean 'rankme'?"
    assert nearest("RANKME", ["rankme"]) == ", did you mean 'rankme'?"
    assert nearest("xyz", ["rankme"]) == ""


def test_printable_text_is_one_line_without_escapes():
    assert printable("a\x1b[31mb\nc\x00d\u202ee") == "a [31mb c d e"
    assert printable("näme – ρ ▂") == "näme – ρ ▂"
