"""The one way in which counts of people become figures that others see: small ones hidden, and not to be worked out.

Belongs here: hiding cells of a table of counts. Does not belong here: how the table is shown.

The limit is that of OpenSAFELY (counts up to 7 are hidden, none at all included), as everywhere in this project. Totals
of rows and columns count as known to whoever looks, because other pages show them: a cell that they would give away
takes others with it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.evaluation.estimates import LEAST_CELL

HIDDEN = f"{LEAST_CELL - 1} or fewer"
WITHHELD = "hidden"
_ZERO = 1e-9

Row = TypeVar("Row", bound=Hashable)
Column = TypeVar("Column", bound=Hashable)


def suppressed(counts: Mapping[Row, Mapping[Column, int]]) -> dict[Row, dict[Column, int | None]]:
    """The same table with ``None`` in place of every count that is hidden; a cell that is missing counts as 0.

    Hidden are counts below ``LEAST_CELL``; the smallest further cells of a row or column whose hidden cells are one
    alone or hold fewer than ``LEAST_CELL`` people together; and cells without which another hidden one would follow
    from the totals of rows and columns. What is shown is never changed.
    """
    columns = list(dict.fromkeys(column for row in counts.values() for column in row))
    table = np.array([[row.get(column, 0) for column in columns] for row in counts.values()], dtype=np.int64)
    if not table.size:
        return {name: {} for name in counts}
    hidden = table < LEAST_CELL
    while (cell := _next_to_hide(table, hidden)) is not None:
        hidden[cell] = True
    return {
        name: {column: None if hidden[place, at] else int(table[place, at]) for at, column in enumerate(columns)}
        for place, name in enumerate(counts)
    }


def suppressed_counts(counts: Mapping[Column, int]) -> dict[Column, int | None]:
    """The same for one row of counts whose total is known."""
    return suppressed({"": counts})[""]


def in_words(count: int | None) -> str:
    """A cell as a page shows it. A hidden one says only that it is hidden: it may be small or protect a small one."""
    return WITHHELD if count is None else f"{count:,}"


def people(count: int) -> str:
    """One count that stands alone, in no table and with no total beside it."""
    return f"{count:,}" if count >= LEAST_CELL else HIDDEN


def _next_to_hide(table: NDArray[np.int64], hidden: NDArray[np.bool_]) -> tuple[int, int] | None:
    """The smallest shown cell of a line that gives something away, or None where none does or nothing is left."""
    for line in (1, 0):
        if table.shape[line] == 1:
            continue  # one cell is its own total: a total of one count is no further fact
        cells, people_there = hidden.sum(axis=line), np.where(hidden, table, 0).sum(axis=line)
        for at in np.flatnonzero((cells > 0) & ((cells == 1) | (people_there < LEAST_CELL))):
            if (cell := _smallest_shown(table, hidden, line, int(at))) is not None:
                return cell
    if min(table.shape) > 1:
        for row, column in np.argwhere(_follows_from_totals(hidden)):
            for line, place in ((1, int(row)), (0, int(column))):
                if (cell := _smallest_shown(table, hidden, line, place)) is not None:
                    return cell
    return None


def _smallest_shown(
    table: NDArray[np.int64], hidden: NDArray[np.bool_], line: int, place: int
) -> tuple[int, int] | None:
    cells = [(place, at) if line == 1 else (at, place) for at in range(table.shape[line])]
    shown = [cell for cell in cells if not hidden[cell]]
    return min(shown, key=lambda cell: (int(table[cell]), cell), default=None)


def _follows_from_totals(hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which hidden cells have one possible value, given the shown cells and the totals of all rows and columns."""
    rows, columns = np.nonzero(hidden)
    found = np.zeros_like(hidden)
    if not len(rows):
        return found
    totals = np.zeros((sum(hidden.shape), len(rows)))
    each = np.arange(len(rows))
    totals[rows, each] = totals[hidden.shape[0] + columns, each] = 1
    # Where no change of the hidden cells keeps every total and moves a cell, that cell is known.
    free = 1 - np.diag(np.linalg.pinv(totals) @ totals)
    found[rows[free < _ZERO], columns[free < _ZERO]] = True
    return found
