"""Writing back into the catalogue what outcomes moved.

Belongs here: a catalogue with moved figures and priors, and notes that say so. Does not belong here: how far they move
(``models.outcome_learning``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

import numpy as np
from scipy.special import expit

from models import figures
from models.catalogue import Catalogue, Condition, Likelihood, Prior
from models.figures import PERCENTILES, Floats, from_scale, log_odds, to_scale
from models.generator_settings import generator_settings

_ROUNDING = 1e-9

Key = tuple[str, str]  # a column and an answer


@dataclass(frozen=True, slots=True)
class Move:
    """How far the figures of one answer move, one entry a condition in the order of ``condition_ids``.

    ``by``: in log-odds (numbers: on the scale they are spread on). ``keeps``: the part of its range that a figure
    keeps. ``notes``: what is added to its note; none where empty.
    """

    by: Floats
    keeps: Floats
    notes: tuple[str, ...] = ()

    @classmethod
    def of_outcomes(cls, by: Floats, worth: Floats, n: Floats) -> Self:
        """A move after ``n`` weighted outcomes where the literature was worth ``worth`` patients."""
        by = np.where(np.abs(by) < _ROUNDING, 0.0, by)
        notes = (f"literature n0={w:.1f}, outcomes n={k:.1f}" for w, k in zip(worth, n, strict=True))
        return cls(by, np.sqrt(worth / (worth + n)), tuple(notes))

    def part_of_the_way(self, part: float) -> Self:
        """``part`` (0 to 1) of the move; the range narrows by the same part, in logarithms."""
        return replace(self, by=self.by * part, keeps=self.keeps**part)


def moved_catalogue(catalogue: Catalogue, moves: Mapping[Key, Move], priors: Sequence[Prior]) -> Catalogue:
    """The catalogue with its figures moved, and ``priors`` in the order of ``condition_ids``.

    Figures without a move stay as they are. Where the background's figure stood in for a condition, the condition
    gets one of its own as soon as it moves. The version changes with the figures.
    """
    background = catalogue.conditions[figures.BACKGROUND]
    conditions: dict[str, Condition] = {}
    places = {name: place for place, name in enumerate(figures.condition_ids(catalogue))}
    for name, condition in catalogue.conditions.items():
        lent = tuple(row for row in background.likelihoods if condition.likelihood(row.column, row.answer) is None)
        place = places[name]
        conditions[name] = replace(
            condition,
            prior=priors[place],
            likelihoods=_moved(condition.likelihoods + lent, moves, place),
            subgroups=tuple(
                replace(part, likelihoods=_moved(part.likelihoods, moves, place)) for part in condition.subgroups
            ),
        )
    learnt = replace(catalogue, conditions=MappingProxyType(conditions))
    return replace(learnt, version=_version(learnt))


def _moved(rows: Sequence[Likelihood], moves: Mapping[Key, Move], place: int) -> tuple[Likelihood, ...]:
    found = list(rows)
    spoken = [
        (i, row, moves[row.column, row.answer]) for i, row in enumerate(rows) if (row.column, row.answer) in moves
    ]
    spoken = [(i, row, move) for i, row, move in spoken if move.by[place] != 0 or move.keeps[place] != 1]
    if not spoken:
        return tuple(rows)
    by, keeps = np.array([(move.by[place], move.keeps[place]) for _, _, move in spoken]).T
    ends = np.array([(row.value, row.low, row.high) for _, row, _ in spoken])
    new = expit(_around(log_odds(ends), by[:, None], keeps[:, None]))
    for k, (_, row, _) in enumerate(spoken):
        if row.answer in PERCENTILES:
            shape = generator_settings().numbers[row.column]
            new[k] = from_scale(_around(to_scale(ends[k : k + 1], shape), by[k], keeps[k])[0], shape)
    for (i, row, move), (value, low, high) in zip(spoken, new.tolist(), strict=True):
        note = "; ".join(part for part in (row.note, move.notes[place] if move.notes else "") if part)
        # By position, because replace() takes ten times as long and a catalogue holds thousands of figures.
        found[i] = Likelihood(row.column, row.answer, value, low, high, row.source, row.provenance, note)
    return tuple(found)


def _around(ends: Floats, by: Floats, keeps: Floats) -> Floats:
    """Values moved and their ranges narrowed; ``ends``: rows of value, low and high on their scale."""
    return ends[:, :1] + by + keeps * (ends - ends[:, :1])


def _version(catalogue: Catalogue) -> str:
    """A learnt catalogue must not pass for the one that it came from."""
    numbers = [condition.prior.value for condition in catalogue.conditions.values()]
    numbers += [row.value for condition in catalogue.conditions.values() for row in condition.likelihoods]
    return hashlib.sha256(catalogue.version.encode() + np.array(numbers).tobytes()).hexdigest()[:12]
