"""The sweeps of docs/evidence as pools to choose from, judged as docs/protocol.md says.

A pool is one sweep as a user would run it, with one seed per configuration. Other seeds measure noise.
Where scores are tied, the pick is the run that `selector best` would hand over.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import isfinite, log, nan
from pathlib import Path
from statistics import fmean
from typing import Any

from selector.export_file import read_records
from selector.metrics import LABEL_FREE_PREFIX, METRICS, LabelFreeMetric, declared_label_free, labelled_metric
from selector.milestone import CORRECT_PREFIX
from selector.runs import Milestone, Run, RunSet
from selector.selection.candidates import Candidate, final_value
from selector.selection.comparability import configuration, swept
from selector.selection.consensus import CONSENSUS, with_consensus
from selector.selection.oracle import Judged
from selector.selection.preparation import PRETEXT_PARTS as PARTS, TELLS
from selector.selection.ranking import best_first
from selector.selection.regret import Regret, RegretGroup, regret
from selector.sweeping.parameters import quantile
from selector.sweeping.search import nested
from selector.sweeping.sweep_file import read_sweep_file

SWEEPS = Path(__file__).parents[1] / "sweeps" / "evidence"
ORACLE = labelled_metric("linear_probe_accuracy")
METHODS = {"simclr": "SimCLR", "simsiam": "SimSiam", "moco_v2": "MoCo-v2", "byol": "BYOL", "vicreg": "VICReg"}
DATA = {
    "digits": "digits",
    "fashion": "Fashion-MNIST",
    "cifar": "CIFAR-10",
    "turned": "digits turned at random",
    "rotating": "CIFAR-10, training rotates",
    "long": "CIFAR-10, 100 epochs",
}
SHOULD_FAIL = ("turned", "rotating")
RULE = "pretext_score"
VARIANTS = ("pretext_plain_mean", "pretext_mean_of_logits")
POOLED = "pooled_probe"
PRETEXT = {
    name: declared_label_free(LABEL_FREE_PREFIX + name, "max") for name in (RULE, *PARTS, *VARIANTS, POOLED)
}
CHANCE = 0.25  # of four turns


@dataclass(frozen=True)
class Pool:
    """One sweep, one seed per configuration.

    Attributes:
        second: Whether it belongs to the second evidence (docs/protocol.md).
        seeds: Further seeds of some configurations, which measure noise.
        default: The default configuration; None is the recipe of the paper.
    """

    name: str
    method: str
    data: str
    second: bool
    runs: RunSet
    seeds: tuple[Run, ...]
    default: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """For people."""
        return f"{METHODS[self.method]}, {DATA[self.data]}" + (", draws" if "draws" in self.name else "")

    @property
    def decides(self) -> bool:
        """Whether it counts towards the verdict of the protocol."""
        return self.second and self.data not in SHOULD_FAIL

    @cached_property
    def group(self) -> RegretGroup:
        """Every metric that may compare these runs, judged on the same ones."""
        return judged_group(self.runs, self.default)

    @cached_property
    def without_ruined(self) -> RegretGroup:
        """The same without runs that end below their own untrained network."""
        kept = tuple(run for run in self.runs.runs if not ruined(run))
        return judged_group(replace(self.runs, runs=kept), self.default)


def read_pools(records: Path) -> list[Pool]:
    """The sweeps that have a record; a record with pretext scores beside it is of the second evidence."""
    found = []
    for data, method in product(DATA, METHODS):
        for name in (f"{method}-{data}", f"{method}-{data}-draws"):
            if not (records / f"{name}.json").exists():
                continue
            whole, second = read_judged(records, name)
            runs = whole.runs
            if (records / f"{name}-seeds.json").exists():
                extra, by_protocol = read_judged(records, f"{name}-seeds")
                if by_protocol == second:  # never judged by two oracles
                    runs += tuple(with_fields_of(runs[0], run) for run in extra.runs)
            once, further = split_by_seed(with_pool_score(runs) if second else runs)
            pool = replace(whole, source=name, runs=tuple(once))
            default = middle_of(SWEEPS / f"{name}.yaml") if second else None
            found.append(Pool(name, method, data, second, pool, tuple(further), default))
    return found


def read_judged(records: Path, name: str) -> tuple[RunSet, bool]:
    """The runs of a record with the pretext scores stored beside it, and whether there are any.

    Raises:
        ValueError: A finished run has no scores, so its accuracy would come from another oracle.
    """
    whole, pretext = read_records(records / f"{name}.json"), records / "pretext" / f"{name}.json"
    scores = json.loads(pretext.read_text("utf-8")) if pretext.exists() else None
    finished = [run.id for run in whole.runs if run.state == "finished"]
    if scores is not None and (missing := [id for id in finished if id not in scores]):
        raise ValueError(
            f"{pretext} lacks {len(missing)} of {len(finished)} finished runs ({missing[0]}, …):"
            f" run benchmarks/pretext_scores.py on the folder of {name} again"
        )
    runs = tuple(with_pretext(as_version_3(run), scores) for run in whole.runs)
    return replace(whole, runs=runs), scores is not None


def with_fields_of(first: Run, run: Run) -> Run:
    """The run with the fields that `first` knew: those that came later have their defaults."""
    return replace(run, config={name: run.config[name] for name in run.config if name in first.config})


def middle_of(file: Path) -> dict[str, Any]:
    """The middle of a search space: the protocol's default configuration."""
    return nested((one, quantile(one.distribution, 0.5)) for one in read_sweep_file(file).parameters)


def split_by_seed(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The first seed of each configuration, and the others."""
    first: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.config.get("seed") or 0, run.id)):
        first.setdefault(configuration(run), run)
    chosen = {run.id for run in first.values()}
    return [r for r in runs if r.id in chosen], [r for r in runs if r.id not in chosen]


def as_version_3(run: Run) -> Run:
    """Version 2 had UMAP laid out by umap-learn, 3 by ours: points of one distribution."""
    version = 3 if run.definition.get("version") == 2 else run.definition.get("version")
    return replace(run, definition={**run.definition, "version": version})


def with_pretext(run: Run, scores: Mapping[str, Any] | None) -> Run:
    """The run with its parts of the pretext score, and judged by the protocol's oracle."""
    if scores is None or run.id not in scores:
        return run
    judged = {row["epoch"]: row for row in scores[run.id]["milestones"]}
    rows = []
    for row in run.milestones:
        values, texts = dict(row.values), dict(row.texts)
        values.pop(ORACLE.key, None)
        if more := judged.get(row.epoch):
            values |= {PRETEXT[part].key: more[part] for part in (*PARTS, POOLED) if part in more}
            values[ORACLE.key] = more["accuracy"]
            texts[CORRECT_PREFIX + ORACLE.name] = more.get("correct", "")
        rows.append(replace(row, values=values, texts=texts))
    definition = {**run.definition, "evaluation_images": scores[run.id]["images"]}
    return replace(run, milestones=tuple(rows), definition=definition)


def with_pool_score(runs: Sequence[Run]) -> list[Run]:
    """The rule and its variants: means of the parts that a milestone has.

    Rotation is left out of all of them where it says nothing about the whole pool.
    """
    best = max((final_value(run, PRETEXT[PARTS[0]].key) or 0.0 for run in runs), default=0.0)
    turning = any(run.config.get("rotation_degrees") for run in runs)
    names = PARTS if best > TELLS and not turning else PARTS[1:]

    def scored(row: Milestone) -> Milestone:
        found = [(name, row.values.get(PRETEXT[name].key, nan)) for name in names]
        known = [(name, value) for name, value in found if isfinite(value)]
        if not known:
            return row
        scaled = [max(0.0, (v - CHANCE) / (1 - CHANCE)) if n == PARTS[0] else v for n, v in known]
        bounded = [min(max(value, 1e-3), 1 - 1e-3) for _, value in known]
        made = fmean(scaled), fmean(v for _, v in known), fmean(log(v / (1 - v)) for v in bounded)
        scores = {PRETEXT[name].key: value for name, value in zip((RULE, *VARIANTS), made, strict=True)}
        return replace(row, values={**row.values, **scores})

    return [replace(run, milestones=tuple(map(scored, run.milestones))) for run in runs]


def partly_scored(pool: Pool) -> list[str]:
    """Ids of the runs whose final score is the mean of fewer parts than that of others."""
    counts = {
        run.id: sum(final_value(run, PRETEXT[part].key) is not None for part in PARTS)
        for run in pool.runs.runs
        if final_value(run, PRETEXT[RULE].key) is not None
    }
    return [id for id, count in counts.items() if count < max(counts.values())]


def judged_group(runs: RunSet, default: Mapping[str, Any] | None = None) -> RegretGroup:
    """The largest group of metrics that compare the same runs."""
    runs = with_consensus(runs)
    metrics = [CONSENSUS, *(metric for metric in label_free() if metric.key in logged(runs.runs))]
    groups = regret(runs, metrics, ORACLE, default=default).groups
    return max(groups, key=lambda group: len(group.metrics))


def label_free() -> list[LabelFreeMetric]:
    """All metrics that the runs may hold, by key."""
    known = {metric.key: metric for metric in METRICS if isinstance(metric, LabelFreeMetric)}
    known |= {metric.key: metric for metric in PRETEXT.values()}
    return [known[key] for key in sorted(known)]


def logged(runs: Sequence[Run]) -> set[str]:
    """Keys that at least one milestone of one run has."""
    return {key for run in runs for row in run.milestones for key in row.values}


def tie_order(judged: Sequence[Judged]) -> list[Judged]:
    """In the order in which `selector best` takes runs of equal scores, which knows no label."""
    alike = [Candidate(one.run, one.run.milestones[-1].epoch, 0.0) for one in judged]
    ordered = [candidate.run.id for candidate in best_first(alike, "max", swept([one.run for one in judged]))]
    return sorted(judged, key=lambda one: ordered.index(one.run.id))


def ruined(run: Run) -> bool:
    """Whether it ends below its own untrained network."""
    start = next((row.values.get(ORACLE.key) for row in run.milestones if row.epoch == 0), None)
    end = final_value(run, ORACLE.key)
    return start is not None and end is not None and end < start


def name_of(one: Regret | LabelFreeMetric) -> str:
    """Without the prefix of a W&B key."""
    metric = one.metric if isinstance(one, Regret) else one
    return metric.name.removeprefix(LABEL_FREE_PREFIX)
