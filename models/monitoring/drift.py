"""Whether answers or tiers are spread otherwise than they were: two windows of counts compared.

Belongs here: distance and test between two spreads of counts. Does not belong here: the windows and the counting
(``warehouse.monitoring``), the limits (``models.monitoring.limits``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, false_discovery_control

from models.monitoring.findings import Finding
from models.monitoring.limits import DriftLimits

Counts = Mapping[str, int]


class Compared(NamedTuple):
    """Counts by category of one thing (a question's answers with blank as one of them, or tiers) in two windows."""

    subject: str
    reference: Counts
    recent: Counts


def drift(compared: Sequence[Compared], limits: DriftLimits) -> list[Finding]:
    """One finding for each of ``compared``, in their order; together they share the bound on false alarms.

    ``moved`` where the Jensen-Shannon distance (base 2; Endres and Schindelin 2003) reaches ``limits.distance`` and the
    chi-squared test, corrected for the number of comparisons (Benjamini and Hochberg 1995), falls below
    ``limits.chance``. ``too_few_to_say`` where a window has fewer than ``limits.least_records``.
    """
    spoken = [pair for pair in compared if _records(pair) >= limits.least_records]
    by_chance = _corrected([_by_chance(pair) for pair in spoken])
    judged = {id(pair): chance for pair, chance in zip(spoken, by_chance, strict=True)}
    return [
        _finding(pair, judged[id(pair)], limits)
        if id(pair) in judged
        else Finding(
            pair.subject, "too_few_to_say", f"too few to say: fewer than {limits.least_records} forms in a window"
        )
        for pair in compared
    ]


def distance(reference: Counts, recent: Counts) -> float:
    """Jensen-Shannon distance with base 2, 0 to 1; 0 where either holds nothing."""
    table = _table(Compared("", reference, recent))
    if not table.sum(axis=1).all():
        return 0.0
    # Rounding leaves -0.0 or a tiny negative divergence, whose root is no number.
    return float(np.nan_to_num(jensenshannon(table[0], table[1], base=2)))


def _records(pair: Compared) -> int:
    return min(sum(pair.reference.values()), sum(pair.recent.values()))


def _table(pair: Compared) -> np.ndarray:
    categories = sorted({*pair.reference, *pair.recent})
    return np.array([[side.get(name, 0) for name in categories] for side in (pair.reference, pair.recent)], float)


def _by_chance(pair: Compared) -> float:
    table = _table(pair)
    table = table[:, table.sum(axis=0) > 0]
    return float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0


def _corrected(chances: Sequence[float]) -> list[float]:
    return [float(chance) for chance in false_discovery_control(chances)] if chances else []


def _finding(pair: Compared, chance: float, limits: DriftLimits) -> Finding:
    apart = distance(pair.reference, pair.recent)
    moved = apart >= limits.distance and chance < limits.chance
    said = f"distance {apart:.2f}, called out from {limits.distance:.2f}"
    return Finding(pair.subject, "moved" if moved else "ok", said, {"distance": round(apart, 3)}, certain=moved)
