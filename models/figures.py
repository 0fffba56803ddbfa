"""The catalogue's figures as arrays: one table a column of the form, conditions in rows.

Belongs here: looking figures up, filling what the catalogue does not say, drawing a clinic's own figures from their
ranges, and the spread of numbers between percentiles. Does not belong here: drawing people (``models.cohort``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

from models.catalogue import Catalogue
from models.generator_settings import Shape, generator_settings
from schemas.form import answer_columns, questions

Floats = NDArray[np.float64]

BACKGROUND = "not_in_catalogue"  # its figures stand in where another condition has none
PERCENTILES = ("p05", "p50", "p95")
_Z95 = 1.6448536269514722  # the normal quantile at 95 %
_LEAST, _MOST = 1e-3, 0.99  # a figure of 0 or 1 in a small series is not one in the world (judgement)


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of one column: ``value``, ``low`` and ``high`` are conditions x answers.

    Answers are ("1",) for a yes/no column and for the share of women, the choices of a choice column (summing to
    1), or the three percentiles of a number in its unit.
    """

    answers: tuple[str, ...]
    value: Floats
    low: Floats
    high: Floats

    @property
    def is_number(self) -> bool:
        """Whether the figures are percentiles instead of probabilities."""
        return self.answers == PERCENTILES


def condition_ids(catalogue: Catalogue) -> tuple[str, ...]:
    """The classes, sorted by id: the order of every array over conditions and of ``classes_`` in scikit-learn."""
    return tuple(sorted(catalogue.conditions))


def priors(catalogue: Catalogue) -> Floats:
    """Central prior probabilities in the order of ``condition_ids``; they sum to 1."""
    weights = np.array([catalogue.conditions[c].prior.value for c in condition_ids(catalogue)])
    return cast(Floats, weights / weights.sum())


def tables(catalogue: Catalogue) -> dict[str, Table]:
    """A table for every column of the form that the catalogue's background condition has figures for.

    Where a condition has no figure for an answer, the background's stands in: such an answer then says nothing for or
    against the condition.
    """
    background = catalogue.conditions[BACKGROUND]
    found: dict[str, Table] = {}
    for column in answer_columns():
        answers = _answers(column)
        if not all(background.likelihood(column, answer) for answer in answers):
            continue
        rows = [
            [condition.likelihood(column, a) or background.likelihood(column, a) for a in answers]
            for condition in (catalogue.conditions[c] for c in condition_ids(catalogue))
        ]
        cells = [[(f.value, f.low, f.high) for f in row if f is not None] for row in rows]
        value, low, high = np.moveaxis(np.array(cells, dtype=np.float64), 2, 0)
        found[column] = Table(answers, value, low, high)
    return found


def _answers(column: str) -> tuple[str, ...]:
    question = questions()[column]
    if column == "sex":
        return ("female",)
    if question.type in ("integer", "number"):
        return PERCENTILES
    return question.choices if question.type == "choice" else ("1",)


def central(column: str, table: Table) -> Floats:
    """The central figures of a table, made whole: choices sum to 1, percentiles rise, nothing is certain."""
    return _whole(column, table, _inverse(column, table, _scaled(column, table, table.value)))


def draw(column: str, table: Table, clinics: int, rng: np.random.Generator) -> Floats:
    """Figures of ``clinics`` simulated clinics, clinics x conditions x answers.

    Each is drawn from a triangular distribution from ``low`` over ``value`` to ``high`` on the logit scale
    (percentiles: on the number's own scale, the three moving together so that they keep their order).
    """
    low, mode, high = (_scaled(column, table, figures) for figures in (table.low, table.value, table.high))
    shape = (clinics, table.value.shape[0], 1 if table.is_number else table.value.shape[1])
    drawn = _triangular(rng.random(shape), low, mode, high)
    return _whole(column, table, _inverse(column, table, drawn))


def _triangular(u: Floats, low: Floats, mode: Floats, high: Floats) -> Floats:
    low, high = np.minimum(low, mode), np.maximum(high, mode)
    width = np.maximum(high - low, 1e-12)
    left = (mode - low) / width
    rising = low + np.sqrt(u * width * (mode - low))
    falling = high - np.sqrt((1 - u) * width * (high - mode))
    return cast(Floats, np.where(u < left, rising, falling))


def _scaled(column: str, table: Table, figures: Floats) -> Floats:
    if table.is_number:
        return to_scale(figures, generator_settings().numbers[column])
    return log_odds(figures)


def log_odds(share: Floats | float) -> Floats:
    """Log-odds of a share, kept away from certainty."""
    return cast(Floats, logit(np.clip(share, _LEAST, _MOST)))


def _inverse(column: str, table: Table, figures: Floats) -> Floats:
    if table.is_number:
        return from_scale(figures, generator_settings().numbers[column])
    return expit(figures)


def _whole(column: str, table: Table, figures: Floats) -> Floats:
    if table.is_number:
        return cast(Floats, np.sort(figures, axis=-1))
    if len(table.answers) > 1:
        return cast(Floats, figures / figures.sum(axis=-1, keepdims=True))
    return figures


def to_scale(x: Floats, shape: Shape) -> Floats:
    """Numbers on the scale they are spread on; the inverse of ``from_scale``."""
    return cast(Floats, np.log(np.maximum(x + shape.shift, 1e-3))) if shape.scale == "log" else x


def from_scale(y: Floats, shape: Shape) -> Floats:
    """Numbers in the form's unit from the scale they are spread on."""
    return np.exp(y) - shape.shift if shape.scale == "log" else y


def _spread(percentiles: Floats, shape: Shape) -> tuple[Floats, Floats, Floats]:
    p05, p50, p95 = np.moveaxis(to_scale(percentiles, shape), -1, 0)
    return p50, np.maximum((p50 - p05) / _Z95, 1e-6), np.maximum((p95 - p50) / _Z95, 1e-6)


def number_at(z: Floats, percentiles: Floats, shape: Shape) -> Floats:
    """The number at standard normal score ``z``: normal to either side of the median, through all three percentiles."""
    middle, below, above = _spread(percentiles, shape)
    return from_scale(middle + z * np.where(z < 0, below, above), shape)


def share_below(x: float, percentiles: Floats, shape: Shape) -> Floats:
    """The share of people below ``x`` (may be infinite): the inverse of ``number_at``, one a row of percentiles."""
    middle, below, above = _spread(percentiles, shape)
    if not np.isfinite(x):
        return np.full(middle.shape, float(x > 0))
    distance = to_scale(np.array(x), shape) - middle
    return ndtr(distance / np.where(distance < 0, below, above))


def factor_shifts(catalogue: Catalogue) -> Mapping[str, Floats]:
    """By yes/no column, how much each contributing factor raises the log-odds of the answer, in catalogue order."""
    shifts: dict[str, Floats] = {}
    for position, factor in enumerate(catalogue.factors.values()):
        without = {(row.column, row.answer): row.value for row in factor.without}
        for row in factor.likelihoods:
            other = without.get((row.column, row.answer))
            if other is None or row.answer != "1":
                continue
            shift = shifts.setdefault(row.column, np.zeros(len(catalogue.factors)))
            shift[position] = log_odds(row.value) - log_odds(other)
    return shifts
