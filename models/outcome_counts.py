"""What labelled records say of each condition, counted: stated answers, and where numbers lie.

Belongs here: weighted counts by condition. Does not belong here: the figures they change (``models.outcome_learning``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from scipy import sparse

from models.features import Feature, feature_matrix, features
from models.figures import Floats, to_scale
from models.generator_settings import generator_settings
from models.literature_prior import INTERVAL_SDS

_FEWEST_NUMBERS = 20  # fewer say nothing of a 5th percentile
_FARTHEST = 3.0  # a number farther out than this many standard deviations counts as lying there: one slip of the pen


def spread_of(percentiles: Floats) -> Floats:
    """The standard deviation that p05 and p95 speak of; ``percentiles``: conditions x 3, on the number's scale."""
    return (percentiles[:, 2] - percentiles[:, 0]) / INTERVAL_SDS


@dataclass(frozen=True)
class OutcomeCounts:
    """Labelled records, counted by condition.

    ``ids``: condition ids, the rows of every count. ``records``: n records of ``record_schema``. ``label``: n places in
    ``ids``. ``weight``: n weights above 0.
    """

    ids: tuple[str, ...]
    records: pl.DataFrame
    label: np.ndarray
    weight: Floats

    @classmethod
    def of(cls, ids: Sequence[str], records: pl.DataFrame, condition: Sequence[str], weight: Floats) -> OutcomeCounts:
        """Counts of ``records`` with one condition and one weight each.

        Raises ``ValueError`` if the lengths differ, a condition is not among ``ids`` (sorted), or a weight is not
        above 0.
        """
        if not records.height == len(condition) == len(weight):
            raise ValueError("records, conditions and weights must be of one length")
        unknown = sorted(set(condition) - set(ids))
        if unknown:
            raise ValueError(f"not conditions of the catalogue: {unknown}")
        if not np.all(np.asarray(weight) > 0):
            raise ValueError("weights must be above 0")
        return cls(tuple(ids), records, np.searchsorted(np.array(ids), np.array(condition, dtype=np.str_)), weight)

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """Stated answers (``models.features``), n x features."""
        return feature_matrix(self.records)

    @cached_property
    def by_condition(self) -> Floats:
        """Records of each condition, conditions."""
        return np.bincount(self.label, self.weight, len(self.ids)).astype(np.float64)

    @cached_property
    def by_answer(self) -> dict[Feature, Floats]:
        """For every feature how many records of each condition state it, conditions; blanks count nowhere."""
        n = len(self.label)
        labels = sparse.csr_array((self.weight, (self.label, np.arange(n))), shape=(len(self.ids), n))
        counts = (labels @ self.matrix).toarray()
        return dict(zip(features(), counts.T, strict=True))

    def distances(self, column: str, percentiles: Floats) -> tuple[Floats, Floats]:
        """How many records of each condition state the number, and the sum of their distances from its median.

        ``percentiles``: p05, p50 and p95 on the number's scale, conditions x 3. Distances are on that scale too, and
        not more than three standard deviations of the number.
        """
        shape = generator_settings().numbers[column]
        number = self.records[column].cast(pl.Float64).to_numpy()
        stated = np.isfinite(number)
        label, weight = self.label[stated], self.weight[stated]
        deviation = spread_of(percentiles)[label]
        distance = to_scale(number[stated], shape) - percentiles[label, 1]
        distance = np.clip(distance, -_FARTHEST * deviation, _FARTHEST * deviation)
        n, total = (np.bincount(label, parts, len(self.ids)) for parts in (weight, weight * distance))
        return n.astype(np.float64), total.astype(np.float64)

    def percentiles(self, column: str) -> Floats | None:
        """The 5th, 50th and 95th percentile of the number over all records, in the form's unit.

        None where too few records state it or the percentiles do not rise.
        """
        number = self.records[column].drop_nulls().cast(pl.Float64).to_numpy()
        if len(number) < _FEWEST_NUMBERS:
            return None
        found = np.quantile(number, [0.05, 0.5, 0.95])
        return found if found[0] < found[1] < found[2] else None
