"""Results as plain objects for `--json`: keys as documented, null for what is undefined, never NaN."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from selector.reports.opinions import Opinions
from selector.selection.baselines import Baseline
from selector.selection.candidates import Excluded
from selector.selection.intervals import LEAST_REPEATED, LEAST_SEEDS, LEVEL, RESAMPLES, SEED
from selector.selection.ranking import TIE_BREAK, TIE_RULE, Ranked, RankedGroup, Ranking
from selector.selection.regret import Regret, RegretGroup, RegretReport
from selector.selection.stopping import SETTLED
from selector.text import escaped


def as_json(value: Mapping[str, Any]) -> str:
    """One JSON object; what JSON cannot say (NaN, infinity) becomes null, other types their text."""
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
        "excluded": [_excluded(gone) for gone in ranking.excluded],
        "coverage": asdict(ranking.coverage),
        "tie_rule": TIE_RULE,
        "tie_break": TIE_BREAK,
        "warnings": list(ranking.warnings),
    }


def opinions_object(opinions: Opinions) -> dict[str, Any]:
    """What `rank` and `best` print of other metrics with `--json`."""
    return {
        "metrics": [
            {
                "metric": row.metric,
                "picks": row.chosen.id,
                "rank_of_pick": row.place,
                "ranked": len(row.ranking),
                "agrees": row.agrees,
                "lead_in_standard_errors": row.margin,
                "since_epoch": row.since,
            }
            for row in opinions.rows
        ],
        "disagree": len(opinions.others),
        "settle": list(opinions.settle),
    }


def regret_object(report: RegretReport) -> dict[str, Any]:
    """What `regret --json` prints; accuracies and regrets as logged, for train.py's runs fractions."""
    return {
        "oracle": report.oracle.name,
        "oracle_key": report.oracle.key,
        "milestone": report.milestone,
        "groups": [_regret_group(group) for group in report.groups],
        "excluded": [_excluded(gone) for gone in report.excluded],
        "without_oracle": [run.id for run in report.without_oracle],
        "bootstrap": {
            "over": "differences of two seeds of a repeated configuration",
            "resamples": RESAMPLES,
            "seed": SEED,
            "level": LEVEL,
            "least_configurations": LEAST_REPEATED,
            "least_seeds": LEAST_SEEDS,
        },
        "warnings": list(report.warnings),
    }


def _ranked_group(group: RankedGroup) -> dict[str, Any]:
    return {
        "group": dict(group.group),
        "direction": group.direction,
        "chosen": group.chosen.id,
        "swept": list(group.swept),
        "ranking": [_ranked(ranked) for ranked in group.ranking],
    }


def _ranked(ranked: Ranked) -> dict[str, Any]:
    return {
        "rank": ranked.rank,
        "run": ranked.run.id,
        "name": ranked.run.name,
        "score": ranked.score,
        "standard_error": ranked.standard_error or None,
        "standard_deviation": ranked.deviation,
        "runs": [run.id for run in ranked.runs],
        "tied": ranked.tied,
        "epoch": ranked.epoch,
        "config": dict(ranked.run.config),
    }


def _excluded(gone: Excluded) -> dict[str, Any]:
    return {"run": gone.run, "name": gone.name, "category": gone.category, "reason": gone.reason}


def _regret_group(group: RegretGroup) -> dict[str, Any]:
    means = [judged.accuracy for judged in group.judged]
    return {
        "group": dict(group.group),
        "runs": len(group.accuracies),
        "configurations": group.configurations,
        "best": group.best.run.id,
        "best_accuracy": group.best.accuracy,
        "best_accuracy_standard_error": group.best.standard_error,
        "near_best": group.near_best,
        "mean_accuracy": sum(means) / len(means),
        "worst_accuracy": group.judged[-1].accuracy,
        "accuracies": group.accuracies,
        "paired": group.paired,
        "repetition_reason": group.repetition_reason or None,
        "metrics": [_regret(metric, group) for metric in group.metrics],
        "baselines": [_baseline(baseline) for baseline in group.baselines],
    }


def _regret(regret: Regret, group: RegretGroup) -> dict[str, Any]:
    settled = regret.training.settled
    return {
        "metric": regret.metric.name,
        "key": regret.metric.key,
        "direction": regret.direction,
        "finite": regret.finite,
        "chosen": regret.chosen.id if regret.chosen else None,
        "chosen_name": regret.chosen.name if regret.chosen else None,
        "chosen_accuracy": regret.chosen_accuracy,
        "best": group.best.run.id,
        "best_accuracy": group.best.accuracy,
        "regret": regret.regret,
        "normalised_regret": regret.normalised,
        "expected_random_regret": group.expected_random,
        "against_random": regret.against_random,
        "random_as_good": regret.random_as_good,
        "hit": regret.hit,
        "regret_at": {str(k): value for k, value in regret.shortlist.items()},
        "tied": [run.id for run in regret.tie_set] if len(regret.tie_set) > 1 else [],
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
            "first_agreeing_epoch": regret.training.first_agreeing_epoch,
            "settled_epoch": settled.epoch if settled else None,
            "settled_milestones": SETTLED,
            "settled_cost": settled.regret - regret.training.points[-1].regret if settled else None,
            "epochs": [
                {
                    "epoch": point.epoch,
                    "chosen": point.chosen.id,
                    "final_accuracy": point.final_accuracy,
                    "regret": point.regret,
                    "saved": point.saved,
                    "saved_finishing_choice": point.saved_finishing_choice,
                }
                for point in regret.training.points
            ],
        },
    }


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {
        "baseline": baseline.name,
        "run": baseline.run.id if baseline.run else None,
        "accuracy": baseline.accuracy,
        "regret": baseline.regret,
        "detail": baseline.detail,
    }


def plain(value: Any, finite: bool = False) -> Any:
    """A value in the types that JSON and YAML have, others as their text; with `finite`, NaN is None."""
    match value:
        case float() if finite and not isfinite(value):
            return None
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [plain(inner, finite) for inner in value]
        case Mapping():
            return {str(name): plain(inner, finite) for name, inner in value.items()}
    return str(value)
