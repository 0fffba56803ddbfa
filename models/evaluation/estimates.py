"""A figure with its number of records and its 95 % interval, and the limits below which it is not shown.

Belongs here: intervals and the hiding of small numbers. Does not belong here: what is counted.

Records count as independent of each other. Generated records of one simulated clinic are not quite, so the intervals
are a little too narrow; the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from models.figures import Floats

LEAST_RECORDS = 30  # a figure over fewer records than this is "too few" (judgement; not yet signed by a clinician)
LEAST_CELL = 8  # a cell of a table with fewer records is "too few": OpenSAFELY hides counts up to 7
_Z = 1.959963984540054  # normal quantile at 97.5 %
_PLACES = 6

INTERVALS = (
    "Every interval is a 95 % interval. Shares have Wilson score intervals (Wilson 1927). Means over records (log loss,"
    " Brier score, net benefit, set size, differences between two models on the same records) have normal intervals"
    " from the standard error over records. The calibration slope has a normal interval from its Fisher information."
    " Records count as independent; generated records of one simulated clinic are not quite, so all intervals are a"
    " little too narrow."
)


class Estimate(TypedDict):
    """A figure, its 95 % interval, and over how many records. ``None`` means that it was handed over without."""

    value: float
    low: float | None
    high: float | None
    n: int | None


def estimate(value: float, low: float, high: float, n: int) -> Estimate:
    """An estimate with its figures rounded to what is stored."""
    return {"value": round(value, _PLACES), "low": round(low, _PLACES), "high": round(high, _PLACES), "n": n}


def as_estimate(given: float | Estimate) -> Estimate:
    """What was handed over as an estimate: a bare number gets no interval and no number of records."""
    if isinstance(given, dict):
        return given
    return {"value": round(float(given), _PLACES), "low": None, "high": None, "n": None}


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Low and high end of the 95 % score interval of ``hits`` of ``n`` (Wilson 1927); ``n`` at least 1."""
    share, squared = hits / n, _Z * _Z
    middle = (share + squared / (2 * n)) / (1 + squared / n)
    half = _Z / (1 + squared / n) * np.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def share(hit: NDArray[np.bool_]) -> Estimate | None:
    """The share of true values with its Wilson interval; ``None`` (too few) below ``LEAST_RECORDS`` values."""
    n = len(hit)
    if n < LEAST_RECORDS:
        return None
    hits = int(hit.sum())
    return estimate(hits / n, *wilson(hits, n), n)


def mean(values: Floats) -> Estimate | None:
    """The mean with its normal interval; ``None`` (too few) below ``LEAST_RECORDS`` values."""
    n = len(values)
    if n < LEAST_RECORDS:
        return None
    middle, half = float(values.mean()), _Z * float(values.std(ddof=1)) / n**0.5
    return estimate(middle, middle - half, middle + half, n)


def around(value: float, standard_error: float, n: int) -> Estimate | None:
    """A figure with the normal interval of its standard error; ``None`` (too few) below ``LEAST_RECORDS`` records."""
    if n < LEAST_RECORDS:
        return None
    return estimate(value, value - _Z * standard_error, value + _Z * standard_error, n)


def shown_shares(counts: Mapping[str, int]) -> dict[str, float | None]:
    """Each count as a share of all, ``None`` where fewer than ``LEAST_CELL`` records stand behind it.

    Hidden cells could be worked out from the others if few records hid in them together; then the smallest shown cells
    are hidden too, until at least ``LEAST_CELL`` records are.
    """
    total = sum(counts.values())
    hidden = {name for name, count in counts.items() if count < LEAST_CELL}
    for name in sorted(set(counts) - hidden, key=lambda name: (counts[name], name)):
        if not 0 < sum(counts[name] for name in hidden) < LEAST_CELL:
            break
        hidden.add(name)
    return {name: None if name in hidden else round(count / total, _PLACES) for name, count in counts.items()}


def check_lengths(n: int, columns: Mapping[str, Sized]) -> None:
    """Raise ``ValueError`` naming the ``columns`` that do not have one value for each of ``n`` records."""
    differing = [name for name, column in columns.items() if len(column) != n]
    if differing:
        raise ValueError(f"not one value for each of {n} records in {differing}")
