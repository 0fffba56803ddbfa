"""The catalogue's figures as arrays: one table a column of the form, profiles in rows.

Belongs here: looking figures up, filling what the catalogue does not say, drawing a clinic's own figures from their
ranges, and the spread of numbers between percentiles. Does not belong here: drawing people (``models.people``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from models.catalogue import Catalogue, Subgroup
from models.features import facts
from models.generator_settings import Shape, generator_settings
from schemas.form import answer_columns, questions

Floats = NDArray[np.float64]

BACKGROUND = "not_in_catalogue"  # its figures stand in where another condition has none
ABOUT_THE_PERSON = frozenset({"age_years", "sex"})
PERCENTILES = ("p05", "p50", "p95")
_Z95 = 1.6448536269514722  # the normal quantile at 95 %
_LEAST, _MOST = 2e-4, 0.99  # a figure of 0 or 1 in a small series is not one in the world (judgement)


class Place(Enum):
    """Where in their ranges figures are drawn: anywhere, in even steps (for means), or all clinics at one end each."""

    WITHIN = "within"
    EVENLY = "evenly"
    AT_THE_ENDS = "at_the_ends"


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of one column: ``value``, ``low`` and ``high`` are profiles x answers.

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


@dataclass(frozen=True, slots=True)
class Profile:
    """One way in which a condition shows: as a whole, as one of its subgroups, or together with a second condition.

    ``share``: of the people with ``condition``, how many show so; the shares of a condition sum to 1. ``name`` is the
    condition's id, the subgroup's id, or ``condition+second``.
    """

    condition: str
    name: str
    share: float
    subgroup: Subgroup | None = None
    second: str | None = None


def condition_ids(catalogue: Catalogue) -> tuple[str, ...]:
    """The classes, sorted by id: the order of every array over conditions and of ``classes_`` in scikit-learn."""
    return tuple(sorted(catalogue.conditions))


def priors(catalogue: Catalogue) -> Floats:
    """Central prior probabilities in the order of ``condition_ids``; they sum to 1."""
    weights = np.array([catalogue.conditions[c].prior.value for c in condition_ids(catalogue)])
    return cast(Floats, weights / weights.sum())


def profiles(catalogue: Catalogue) -> tuple[Profile, ...]:
    """Every profile of every condition, conditions in the order of ``condition_ids``."""
    found: list[Profile] = []
    for name in condition_ids(catalogue):
        pairs = [pair for pair in catalogue.comorbid_pairs if pair.condition == name]
        alone = 1 - sum(pair.share.value for pair in pairs)
        subgroups = catalogue.conditions[name].subgroups
        found += [Profile(name, part.id, alone * part.share.value, subgroup=part) for part in subgroups]
        found += [] if subgroups else [Profile(name, name, alone)]
        found += [Profile(name, f"{name}+{pair.also}", pair.share.value, second=pair.also) for pair in pairs]
    return tuple(found)


def profile_conditions(catalogue: Catalogue) -> NDArray[np.int64]:
    """For each profile the place of its condition in ``condition_ids``."""
    ids = condition_ids(catalogue)
    return np.array([ids.index(profile.condition) for profile in profiles(catalogue)])


def mixing(catalogue: Catalogue) -> Floats:
    """Conditions x profiles: the share of each profile among the people with its condition, else 0."""
    found = np.zeros((len(catalogue.conditions), len(profiles(catalogue))))
    found[profile_conditions(catalogue), np.arange(found.shape[1])] = [p.share for p in profiles(catalogue)]
    return found


def background_profile(catalogue: Catalogue) -> int:
    """The place of the background condition's first profile: where answers that tell nothing are drawn from."""
    return next(place for place, profile in enumerate(profiles(catalogue)) if profile.condition == BACKGROUND)


def tables(catalogue: Catalogue) -> dict[str, Table]:
    """A table for every column of the form that the catalogue's background condition has figures for.

    Where a condition has no figure for an answer, the background's stands in: such an answer then says nothing for or
    against the condition. A subgroup's figure goes before its condition's. With two conditions at once a finding is as
    frequent as in the one that shows it more, and choices and numbers are those of the main diagnosis (judgement). The
    columns of one fact share the largest of their figures, because whichever is asked states the fact.
    """
    found: dict[str, Table] = {}
    shown = profiles(catalogue)
    for column in answer_columns():
        answers = _answers(column)
        if not all(catalogue.conditions[BACKGROUND].likelihood(column, answer) for answer in answers):
            continue
        rows = [[_figure(catalogue, profile, column, a) for a in answers] for profile in shown]
        value, low, high = np.moveaxis(np.array(rows, dtype=np.float64), 2, 0)
        found[column] = Table(answers, value, low, high)
    for leading, members in facts().items():
        # A part of a whole (an implant, of an operation) keeps its own figure.
        members = tuple(column for column in members if column not in generator_settings().implies)
        carriers = [found[column] for column in members if column in found]
        if len(carriers) > 1:
            most = [np.max([getattr(table, part) for table in carriers], axis=0) for part in ("value", "low", "high")]
            found |= dict.fromkeys([m for m in members if m in found] + [leading], Table(("1",), *most))
    return found


def _figure(catalogue: Catalogue, profile: Profile, column: str, answer: str) -> tuple[float, float, float]:
    background = catalogue.conditions[BACKGROUND].likelihood(column, answer)
    whole = catalogue.conditions[profile.condition].likelihood(column, answer)
    own = (profile.subgroup.likelihood(column, answer) if profile.subgroup else None) or whole or background
    assert own is not None  # noqa: S101  the background has every answer of a column that gets a table
    figure = (own.value, own.low, own.high)
    if profile.second and questions()[column].type == "yesno":
        other = catalogue.conditions[profile.second].likelihood(column, answer)
        return max(figure, (other.value, other.low, other.high)) if other else figure
    return figure


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


def draw(column: str, table: Table, clinics: int, rng: np.random.Generator, place: Place = Place.WITHIN) -> Floats:
    """Figures of ``clinics`` simulated clinics, clinics x profiles x answers.

    Each is drawn from a triangular distribution from ``low`` over ``value`` to ``high`` on the logit scale
    (percentiles: on the number's own scale, the three moving together so that they keep their order). ``place``: see
    ``Place``.
    """
    low, mode, high = (_scaled(column, table, figures) for figures in (table.low, table.value, table.high))
    shape = (clinics, table.value.shape[0], 1 if table.is_number else table.value.shape[1])
    if place is Place.EVENLY:
        u = (rng.permuted(np.broadcast_to(np.arange(clinics)[:, None, None], shape), axis=0) + 0.5) / clinics
    elif place is Place.AT_THE_ENDS:
        u = np.broadcast_to(rng.integers(0, 2, shape[1:]), shape).astype(np.float64)
    else:
        u = rng.random(shape)
    return _whole(column, table, _inverse(column, table, _triangular(u, low, mode, high)))


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


def normal_score(catalogue: Catalogue, column: str, x: float, percentiles: Floats) -> Floats:
    """The standard normal score of the number ``x`` (may be infinite): the inverse of ``number_at``.

    ``percentiles`` ends in profiles x 3; gives its shape without the last axis. Beyond the ages that a condition occurs
    at the score is infinite, as nobody lies there.
    """
    shape = generator_settings().numbers[column]
    if not np.isfinite(x):
        return np.full(percentiles.shape[:-1], x)
    middle, below, above = _spread(percentiles, shape)
    distance = to_scale(np.array(x), shape) - middle
    score = distance / np.where(distance < 0, below, above)
    if column == "age_years":
        low, high = age_limits(catalogue)
        score = np.where(x > high, np.inf, np.where(x <= low, -np.inf, score))
    return score


def age_limits(catalogue: Catalogue) -> tuple[Floats, Floats]:
    """Youngest and oldest age in years that each profile occurs at."""
    settings = generator_settings()
    limits = [settings.condition_age.get(p.condition, settings.age_of_anyone) for p in profiles(catalogue)]
    low, high = np.array(limits, dtype=np.float64).T
    return low, high
