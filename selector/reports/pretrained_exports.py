"""Table II for other programs: CSV, LaTeX, and the object that `pretrained --json` prints."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from selector.metrics.metrics import LabelFreeMetric
from selector.paper.model_correlation import (
    LEAST_FOR_INTERVAL,
    LEAST_MODELS,
    ModelCorrelation,
    Study,
    correlate_models,
)
from selector.paper.published_models import (
    DATASETS,
    FAMILIES,
    PUBLISHED_METRICS,
    TABLE_II_SOURCE,
    published_models,
)
from selector.reports.correlation_exports import latex
from selector.reports.pretrained_tables import SIGNIFICANT, UNTRAINED, marked, published_table, table_two
from selector.selection.bootstrap import LEVEL, RESAMPLES, SEED
from selector.selection.correlation import Correlation
from selector.text import csv_cell


@dataclass(frozen=True)
class CsvRow:
    """One line: a metric of one model ("model"), our correlation ("correlation") or the paper's ("paper")."""

    kind: str
    dataset: str
    group: str
    model: str
    weights: str
    metric: str
    value: float | None
    n: int | None = None
    p: float | None = None
    marked: bool | None = None
    interval_low: float | None = None
    interval_high: float | None = None
    spearman: float | None = None
    spearman_p: float | None = None
    reason: str = ""


def study_csv(studies: Sequence[Study], published: bool = False) -> str:
    """Values of the models, then correlations over models, then the paper's."""
    file = io.StringIO()
    names = [field.name for field in fields(CsvRow)]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for row in csv_rows(studies, published):
        writer.writerow([csv_cell(getattr(row, name)) for name in names])
    return file.getvalue()


def csv_rows(studies: Sequence[Study], published: bool = False) -> Iterator[CsvRow]:
    """The lines of `study_csv`."""
    for study in studies:
        for row in study.rows:
            for metric in study.metrics:
                value = row.values.get(metric.key)
                yield CsvRow("model", study.dataset, row.family, row.model, row.weights, metric.name, value)
        for one in correlate_models(study):
            low, high = one.interval or (None, None)
            yield CsvRow(
                "correlation", study.dataset, one.group, "", "untrained" if study.untrained else "",
                one.metric.name, one.pearson.value, one.pearson.n, one.pearson.p_value, marked(one),
                low, high, one.spearman.value, one.spearman.p_value, one.reason,
            )  # fmt: skip
    for dataset in DATASETS if published else ():
        for name in PUBLISHED_METRICS:
            for family in FAMILIES:
                if figure := published_models(name, family, dataset):
                    yield CsvRow(
                        "paper", dataset, family, "", "", name, figure.value, figure.models, None,
                        figure.significant,
                    )  # fmt: skip


def study_latex(studies: Sequence[Study], published: bool = False) -> str:
    r"""Table II as a tabular, for \usepackage{booktabs,xcolor}; gray: p >= .05, red: r < 0."""
    columns: list[tuple[str, str, dict[str, str]]] = []
    for study in studies:
        ours = table_two(correlate_models(study))
        for number, group in enumerate(ours.groups):
            columns.append(
                (group, study.dataset, {name: cells[number] for name, cells in ours.cells.items()})
            )
    for dataset in DATASETS if published else ():
        paper = published_table(dataset)
        for number, group in enumerate(paper.groups):
            cells = {name: texts[number] for name, texts in paper.cells.items()}
            columns.append((group, f"{dataset} (paper)", cells))
    metrics = list(dict.fromkeys(name for _, _, cells in columns for name in cells))
    label_free = {m.name for study in studies for m in study.metrics if isinstance(m, LabelFreeMetric)}
    label_free |= {name for name in PUBLISHED_METRICS if not name.endswith("_labels")}
    lines = [
        "% Pearson's r of each metric with linear-probe accuracy over models; gray: p >= 0.05",
        *([f"% {UNTRAINED}"] if any(study.untrained for study in studies) else []),
        r"\begin{tabular}{lc" + "r" * len(columns) + "}",
        r"\toprule",
        "".join([" & ", *(f" & {latex(group)}" for group, _, _ in columns)]) + r" \\",
        "".join(["Metric & Label-free", *(f" & {latex(dataset)}" for _, dataset, _ in columns)]) + r" \\",
        r"\midrule",
    ]
    for name in metrics:
        mark = r"$\checkmark$" if name in label_free else r"$\times$"
        figures = [_latex_cell(cells.get(name, "–")) for _, _, cells in columns]
        lines.append(" & ".join([latex(name), mark, *figures]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def study_object(studies: Sequence[Study], published: bool = False) -> dict[str, Any]:
    """What `pretrained --json` prints: null, with a reason beside it, for what is undefined."""
    return {
        "oracle": "linear_probe_accuracy",
        "untrained": any(study.untrained for study in studies),
        "datasets": [_dataset_object(study) for study in studies],
        "least_models": LEAST_MODELS,
        "significant_below": SIGNIFICANT,
        "bootstrap": {
            "over": "models, with replacement",
            "resamples": RESAMPLES,
            "seed": SEED,
            "level": LEVEL,
            "least_models": LEAST_FOR_INTERVAL,
        },
        "published": _published_object() if published else None,
        "published_source": TABLE_II_SOURCE if published else None,
        "warnings": [warning for study in studies for warning in study.warnings],
    }


def _dataset_object(study: Study) -> dict[str, Any]:
    return {
        "dataset": study.dataset,
        "train_images": study.train_images,
        "evaluation_images": study.evaluation_images,
        "settings": dict(study.settings),
        "models": [
            {
                "model": row.model,
                "family": row.family,
                "weights": row.weights,
                "resolution": row.resolution,
                "values": dict(row.values),
            }
            for row in study.rows
        ],
        "correlations": [_correlation_object(one) for one in correlate_models(study)],
    }


def _correlation_object(one: ModelCorrelation) -> dict[str, Any]:
    return {
        "metric": one.metric.name,
        "key": one.metric.key,
        "label_free": isinstance(one.metric, LabelFreeMetric),
        "group": one.group,
        "models": one.pearson.n,
        **_test_object("pearson", one.pearson),
        **_test_object("spearman", one.spearman),
        "p_method": one.pearson.method,
        "interval": one.interval,
        "marked": marked(one),
        "reason": one.reason or None,
    }


def _test_object(name: str, test: Correlation) -> dict[str, Any]:
    return {name: test.value, f"{name}_p": test.p_value}


def _published_object() -> list[dict[str, Any]]:
    return [
        {"dataset": row.dataset, "group": row.group, "metric": row.metric, "pearson": row.value,
         "models": row.n, "marked": row.marked}
        for row in csv_rows((), published=True)
    ]  # fmt: skip


def _latex_cell(text: str) -> str:
    if text == "–":
        return r"\textcolor{gray}{--}"
    figure = f"${text.rstrip('*')}$"
    if not text.endswith("*"):
        return rf"\textcolor{{gray}}{{{figure}}}"
    return rf"\textcolor{{red}}{{{figure}}}" if text.startswith("-") else figure
