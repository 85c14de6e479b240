"""docs/results.md from the records of the evidence sweeps: the tables between markers, and nothing else.

A marker is `<!-- evidence: NAME -->`; what stands between it and the next `<!-- end -->` is written anew.
Text outside of markers is for people to write.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, median, stdev

import numpy as np
from economy import cost, images
from pretrained_table import correlations, models
from regret_figure import figure_rows, svg
from repetition import repetition
from rules import RULES, Rule, leave_one_study_out

from selector.evaluation.metrics import METRICS, NOISE_PREFIX, LabelFreeMetric, labelled_metric
from selector.reports.correlation_tables import print_correlations
from selector.reports.tables import open_console
from selector.runs.records import read_records
from selector.runs.run import Run, RunSet
from selector.selection.bootstrap import nested_resamples
from selector.selection.candidates import finished_runs, last_milestone
from selector.selection.consensus import CONSENSUS, with_consensus
from selector.selection.correlation import kendall_tau_b, spearman
from selector.selection.hyperparameters import configuration
from selector.selection.milestone_correlation import correlate_milestones
from selector.selection.regret import RegretGroup, regret
from selector.selection.regret_figures import Regret

ORACLE = labelled_metric("linear_probe_accuracy")
LABEL_FREE = [metric for metric in METRICS if isinstance(metric, LabelFreeMetric)]
METHODS = {"simclr": "SimCLR", "simsiam": "SimSiam", "moco_v2": "MoCo-v2"}
DATA = {"digits": "digits", "fashion": "Fashion-MNIST"}
RESAMPLES, SEED = 1000, 0

_BLOCK = re.compile(r"(<!-- evidence: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Study:
    """All runs of one method on one data set."""

    name: str
    title: str
    runs: RunSet

    @cached_property
    def group(self) -> RegretGroup:
        """Every label-free metric judged on the same runs."""
        report = regret(self.runs, [CONSENSUS, *filter(self.holds, LABEL_FREE)], ORACLE)
        return max(report.groups, key=lambda group: len(group.metrics))

    def holds(self, metric: LabelFreeMetric) -> bool:
        """Whether some run logged it."""
        return any(metric.key in row.values for run in self.runs.runs for row in run.milestones)


def rebuild(records: Path, page: Path) -> None:
    """Writes every table of the page and of README anew, and the page's picture."""
    studies = read_studies(records)
    for text in (page, page.parents[1] / "README.md"):
        text.write_text(rebuilt(text.read_text("utf-8"), records, studies), encoding="utf-8")
    page.with_name("regret-by-metric.svg").write_text(picture(studies), encoding="utf-8")


def picture(studies: Sequence[Study]) -> str:
    """What choosing by each metric cost in each study."""
    rows = figure_rows({study.name: study.group for study in studies})
    return svg(rows, {study.name: study.title for study in studies})


def rebuilt(text: str, records: Path, studies: Sequence[Study]) -> str:
    """The page's text with its tables made from the records.

    Raises:
        KeyError: A marker names no table.
    """
    tables = {
        "short": short, "overview": overview, "summary": summary, "stopping": stopping, "noise": noise,
        "rules": rules,
    }  # fmt: skip
    made: dict[str, Callable[[], Iterator[str]]] = {
        name: (lambda make=make: make(studies)) for name, make in tables.items()
    }
    made |= {f"regret {study.name}": (lambda study=study: regrets(study)) for study in studies}
    made |= {f"table one {data}": (lambda data=data: table_one(records, data)) for data in DATA}
    groups = {study.name: study.group for study in studies}
    titles = METHODS | {study.name: study.title for study in studies}
    made["images"] = lambda: images(groups, records)
    made["cost"] = lambda: cost(records, titles)
    made["models"] = lambda: models(records)
    made["model correlations"] = lambda: correlations(records)
    made["repetition"] = lambda: repetition(groups, records, ORACLE, titles)
    return _BLOCK.sub(lambda block: block[1] + "\n".join(made[block[2]]()) + "\n" + block[3], text)


def read_studies(records: Path) -> list[Study]:
    """One study a method and data set: the sweep, its repetitions with other seeds, and what breaks it."""
    studies = []
    for data, data_title in DATA.items():
        for method, method_title in METHODS.items():
            files = sorted(records.glob(f"{method}-{data}*.json"))
            if files:
                sets = [read_records(file) for file in files]
                runs = sorted((as_version_3(run) for one in sets for run in one.runs), key=lambda run: run.id)
                unreadable = tuple(gone for one in sets for gone in one.unreadable)
                name = f"{method}-{data}"
                found = with_consensus(RunSet(name, tuple(runs), unreadable))
                studies.append(Study(name, f"{method_title}, {data_title}", found))
    return studies


def as_version_3(run: Run) -> Run:
    """Version 2 of the metrics had UMAP laid out by umap-learn, 3 by ours: points of one distribution."""
    assert run.definition["version"] in (2, 3)
    return replace(run, definition={**run.definition, "version": 3})


def table_one(records: Path, data: str) -> Iterator[str]:
    """Table I of the paper over the runs of its recipes in small, beside the paper's own figures."""
    sets = [read_records(file) for file in sorted(records.glob(f"table1-*-{data}.json"))]
    runs = sorted((run for one in sets for run in one.runs), key=lambda run: run.id)
    report = correlate_milestones(RunSet(f"table1-{data}", tuple(runs)), ORACLE, [])
    text = io.StringIO()
    print_correlations(report, open_console(text), published=True)
    yield "```text"
    yield from (line.rstrip() for line in text.getvalue().rstrip().splitlines())
    yield "```"


def overview(studies: Sequence[Study]) -> Iterator[str]:
    """What was trained."""
    yield "| sweep | runs | configurations | diverged | best | mean | worst | ± oracle | ± training seed |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for study in studies:
        group = study.group
        accuracies = [judged.accuracy for judged in group.judged]
        diverged = sum(run.state == "diverged" for run in study.runs.runs)
        seeds = within([judged.run for judged in group.judged], accuracies)
        cells = [
            study.title, len(study.runs.runs), group.configurations, diverged,
            percent(max(accuracies)), percent(fmean(accuracies)), percent(min(accuracies)),
            percent(group.best.standard_error), percent(seeds),
        ]  # fmt: skip
        yield row(cells)


def regrets(study: Study) -> Iterator[str]:
    """One study: what choosing by each metric costs."""
    group = study.group
    yield (
        f"{len(group.judged)} runs, {group.configurations} configurations;"
        f" best {percent(group.best.accuracy)}, expected regret of a random choice"
        f" {points(group.expected_random)}."
    )
    yield ""
    yield "| chosen by | accuracy | regret | 95 % | normalised | expected over ties | ρ (95 %) | τ (95 %) |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in sorted(
        group.metrics, key=lambda one: (one.regret is None, one.regret or 0.0, one.metric.name)
    ):
        yield row(_regret_cells(one, group))
    for baseline in group.baselines:
        if baseline.name != "oracle":
            name = f"*{baseline.name.replace('_', ' ')}*"
            yield row([name, percent(baseline.accuracy), points(baseline.regret), "", "", "", "", ""])


def _regret_cells(one: Regret, group: RegretGroup) -> list[object]:
    arrow = {"max": " ↑", "min": " ↓"}.get(one.direction or "", "")
    interval = "" if one.interval is None else "–".join(points(end) for end in one.interval)
    rho, tau = correlation_intervals(one, group)
    return [
        f"`{one.metric.name}`{arrow}", percent(one.chosen_accuracy), points(one.regret), interval,
        number(one.normalised), points(one.tied_expected), rho, tau,
    ]  # fmt: skip


def summary(studies: Sequence[Study]) -> Iterator[str]:
    """Each metric over all studies."""
    groups = [study.group for study in studies]
    yield "| chosen by | mean regret | worst | mean normalised | better than random | mean ρ | undefined |"
    yield "|---|---|---|---|---|---|---|"
    lines = []
    for metric in (CONSENSUS, *LABEL_FREE):
        found = [one for group in groups for one in group.metrics if one.metric.name == metric.name]
        known = [one for one in found if one.regret is not None]
        if not known:
            continue
        costs = [one.regret or 0.0 for one in known]
        beats = sum(one.against_random is not None and one.against_random < 1 for one in known)
        rhos = [one.spearman.value for one in known if one.spearman.value is not None]
        shares = [one.normalised for one in known if one.normalised is not None]
        cells = [
            f"`{metric.name}`", points(fmean(costs)), points(max(costs)), number(fmean(shares)),
            f"{beats} of {len(known)}", number(fmean(rhos)) if rhos else "–", len(groups) - len(known),
        ]  # fmt: skip
        lines.append((fmean(shares), metric.name, row(cells)))
    for name in ("random", "lowest_loss", "default", "last"):
        picks = [b for group in groups for b in group.baselines if b.name == name and b.regret is not None]
        if picks:
            costs = [pick.regret or 0.0 for pick in picks]
            shares = [
                (pick.regret or 0.0) / (group.best.accuracy - group.judged[-1].accuracy)
                for group in groups
                for pick in group.baselines
                if pick.name == name and pick.regret is not None
            ]
            title = f"*{name.replace('_', ' ')}*"
            cells = [title, points(fmean(costs)), points(max(costs)), number(fmean(shares)), "", "", ""]
            lines.append((fmean(shares), title, row(cells)))
    yield from (line for _, _, line in sorted(lines))


def stopping(studies: Sequence[Study]) -> Iterator[str]:
    """Choosing earlier: regret at each milestone, and what stopping there saves."""
    yield "| sweep | metric | regret by epoch | choice final at | training saved there |"
    yield "|---|---|---|---|---|"
    for study in studies:
        for one in study.group.metrics:
            along = one.training
            if one.metric.name not in ("consensus", "rankme", "stable_rank", "clustering_agreement"):
                continue
            settled = next((p for p in along.points if p.epoch == along.settled_epoch), None)
            if settled is not None:
                costs = ", ".join(f"{p.epoch}: {points(p.regret)}" for p in along.points)
                saved = f"{100 * settled.saved_finishing_choice:.0f} %"
                yield row([study.title, f"`{one.metric.name}`", costs, f"epoch {settled.epoch}", saved])


def noise(studies: Sequence[Study]) -> Iterator[str]:
    """How much of the spread of a metric between configurations is noise."""
    yield "| metric | UMAP seeds / between configurations | training seeds / between configurations |"
    yield "|---|---|---|"
    for metric in [*LABEL_FREE, ORACLE]:
        umap, training = [], []
        for study in studies:
            runs, _ = finished_runs(study.runs)
            pairs = [(run, value_of(run, metric.key)) for run in runs]
            known = [(run, value) for run, value in pairs if value is not None and np.isfinite(value)]
            if len(known) < 3:
                continue
            between = between_configurations([run for run, _ in known], [value for _, value in known])
            spread = within([run for run, _ in known], [value for _, value in known])
            noises = [value_of(run, NOISE_PREFIX + metric.name) for run, _ in known]
            errors = [
                value / np.sqrt(run.definition["umap_seeds"])
                for (run, _), value in zip(known, noises, strict=True)
                if value is not None and np.isfinite(value)
            ]
            if between:
                training += [] if spread is None else [spread / between]
                umap += [median(errors) / between] if errors else []
        if training:
            yield row([f"`{metric.name}`", number(fmean(umap)) if umap else "–", number(fmean(training))])


def rules(studies: Sequence[Study]) -> Iterator[str]:
    """Rules that need no label, each fitted on all studies but the one that it is judged on."""
    judged = [(rule, leave_one_study_out(rule, [study.group for study in studies])) for rule in RULES]
    costs = {rule.name: [cost for cost, _ in found] for rule, found in judged if found}
    single = min((rule.name for rule, found in judged if found and rule.needs), key=lambda n: fmean(costs[n]))
    titles = " | ".join(study.title for study in studies)
    less = f"less than `rankme`'s | less than `{single}`'s"
    yield f"| rule | {titles} | mean | worst | mean normalised | {less} |"
    yield "|---|" + "---|" * (len(studies) + 5)
    lines = []
    for rule, found in judged:
        if found:
            own = costs[rule.name]
            normalised = fmean(share for _, share in found)
            cells = [
                rule_title(rule), *map(points, own), points(fmean(own)), points(max(own)), number(normalised),
                *(difference(own, costs[other]) for other in ("rankme", single)),
            ]  # fmt: skip
            lines.append((fmean(own), rule.name, row(cells)))
    yield from (line for _, _, line in sorted(lines))


def short(studies: Sequence[Study]) -> Iterator[str]:
    """README's table: expected regret, ties drawn by lot, of a few ways to choose."""
    groups = [study.group for study in studies]
    titles = {
        "best triple elsewhere": "consensus of three metrics, found on the five other sweeps",
        "stable_rank": "`stable_rank`, the best single metric in hindsight",
        "rankme": "`rankme`",
        "clustering_agreement": "`clustering_agreement`",
        "silhouette": "`silhouette`",
    }
    costs = {
        titles[rule.name]: [cost for cost, _ in leave_one_study_out(rule, groups)]
        for rule in RULES
        if rule.name in titles
    }
    costs["*a random choice*"] = [group.expected_random for group in groups]
    lowest = [pick for group in groups for pick in group.baselines if pick.name == "lowest_loss"]
    assert all(pick.regret is not None for pick in lowest)  # every run of the records logged a loss
    costs["*the lowest training loss*"] = [pick.regret or 0.0 for pick in lowest]
    yield "| chosen by | " + " | ".join(study.title for study in studies) + " | mean |"
    yield "|---|" + "---|" * (len(studies) + 1)
    for title in [*titles.values(), "*the lowest training loss*", "*a random choice*"]:
        yield row([title, *map(points, costs[title]), points(fmean(costs[title]))])


def difference(own: Sequence[float], other: Sequence[float]) -> str:
    """Mean of the paired differences, with its standard error over the studies."""
    less = [theirs - ours for ours, theirs in zip(own, other, strict=True)]
    return f"{points(fmean(less))} ± {points(stdev(less) / len(less) ** 0.5)}" if any(less) else ""


def rule_title(rule: Rule) -> str:
    return f"`{rule.name}`" + (" (fitted)" if rule.fitted else "")


def correlation_intervals(one: Regret, group: RegretGroup) -> tuple[str, str]:
    """ρ and τ of the oriented metric with the oracle, with percentile intervals over configurations."""
    sign = -1.0 if one.direction == "min" else 1.0
    pairs = [(value_of(judged.run, one.metric.key), judged) for judged in group.judged]
    known = [(sign * value, judged) for value, judged in pairs if value is not None and np.isfinite(value)]
    if len({configuration(judged.run) for _, judged in known}) < 8:
        return number(one.spearman.value), number(one.kendall.value)
    scores = np.array([value for value, _ in known])
    quality = np.array([judged.quality for _, judged in known])
    drawn, empty = nested_resamples([configuration(judged.run) for _, judged in known], RESAMPLES, SEED)
    texts = []
    for measure, value in ((spearman, one.spearman.value), (kendall_tau_b, one.kendall.value)):
        found = [
            measure(scores[some[~none]], quality[some[~none]])
            for some, none in zip(drawn, empty, strict=True)
        ]
        known_values = [figure for figure in found if figure is not None]
        low, high = np.percentile(known_values, [2.5, 97.5])
        texts.append(f"{number(value)} ({low:.2f} to {high:.2f})")
    return texts[0], texts[1]


def value_of(run: Run, key: str) -> float | None:
    """At the last milestone."""
    last = last_milestone(run, key)
    return None if last is None else last.values.get(key)


def within(runs: Sequence[Run], values: Sequence[float]) -> float | None:
    """Standard deviation over the seeds of one configuration, pooled; None where none has two seeds."""
    members: dict[str, list[float]] = {}
    for run, value in zip(runs, values, strict=True):
        members.setdefault(configuration(run), []).append(value)
    repeated = [np.array(group) for group in members.values() if len(group) > 1]
    if not repeated:
        return None
    squares = sum(((group - group.mean()) ** 2).sum() for group in repeated)
    return float(np.sqrt(squares / sum(len(group) - 1 for group in repeated)))


def between_configurations(runs: Sequence[Run], values: Sequence[float]) -> float:
    """Standard deviation of the configurations' means."""
    members: dict[str, list[float]] = {}
    for run, value in zip(runs, values, strict=True):
        members.setdefault(configuration(run), []).append(value)
    return float(np.std([np.mean(group) for group in members.values()], ddof=1))


def row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


points = percent  # of accuracy


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
