"""Panels draw what the runs logged: W&B knows no key of a score that was made while choosing."""

from dataclasses import fields

from handmade import ACCURACY, run, sweep

from selector.reports.report import report_of
from selector.reports.wandb_report_rows import wandb_report_of
from selector.selection.consensus import CONSENSUS, PARTS, prepared


def test_panels_of_the_consensus_draw_its_parts():
    runs = sweep(
        *(
            run(id, accuracy=0.5 + number / 10, values={part.key: float(number) for part in PARTS})
            for number, id in enumerate("abc")
        )
    )
    report = report_of(*prepared(runs, CONSENSUS), ACCURACY)
    panels = [panel for part in wandb_report_of(report).sections for panel in part.panels]
    drawn = {str(getattr(panel, field.name)) for panel in panels for field in fields(panel)}
    assert {part.key for part in PARTS} <= drawn
    assert not any("consensus" in text for text in drawn)
