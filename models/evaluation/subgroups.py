"""The same figures apart for groups of people: by sex, age band, kind of form, clinic.

Belongs here: figures of one subgroup. Does not belong here: sensitive answers of the form (pregnancy, eating,
safeguarding and the like never make a subgroup).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from models.evaluation.by_condition import Bools
from models.evaluation.estimates import LEAST_RECORDS, Estimate, mean, share
from models.evaluation.scoring import Ints, losses, ranks
from models.figures import Floats

NOT_STATED = "not stated"


class SubgroupFigures(TypedDict):
    """Figures of one subgroup; sensitivity and over-triage are about the tier urgent or faster."""

    n: int
    log_loss: Estimate | None
    top1: Estimate | None
    top3: Estimate | None
    sensitivity: Estimate | None
    over_triage: Estimate | None


def subgroups(
    probabilities: Floats,
    label: Ints,
    groups: Mapping[str, NDArray[np.str_]],
    *,
    dangerous: Bools,
    urgent: Bools | None,
) -> dict[str, dict[str, SubgroupFigures | None]]:
    """By grouping and subgroup the figures, ``None`` for a subgroup of fewer than ``LEAST_RECORDS`` records.

    Takes n x classes probabilities, n class positions, the subgroup of each record by name of the grouping (blank or
    None: not stated), which records truly had a dangerous condition, and which got the tier urgent or faster.
    """
    loss, rank = losses(probabilities, label), ranks(probabilities, label)
    found: dict[str, dict[str, SubgroupFigures | None]] = {}
    for grouping, given in groups.items():
        words = np.asarray(given).astype(str)
        words = np.where(np.isin(words, ("", "None")), NOT_STATED, words)
        found[grouping] = {}
        for name in np.unique(words):
            own = words == name
            if int(own.sum()) < LEAST_RECORDS:
                found[grouping][str(name)] = None
                continue
            found[grouping][str(name)] = {
                "n": int(own.sum()),
                "log_loss": mean(loss[own]),
                "top1": share(rank[own] < 1),
                "top3": share(rank[own] < 3),
                "sensitivity": None if urgent is None else share(urgent[own & dangerous]),
                "over_triage": None if urgent is None else share(urgent[own & ~dangerous]),
            }
    return found
