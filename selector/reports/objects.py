"""Results as plain objects for `--json`: keys as documented, null for what is undefined, never NaN."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from math import isfinite
from typing import Any

from selector.reports.opinions import Opinions
from selector.runs import Run
from selector.selection.intervals import LEAST_REPEATED, LEAST_SEEDS, LEVEL, RESAMPLES, SEED
from selector.selection.losers import RULE, RunningRun
from selector.selection.ranking import TIE_BREAK, TIE_RULE, Ranked, RankedGroup, Ranking
from selector.selection.regret import Regret, RegretGroup, RegretReport
from selector.selection.stopping import SETTLED
from selector.text import escaped


def as_json(value: Mapping[str, Any]) -> str:
    """One JSON object; NaN and infinity become null, other types as `plain` has them."""
    return escaped(json.dumps(plain(value, finite=True), indent=2, allow_nan=False, ensure_ascii=False))


def ranking_object(ranking: Ranking, opinions: Sequence[Opinions]) -> dict[str, Any]:
    """What `rank --json` prints; `opinions` are those on the groups."""
    return {
        "metric": ranking.metric.name,
        "key": ranking.metric.key,
        "direction": ranking.direction,
        "milestone": ranking.milestone,
        "groups": [
            _ranked_group(group) | {"second_opinions": opinions_object(said)}
            for group, said in zip(ranking.groups, opinions, strict=True)
        ],
        "excluded": ranking.excluded,
        "coverage": ranking.coverage,
        "tie_rule": TIE_RULE,
        "tie_break": TIE_BREAK,
        "warnings": ranking.warnings,
    }


def opinions_object(opinions: Opinions) -> dict[str, Any]:
    """What `rank` and `best` print of other metrics with `--json`."""
    return {
        "metrics": [
            {
                "metric": row.metric,
                "picks": row.chosen,
                "rank_of_pick": row.place,
                "ranked": len(row.ranking),
                "agrees": row.agrees,
                "lead_in_standard_errors": row.margin,
                "since_epoch": row.since,
            }
            for row in opinions.rows
        ],
        "disagree": len(opinions.others),
        "settle": opinions.settle,
    }


def regret_object(report: RegretReport) -> dict[str, Any]:
    """What `regret --json` prints; accuracies and regrets as logged, for train.py's runs fractions."""
    return {
        "oracle": report.oracle.name,
        "oracle_key": report.oracle.key,
        "milestone": report.milestone,
        "groups": [_regret_group(group) for group in report.groups],
        "excluded": report.excluded,
        "without_oracle": report.without_oracle,
        "bootstrap": {
            "over": "differences of two seeds of a repeated configuration",
            "resamples": RESAMPLES,
            "seed": SEED,
            "level": LEVEL,
            "least_configurations": LEAST_REPEATED,
            "least_seeds": LEAST_SEEDS,
        },
        "warnings": report.warnings,
    }


def losers_object(
    metric: str,
    losers: Sequence[RunningRun],
    kept: Sequence[RunningRun],
    stopped: Sequence[str],
    dry_run: bool,
) -> dict[str, Any]:
    """What `stop-losers --json` prints."""
    return {
        "metric": metric,
        "rule": RULE,
        "dry_run": dry_run,
        "losers": [{**vars(one), "name": one.run.name} for one in losers],
        "kept": [{"run": one.run, "reason": one.reason} for one in kept],
        "stopped": stopped,
    }


def _ranked_group(group: RankedGroup) -> dict[str, Any]:
    return {
        "group": group.group,
        "direction": group.direction,
        "chosen": group.chosen,
        "swept": group.swept,
        "ranking": [_ranked(ranked) for ranked in group.ranking],
    }


def _ranked(ranked: Ranked) -> dict[str, Any]:
    return {
        "rank": ranked.rank,
        "run": ranked.run,
        "name": ranked.run.name,
        "score": ranked.score,
        "standard_error": ranked.standard_error or None,
        "standard_deviation": ranked.deviation,
        "runs": ranked.runs,
        "tied": ranked.tied,
        "epoch": ranked.epoch,
        "config": ranked.run.config,
    }


def _regret_group(group: RegretGroup) -> dict[str, Any]:
    means = [judged.accuracy for judged in group.judged]
    return {
        "group": group.group,
        "runs": len(group.accuracies),
        "configurations": group.configurations,
        "best": group.best.run,
        "best_accuracy": group.best.accuracy,
        "best_accuracy_standard_error": group.best.standard_error,
        "near_best": group.near_best,
        "mean_accuracy": sum(means) / len(means),
        "worst_accuracy": group.judged[-1].accuracy,
        "accuracies": group.accuracies,
        "paired": all(one.correct is not None for one in group.judged),
        "repetition_reason": group.repetition_reason or None,
        "metrics": [_regret(metric, group) for metric in group.metrics],
        "baselines": [
            {
                "baseline": one.name,
                "run": one.run,
                "accuracy": one.accuracy,
                "regret": one.regret,
                "detail": one.detail,
            }
            for one in group.baselines
        ],
    }


def _regret(regret: Regret, group: RegretGroup) -> dict[str, Any]:
    points, settled = regret.training.points, regret.training.settled
    return {
        "metric": regret.metric.name,
        "key": regret.metric.key,
        "direction": regret.direction,
        "finite": regret.finite,
        "chosen": regret.chosen,
        "chosen_name": regret.chosen.name if regret.chosen else None,
        "chosen_accuracy": regret.chosen_accuracy,
        "best": group.best.run,
        "best_accuracy": group.best.accuracy,
        "regret": regret.regret,
        "normalised_regret": regret.normalised,
        "expected_random_regret": group.expected_random,
        "against_random": regret.against_random,
        "random_as_good": regret.random_as_good,
        "hit": regret.hit,
        "regret_at": {str(k): value for k, value in regret.shortlist.items()},
        "tied": regret.tie_set if len(regret.tie_set) > 1 else [],
        "tied_expected_regret": regret.tied_expected,
        "tied_worst_regret": regret.tied_worst,
        "interval": regret.interval,
        "configuration_interval": regret.configuration_interval,
        "repetition_interval": regret.repetition_interval,
        "spearman": regret.spearman.value,
        "spearman_p": regret.spearman.p_value,
        "kendall_tau": regret.kendall.value,
        "kendall_p": regret.kendall.p_value,
        "pearson": regret.pearson.value,
        "pearson_p": regret.pearson.p_value,
        "weighted_tau": regret.weighted_tau,
        "p_method": regret.spearman.method,
        "along_training": {
            "settled_epoch": settled.epoch if settled else None,
            "settled_milestones": SETTLED,
            "settled_cost": settled.regret - points[-1].regret if settled else None,
            "epochs": points,
        },
    }


def plain(value: Any, finite: bool = False) -> Any:
    """A value in the types that JSON and YAML have; with `finite`, NaN is None.

    A run is its id, another dataclass its fields, and what else JSON cannot say its text.
    """
    match value:
        case Run():
            return value.id
        case float() if finite and not isfinite(value):
            return None
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [plain(inner, finite) for inner in value]
        case Mapping():
            return {str(name): plain(inner, finite) for name, inner in value.items()}
        case _ if is_dataclass(value):
            return plain(vars(value), finite)
    return str(value)
