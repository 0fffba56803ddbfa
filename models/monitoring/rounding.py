"""Counts of people for those who see no record: small ones hidden, the others rounded.

Belongs here: the parts of one known number. Does not belong here: tables whose totals other pages show exactly, to the
unit (``models.monitoring.suppression``).

Counts of 7 or fewer are hidden and the rest rounded to the nearest 5, as OpenSAFELY does before anything leaves it.
Rounding alone would at times still give a hidden count away to somebody who knows the sum: then the smallest of the
others is hidden with it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from models.evaluation.estimates import LEAST_CELL

NEAREST = 5
POSSIBLE_AT_LEAST = 3  # values that a hidden count may have for all that is shown (judgement)
_OFF = NEAREST // 2  # by how much a rounded count differs at most from what it was

Part = TypeVar("Part", bound=Hashable)


def rounded(count: int) -> int:
    """A count to the nearest 5."""
    return NEAREST * ((count + _OFF) // NEAREST)


def rounded_parts(counts: Mapping[Part, int]) -> dict[Part, int | None]:
    """The parts of a sum that may be known to the unit: None for hidden, else to the nearest 5.

    Of a sum of fewer than 8 nothing is shown, and the sum has to stay hidden too. Whoever knows a larger one and what
    is shown finds at least POSSIBLE_AT_LEAST values possible for each hidden count, or that a part holds nobody.
    """
    shown = {part for part, count in counts.items() if count >= LEAST_CELL}
    while shown and _gives_away(counts, shown):
        shown.remove(min(shown, key=lambda part: (counts[part], str(part))))
    return {part: rounded(count) if part in shown else None for part, count in counts.items()}


def _gives_away(counts: Mapping[Part, int], shown: set[Part]) -> bool:
    hidden = counts.keys() - shown
    if not any(0 < counts[part] < LEAST_CELL for part in hidden):
        return False  # that there is nobody may be worked out: it tells of nobody
    left = sum(counts.values()) - sum(rounded(counts[part]) for part in shown)
    least, most = max(0, left - _OFF * len(shown)), left + _OFF * len(shown)
    if len(hidden) == 1:
        most = min(most, LEAST_CELL - 1)  # nobody hides a large count alone
    else:
        least = 0  # the others can hold them all
    return most - least + 1 < POSSIBLE_AT_LEAST
