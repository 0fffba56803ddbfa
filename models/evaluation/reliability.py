"""How often a condition was true among records that were given about the same probability of it.

Belongs here: binning predicted probabilities. Does not belong here: drawing the bins (``models.evaluation.plots``).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from models.evaluation.estimates import LEAST_RECORDS, Estimate, share
from models.figures import Floats

FIRST_NAMED_EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# Thresholds for dangerous conditions lie between 0.01 and 0.2, so the bins are narrow where decisions are made.
DANGEROUS_EDGES = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


class Bin(TypedDict):
    """Records with a probability from ``low`` up to below ``high`` (the last bin includes 1)."""

    low: float
    high: float
    predicted: float | None
    observed: Estimate | None


def reliability(predicted: Floats, happened: NDArray[np.bool_], edges: tuple[float, ...]) -> list[Bin]:
    """By bin of ``predicted`` (n) its mean and the observed share of ``happened`` (n) with its Wilson interval.

    ``edges`` rise from 0 to 1. A bin with fewer than ``LEAST_RECORDS`` records says nothing but its edges.
    """
    position = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, len(edges) - 2)
    found: list[Bin] = []
    for i, (low, high) in enumerate(pairwise(edges)):
        inside = position == i
        enough = int(inside.sum()) >= LEAST_RECORDS
        found.append(
            {
                "low": low,
                "high": high,
                "predicted": round(float(predicted[inside].mean()), 6) if enough else None,
                "observed": share(happened[inside]),
            }
        )
    return found
