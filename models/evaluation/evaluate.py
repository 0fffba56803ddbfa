"""All figures of an evaluation in one dictionary that is stored as ``evaluation.json``.

Belongs here: what an evaluation holds and which records each figure is taken from. Does not belong here: the formulas
(the modules beside this one) and the page (``models.evaluation.report``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from models.condition_groups import condition_groups
from models.decision_costs import ConditionCost
from models.evaluation.by_condition import (
    Bools,
    ConfusionRow,
    Coverage,
    confusion,
    coverage_by_condition,
    coverage_by_group,
    set_figures,
)
from models.evaluation.decisions import ANY, DecisionCurve, TierFigures, at_or_faster, decision_curves, tier_figures
from models.evaluation.estimates import (
    INTERVALS,
    LEAST_CELL,
    LEAST_RECORDS,
    Estimate,
    as_estimate,
    check_lengths,
    share,
)
from models.evaluation.reliability import DANGEROUS_EDGES, FIRST_NAMED_EDGES, Bin, reliability
from models.evaluation.scoring import Ints, Scores, scores_with_intervals
from models.evaluation.subgroups import SubgroupFigures, subgroups
from models.figures import Floats

MODEL = "this model"
PRODUCT = "product"  # the policy of ``tiers`` that is rules and model together
FIRST_NAMED = "condition named first"


@dataclass(frozen=True, slots=True)
class EvenSample:
    """Records drawn in equal numbers of each condition: probabilities (n x k), class positions (n), sets (n x k)."""

    probabilities: Floats
    label: Ints
    held: Bools


class LearningPoint(TypedDict):
    """The log loss after learning from ``n`` records."""

    n: int
    log_loss: Estimate


class WorldScores(TypedDict):
    """The log loss of one candidate on each held-back world, their mean and the worst."""

    by_world: dict[str, Estimate]
    mean: float
    worst: float


class Evaluation(TypedDict):
    """What ``evaluate`` gives; ``None`` stands for "too few records" throughout. Shares and probabilities are 0-1.

    ``by_condition_from`` says which records single conditions are judged on. ``reliability`` is by condition named
    first and by dangerous condition, ``decisions`` by any dangerous condition and each, ``tiers`` by policy.
    """

    tested_on: str
    n: int
    by_condition_from: str
    by_condition_n: int
    intervals: str
    least_records: int
    least_cell: int
    dangerous: list[str]
    scores: dict[str, Scores]
    reliability: dict[str, list[Bin]]
    confusion: dict[str, ConfusionRow | None]
    decisions: dict[str, DecisionCurve]
    tiers: dict[str, TierFigures]
    coverage: Coverage
    learning_curve: list[LearningPoint]
    subgroups: dict[str, dict[str, SubgroupFigures | None]]
    worlds: dict[str, WorldScores]


def evaluate(
    probabilities: Floats,
    label: Ints,
    classes: Sequence[str],
    *,
    held: Bools,
    groups: Mapping[str, NDArray[np.str_]],
    baselines: Mapping[str, Floats],
    dangerous: Mapping[str, ConditionCost],
    tiers: Mapping[str, NDArray[np.str_]],
    learning_curve: Sequence[tuple[int, float | Estimate]] = (),
    worlds: Mapping[str, Mapping[str, float | Estimate]] | None = None,
    even: EvenSample | None = None,
    coverage_aim: float | None = None,
    grouped: Mapping[str, Collection[str]] | None = None,
    tested_on: str = "generated records that no step of training saw, conditions as common as the catalogue says",
) -> Evaluation:
    """Judge a table of probabilities, its prediction sets and the tiers that follow, beside baselines.

    Takes ``probabilities`` (n x k, rows sum to 1), ``label`` (n class positions), ``classes`` (k ids in column order),
    ``held`` (n x k, whether the prediction set holds the condition), ``groups`` (n subgroup names by grouping),
    ``baselines`` (n x k probabilities by name), ``dangerous`` (the costs of each dangerous condition, which give its
    threshold), ``tiers`` (n tier ids by policy; ``PRODUCT`` is the one subgroups are judged by), ``learning_curve``
    (number of training records and log loss), ``worlds`` (log loss by candidate and held-back world), ``coverage_aim``
    (the share of true conditions that sets should hold), ``grouped`` (ids of classes by group; default: the groups of
    ``condition_groups.yaml``) and ``tested_on`` (what the n records are, for readers). With ``even``, figures about
    single true conditions come from its records. Raises ``ValueError`` if lengths differ or a tier id is unknown.
    """
    names = tuple(classes)
    for columns in ({"probabilities": probabilities, "held": held}, groups, baselines, tiers):
        check_lengths(len(label), columns)
    together = grouped or {name: group.conditions for name, group in condition_groups().items()}
    positions = [names.index(name) for name in dangerous]
    is_dangerous = np.isin(label, positions)
    urgent = {policy: at_or_faster(given, "urgent") for policy, given in tiers.items()}
    single = even or EvenSample(probabilities, label, held)
    return {
        "tested_on": tested_on,
        "n": len(label),
        "by_condition_from": "records drawn in equal numbers of each condition" if even else tested_on,
        "by_condition_n": len(single.label),
        "intervals": INTERVALS,
        "least_records": LEAST_RECORDS,
        "least_cell": LEAST_CELL,
        "dangerous": list(dangerous),
        "scores": {
            name: scores_with_intervals(table, label, probabilities)
            for name, table in {MODEL: probabilities, **baselines}.items()
        },
        "reliability": _reliability(probabilities, label, names, dangerous),
        "confusion": confusion(single.probabilities, single.label, names),
        "decisions": decision_curves(
            probabilities,
            label,
            names,
            dangerous,
            acted_on=urgent,
            even=(single.probabilities, single.label) if even else None,
        ),
        "tiers": {policy: tier_figures(given, label, names, tuple(dangerous)) for policy, given in tiers.items()},
        "coverage": {
            "aim": coverage_aim,
            "overall": set_figures(held, label),
            "holds_dangerous": share(np.asarray(held[:, positions].any(axis=1))),
            "by_condition": coverage_by_condition(single.held, single.label, names),
            "by_group": coverage_by_group(held, label, names, together),
        },
        "learning_curve": [{"n": n, "log_loss": as_estimate(loss)} for n, loss in learning_curve],
        "subgroups": subgroups(probabilities, label, groups, dangerous=is_dangerous, urgent=urgent.get(PRODUCT)),
        "worlds": {name: _worlds(by_world) for name, by_world in (worlds or {}).items()},
    }


def _reliability(
    probabilities: Floats, label: Ints, classes: tuple[str, ...], dangerous: Collection[str]
) -> dict[str, list[Bin]]:
    first = probabilities.argmax(axis=1)
    positions = [classes.index(name) for name in dangerous]
    found = {FIRST_NAMED: reliability(probabilities.max(axis=1), first == label, FIRST_NAMED_EDGES)}
    any_dangerous = probabilities[:, positions].sum(axis=1)
    found[ANY] = reliability(any_dangerous, np.isin(label, positions), DANGEROUS_EDGES)
    for name, position in zip(dangerous, positions, strict=True):
        found[name] = reliability(probabilities[:, position], label == position, DANGEROUS_EDGES)
    return found


def _worlds(by_world: Mapping[str, float | Estimate]) -> WorldScores:
    found = {world: as_estimate(given) for world, given in by_world.items()}
    values = [cell["value"] for cell in found.values()]
    return {"by_world": found, "mean": round(sum(values) / len(values), 6), "worst": max(values)}
