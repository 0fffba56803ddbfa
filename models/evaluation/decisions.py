"""What acting on dangerous conditions would find and cost: sensitivity, over-triage and net benefit.

Belongs here: figures about decisions, from probabilities with a threshold or from tiers. Does not belong here: the
thresholds (``models.decision_costs``) and how a tier comes about (``models.priority``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from models.decision_costs import ConditionCost
from models.evaluation.by_condition import Bools
from models.evaluation.estimates import Estimate, mean, share, shown_shares
from models.evaluation.scoring import Ints
from models.figures import Floats
from schemas.tiers import tiers

ANY, HARMLESS = "any dangerous condition", "no dangerous condition"
THRESHOLDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)


class CurvePoint(TypedDict):
    """Acting from ``threshold`` on: who is found, who is raised without need, and the net benefit.

    ``sensitivity`` is over the ill, ``over_triage`` over records without any dangerous condition. Net benefit is in
    true positives a record: of acting by the model, of acting always (never acting has 0), and by ``policies`` of
    tiers that do not look at the threshold.
    """

    threshold: float
    sensitivity: Estimate | None
    over_triage: Estimate | None
    net_benefit: Estimate | None
    treat_all: Estimate | None
    policies: dict[str, Estimate | None]


class AtChosen(TypedDict):
    """Sensitivity and over-triage of acting at the threshold of the written cost ratio."""

    sensitivity: Estimate | None
    over_triage: Estimate | None


class DecisionCurve(TypedDict):
    """The curve of one dangerous condition, or of any, and what acting by the written costs gives.

    For any dangerous condition the score is the sum of their probabilities; it has no chosen threshold of its own, and
    ``at_chosen`` is acting when one of them reaches the threshold of that condition.
    """

    chosen: float | None
    at_chosen: AtChosen
    curve: list[CurvePoint]


class TierFigures(TypedDict):
    """One way of giving tiers: how common each is, and who is at urgent or at same day, or faster.

    Keys of the latter two are the dangerous conditions, any of them (sensitivity) and none of them (over-triage).
    """

    distribution: dict[str, float | None]
    urgent_or_faster: dict[str, Estimate | None]
    same_day_or_faster: dict[str, Estimate | None]


def net_benefit(acted: Bools, ill: Bools, threshold: float) -> Estimate | None:
    """TP/n - FP/n x threshold/(1 - threshold), in true positives a record (Vickers and Elkin 2006).

    ``acted`` and ``ill`` have one value a record; ``threshold`` is a probability below 1.
    """
    weight = threshold / (1 - threshold)
    return mean(np.where(acted, np.where(ill, 1.0, -weight), 0.0))


def decision_curves(
    probabilities: Floats,
    label: Ints,
    classes: tuple[str, ...],
    costs: Mapping[str, ConditionCost],
    *,
    acted_on: Mapping[str, Bools],
    even: tuple[Floats, Ints] | None = None,
) -> dict[str, DecisionCurve]:
    """A curve for any dangerous condition and for each one of ``costs``, which names and prices them.

    Takes n x classes probabilities and n class positions. ``acted_on`` (n each) says by name of a policy which records
    it treats as urgent. ``even`` (probabilities and class positions of records drawn in equal numbers of each
    condition) gives the sensitivity for single conditions, which are rare in records drawn as often as they occur.
    """
    positions = [classes.index(name) for name in costs]
    limits = np.array([costs[name].raise_from for name in costs])
    dangerous = np.isin(label, positions)
    raised: Bools = np.any(probabilities[:, positions] >= limits, axis=1)
    found: dict[str, DecisionCurve] = {
        ANY: {
            "chosen": None,
            "at_chosen": {"sensitivity": share(raised[dangerous]), "over_triage": share(raised[~dangerous])},
            "curve": _curve(probabilities[:, positions].sum(axis=1), dangerous, ~dangerous, acted_on=acted_on),
        }
    }
    given, given_label = even or (probabilities, label)
    for name, position in zip(costs, positions, strict=True):
        chosen, ill_scores = costs[name].raise_from, given[given_label == position, position]
        score = probabilities[:, position]
        found[name] = {
            "chosen": round(chosen, 6),
            "at_chosen": {
                "sensitivity": share(ill_scores >= chosen),
                "over_triage": share(score[~dangerous] >= chosen),
            },
            "curve": _curve(score, label == position, ~dangerous, ill_scores=ill_scores, chosen=chosen),
        }
    return found


def _curve(
    score: Floats,
    ill: Bools,
    harmless: Bools,
    *,
    ill_scores: Floats | None = None,
    chosen: float | None = None,
    acted_on: Mapping[str, Bools] | None = None,
) -> list[CurvePoint]:
    of_ill = score[ill] if ill_scores is None else ill_scores
    everybody = np.ones(len(score), dtype=np.bool_)
    return [
        {
            "threshold": round(threshold, 6),
            "sensitivity": share(of_ill >= threshold),
            "over_triage": share(score[harmless] >= threshold),
            "net_benefit": net_benefit(score >= threshold, ill, threshold),
            "treat_all": net_benefit(everybody, ill, threshold),
            "policies": {name: net_benefit(acted, ill, threshold) for name, acted in (acted_on or {}).items()},
        }
        for threshold in sorted({*THRESHOLDS, chosen} if chosen is not None else THRESHOLDS)
    ]


def at_or_faster(given: NDArray[np.str_], tier: str) -> Bools:
    """Which of the tier ids are ``tier`` or more urgent. Raises ``ValueError`` naming ids that are no tier."""
    known = tiers()
    ids, inverse = np.unique(given, return_inverse=True)
    unknown = [str(name) for name in ids if name not in known]
    if unknown:
        raise ValueError(f"not a tier: {unknown}")
    fast = np.array([known[str(name)].rank <= known[tier].rank for name in ids], dtype=np.bool_)
    return fast[inverse]


def tier_figures(
    given: NDArray[np.str_], label: Ints, classes: tuple[str, ...], dangerous: tuple[str, ...]
) -> TierFigures:
    """Figures of one way of giving tiers: ``given`` tier ids and class positions ``label``, one a record."""
    positions = [classes.index(name) for name in dangerous]
    chosen = {ANY: np.isin(label, positions)}
    chosen |= {name: label == position for name, position in zip(dangerous, positions, strict=True)}
    chosen[HARMLESS] = ~chosen[ANY]
    urgent, same_day = at_or_faster(given, "urgent"), at_or_faster(given, "same_day")
    return {
        "distribution": shown_shares({tier: int((given == tier).sum()) for tier in tiers()}),
        "urgent_or_faster": {name: share(urgent[rows]) for name, rows in chosen.items()},
        "same_day_or_faster": {name: share(same_day[rows]) for name, rows in chosen.items()},
    }
