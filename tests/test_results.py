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


@pytest.fixture(scope="module")
def studies(results):
    return results.read_studies(RECORDS)


# The quick tables; all are rebuilt by `python benchmarks/evidence.py tables`.
@pytest.mark.parametrize("name", ["overview", "stopping", "noise", "rules"])
def test_a_table_is_what_the_records_say(results, studies, name):
    text = PAGE.read_text("utf-8")
    (block,) = re.findall(rf"<!-- evidence: {name} -->\n.*?<!-- end -->", text, re.DOTALL)
    assert results.rebuilt(block, RECORDS, studies) == block


@pytest.mark.slow  # the intervals of six sweeps are a minute of resampling
def test_the_whole_page_is_what_the_records_say(results, studies):
    text = PAGE.read_text("utf-8")
    assert results.rebuilt(text, RECORDS, studies) == text


def test_readme_says_the_same(results, studies):
    text = (ROOT / "README.md").read_text("utf-8")
    (block,) = re.findall(r"<!-- evidence: short -->\n.*?<!-- end -->", text, re.DOTALL)
    assert results.rebuilt(block, RECORDS, studies) == block


def test_the_picture_is_what_the_records_say(results, studies):
    assert results.picture(studies) == PAGE.with_name("regret-by-metric.svg").read_text("utf-8")


def test_a_row_of_the_picture_is_a_normalised_regret(results, studies):
    """Worked out anew for RankMe: (best - chosen) / (best - worst) of the runs that were judged."""
    (row,) = [row for row in results.figure_rows({s.name: s.group for s in studies}) if row.name == "rankme"]
    for study in studies:
        judged = study.group.judged
        ranks = [run.run.milestones[-1].values["label_free/rankme"] for run in judged]
        chosen = judged[ranks.index(max(ranks))].accuracy
        accuracies = [run.accuracy for run in judged]
        expected = (max(accuracies) - chosen) / (max(accuracies) - min(accuracies))
        assert row.regrets[study.name] == pytest.approx(expected)


def test_every_marker_has_a_table():
    blocks = re.findall(r"<!-- evidence: (.+?) -->\n(.*?)<!-- end -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert blocks
    assert all(table.count("\n") > 3 for _, table in blocks)


def test_text_outside_of_markers_is_left_alone(results, studies):
    text = "before\n<!-- evidence: overview -->\nold\n<!-- end -->\nafter\n"
    made = results.rebuilt(text, RECORDS, studies)
    assert made.startswith("before\n")
    assert made.endswith("\nafter\n")
    assert "old" not in made
