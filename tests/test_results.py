"""docs/results.md holds what its records say: its tables are made from them, and from nothing else."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
RECORDS = ROOT / "docs" / "evidence"


@pytest.fixture(scope="module")
def results():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import results
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return results


# The quick tables; all are rebuilt by `python benchmarks/evidence.py tables`.
@pytest.mark.parametrize("name", ["overview", "stopping", "noise", "rules"])
def test_a_table_is_what_the_records_say(results, name):
    text = PAGE.read_text("utf-8")
    (block,) = re.findall(rf"<!-- evidence: {name} -->\n.*?<!-- end -->", text, re.DOTALL)
    assert results.rebuilt(block, RECORDS) == block


def test_every_marker_has_a_table():
    blocks = re.findall(r"<!-- evidence: (.+?) -->\n(.*?)<!-- end -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert blocks
    assert all(table.count("\n") > 3 for _, table in blocks)


def test_text_outside_of_markers_is_left_alone(results):
    text = "before\n<!-- evidence: overview -->\nold\n<!-- end -->\nafter\n"
    made = results.rebuilt(text, RECORDS)
    assert made.startswith("before\n")
    assert made.endswith("\nafter\n")
    assert "old" not in made
