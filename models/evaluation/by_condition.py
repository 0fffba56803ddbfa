"""Figures apart for each true condition: what was named instead of it, and whether the prediction set held it.

Belongs here: confusion and coverage. Does not belong here: making prediction sets (``models.conformal``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from models.evaluation.estimates import LEAST_RECORDS, Estimate, mean, share, shown_shares
from models.evaluation.scoring import Ints
from models.figures import Floats

Bools = NDArray[np.bool_]


class ConfusionRow(TypedDict):
    """Records of one true condition: how many, and the share that named each condition first (``None``: too few)."""

    n: int
    named_right: Estimate | None
    shares: dict[str, float | None]


class SetFigures(TypedDict):
    """How often the prediction set held the true condition, and how many conditions it held on average."""

    covered: Estimate | None
    set_size: Estimate | None


class Coverage(TypedDict):
    """Prediction sets over all records, by condition and by group of conditions; ``aim`` is the stated coverage."""

    aim: float | None
    overall: SetFigures
    holds_dangerous: Estimate | None
    by_condition: dict[str, SetFigures]
    by_group: dict[str, SetFigures]


def confusion(probabilities: Floats, label: Ints, classes: tuple[str, ...]) -> dict[str, ConfusionRow | None]:
    """By true condition the shares of what was named first; ``None`` for a condition with too few records.

    Takes n x classes probabilities and n class positions. Of equally probable conditions the first in order is named.
    """
    first = probabilities.argmax(axis=1)
    rows: dict[str, ConfusionRow | None] = {}
    for position, name in enumerate(classes):
        named = first[label == position]
        if len(named) < LEAST_RECORDS:
            rows[name] = None
            continue
        counts = np.bincount(named, minlength=len(classes)).tolist()
        shares = shown_shares(dict(zip(classes, counts, strict=True)))
        right = share(named == position) if shares[name] is not None else None
        rows[name] = {"n": len(named), "named_right": right, "shares": shares}
    return rows


def set_figures(held: Bools, label: Ints) -> SetFigures:
    """Coverage and size of prediction sets (n x classes) over records with the given true class positions."""
    covered = held[np.arange(len(label)), label]
    return {"covered": share(covered), "set_size": mean(cast(Floats, held.sum(axis=1).astype(np.float64)))}


def coverage_by_condition(held: Bools, label: Ints, classes: tuple[str, ...]) -> dict[str, SetFigures]:
    """``set_figures`` apart for the records of each true condition."""
    return {name: _of(label == position, held, label) for position, name in enumerate(classes)}


def coverage_by_group(
    held: Bools, label: Ints, classes: tuple[str, ...], groups: Mapping[str, Collection[str]]
) -> dict[str, SetFigures]:
    """``set_figures`` apart for the records whose true condition is in each group."""
    members = {group: [i for i, name in enumerate(classes) if name in names] for group, names in groups.items()}
    return {group: _of(np.isin(label, positions), held, label) for group, positions in members.items()}


def _of(chosen: Bools, held: Bools, label: Ints) -> SetFigures:
    return set_figures(held[chosen], label[chosen])
