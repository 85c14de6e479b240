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
from cells import mean_and_error, mean_and_range, number, percent, points, row
from economy import cost, images
from last_value import value_of
from pretrained_table import correlations, models
from regret_figure import figure_rows, svg
from regret_tables import regrets
from repetition import repetition
from rules import RULES, Rule, leave_one_study_out

from selector.metrics.metrics import METRICS, NOISE_PREFIX, LabelFreeMetric, labelled_metric
from selector.paper.along_training import correlate_milestones
from selector.paper.table_one import print_correlations
from selector.reports.tables import open_console
from selector.runs import Run, RunSet
from selector.selection.candidates import finished_runs
from selector.selection.consensus import CONSENSUS, with_consensus
from selector.selection.hyperparameters import configuration
from selector.selection.regret import RegretGroup, regret
from selector.tracking.records import read_records

ORACLE = labelled_metric("linear_probe_accuracy")
LABEL_FREE = [metric for metric in METRICS if isinstance(metric, LabelFreeMetric)]
METHODS = {"simclr": "SimCLR", "simsiam": "SimSiam", "moco_v2": "MoCo-v2"}
DATA = {"digits": "digits", "fashion": "Fashion-MNIST"}

_BLOCK = re.compile(r"(<!-- evidence: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Study:
    """All runs of one method on one data set.

    Attributes:
        name: As in the names of the records.
        title: For people.
        runs: What is judged.
        again: Every configuration once more with another seed, or nothing: what noise is measured by, too.
    """

    name: str
    title: str
    runs: RunSet
    again: tuple[Run, ...]

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
    made |= {f"regret {study.name}": (lambda study=study: regrets(study.group)) for study in studies}
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
                repeated = records / f"repeat-{name}.json"
                again = read_records(repeated).runs if repeated.exists() else ()
                title = f"{method_title}, {data_title}"
                studies.append(Study(name, title, found, tuple(map(as_version_3, again))))
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
        trained = [judged.run for judged in group.judged] + [*study.again]
        known = [(run, value) for run in trained if np.isfinite(value := value_of(run, ORACLE.key))]
        seeds = within([run for run, _ in known], [value for _, value in known])
        cells = [
            study.title, len(study.runs.runs), group.configurations, diverged,
            percent(max(accuracies)), percent(fmean(accuracies)), percent(min(accuracies)),
            percent(group.best.standard_error), percent(seeds),
        ]  # fmt: skip
        yield row(cells)


def summary(studies: Sequence[Study]) -> Iterator[str]:
    """Each metric over all studies; behind them those that could be judged in some studies only."""
    groups = [study.group for study in studies]
    yield "| chosen by | sweeps | mean regret | worst | mean normalised | better than random | mean ρ |"
    yield "|---|---|---|---|---|---|---|"
    lines = []
    for metric in (CONSENSUS, *LABEL_FREE):
        found = [(one, group) for group in groups for one in group.metrics if one.metric.name == metric.name]
        known = [(one, group) for one, group in found if one.regret is not None]
        if not known:
            continue
        costs = [one.regret or 0.0 for one, _ in known]
        beats = sum((one.tied_expected or 0.0) < group.expected_random for one, group in known)
        rhos = [one.spearman.value for one, _ in known if one.spearman.value is not None]
        shares = [one.normalised for one, _ in known if one.normalised is not None]
        cells = [
            f"`{metric.name}`", len(known), mean_and_error(costs), points(max(costs)), number(fmean(shares)),
            f"{beats} of {len(known)}", number(fmean(rhos)) if rhos else "–",
        ]  # fmt: skip
        lines.append((len(known) < len(groups), fmean(shares), metric.name, row(cells)))
    for name in ("random", "lowest_loss", "default", "last"):
        picks = [
            (pick.regret, group.best.quality - group.judged[-1].quality)
            for group in groups
            for pick in group.baselines
            if pick.name == name and pick.regret is not None
        ]
        if picks:
            costs, shares = [cost for cost, _ in picks], [cost / spread for cost, spread in picks]
            title = f"*{name.replace('_', ' ')}*"
            cells = [
                title, len(picks), mean_and_error(costs), points(max(costs)), number(fmean(shares)), "", "",
            ]  # fmt: skip
            lines.append((False, fmean(shares), title, row(cells)))
    yield from (line for *_, line in sorted(lines))


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
    yield "| metric | UMAP seeds / configurations | training seeds / configurations | sweeps |"
    yield "|---|---|---|---|"
    for metric in [*LABEL_FREE, ORACLE]:
        umap, training = [], []
        for study in studies:
            runs, _ = finished_runs(RunSet(study.name, study.runs.runs + study.again))
            pairs = [(run, value_of(run, metric.key)) for run in runs]
            known = [(run, value) for run, value in pairs if np.isfinite(value)]
            if len(known) < 3:
                continue
            between = between_configurations([run for run, _ in known], [value for _, value in known])
            spread = within([run for run, _ in known], [value for _, value in known])
            noises = [value_of(run, NOISE_PREFIX + metric.name) for run, _ in known]
            errors = [
                value / np.sqrt(run.definition["umap_seeds"])
                for (run, _), value in zip(known, noises, strict=True)
                if np.isfinite(value)
            ]
            if between:
                training += [] if spread is None else [spread / between]
                umap += [median(errors) / between] if errors else []
        if training:
            seeds = mean_and_range(umap) if umap else "–"
            yield row([f"`{metric.name}`", seeds, mean_and_range(training), len(training)])


def rules(studies: Sequence[Study]) -> Iterator[str]:
    """Rules that need no label, each fitted on all studies but the one that it is judged on."""
    judged = [(rule, leave_one_study_out(rule, [study.group for study in studies])) for rule in RULES]
    costs = {rule.name: [cost for cost, _ in found] for rule, found in judged if found}
    single = min((rule.name for rule, found in judged if found and rule.needs), key=lambda n: fmean(costs[n]))
    titles = " | ".join(study.title for study in studies)
    others = ("rankme", single, "best single metric elsewhere")
    less = " | ".join(f"less than `{name}`'s" for name in others)
    yield f"| rule | {titles} | mean | worst | mean normalised | {less} |"
    yield "|---|" + "---|" * (len(studies) + 3 + len(others))
    lines = []
    for rule, found in judged:
        if found:
            own = costs[rule.name]
            normalised = fmean(share for _, share in found)
            cells = [
                rule_title(rule), *map(points, own),
                mean_and_error(own), points(max(own)), number(normalised),
                *(difference(own, costs[other]) for other in others),
            ]  # fmt: skip
            lines.append((fmean(own), rule.name, row(cells)))
    yield from (line for _, _, line in sorted(lines))


def short(studies: Sequence[Study]) -> Iterator[str]:
    """README's table: what a few ways to choose cost, runs that a metric cannot tell apart drawn by lot."""
    groups = [study.group for study in studies]
    (triple,) = [rule for rule in RULES if rule.name == "best triple elsewhere"]
    costs = {
        "consensus of three metrics, found on the five other sweeps": [
            cost for cost, _ in leave_one_study_out(triple, groups)
        ]
    }
    for name in ("stable_rank", "rankme", "clustering_agreement", "silhouette"):
        title = f"`{name}`" + (", the best single metric in hindsight" if name == "stable_rank" else "")
        found = [one for group in groups for one in group.metrics if one.metric.name == name]
        costs[title] = [one.tied_expected or 0.0 for one in found]
    lowest = [pick for group in groups for pick in group.baselines if pick.name == "lowest_loss"]
    assert all(pick.regret is not None for pick in lowest)  # every run of the records logged a loss
    costs["*the lowest training loss*"] = [pick.regret or 0.0 for pick in lowest]
    costs["*a random choice*"] = [group.expected_random for group in groups]
    yield "| chosen by | " + " | ".join(study.title for study in studies) + " | mean |"
    yield "|---|" + "---|" * (len(studies) + 1)
    for title, found in costs.items():
        yield row([title, *map(points, found), mean_and_error(found)])


def difference(own: Sequence[float], other: Sequence[float]) -> str:
    """Mean of the paired differences, with its standard error over the studies."""
    less = [theirs - ours for ours, theirs in zip(own, other, strict=True)]
    return f"{points(fmean(less))} ± {points(stdev(less) / len(less) ** 0.5)}" if any(less) else ""


def rule_title(rule: Rule) -> str:
    return f"`{rule.name}`" + (" (fitted)" if rule.fitted else "")


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
