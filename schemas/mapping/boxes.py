"""From a mapping's ``boxes`` to readings: one question with several boxes, as one cell of texts or one column a box.

Belongs here: which boxes are ticked, and what an unticked one says. Does not belong here: who may declare that an
unticked box means no (``against_form``).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from schemas.form import NONE_OF_THESE, questions
from schemas.mapping.columns import At
from schemas.mapping.mapping_rules import BoxRule
from schemas.mapping.readings import SEVERAL, Reading


@dataclass(frozen=True, slots=True)
class BoxCells:
    """A question with several boxes, taken apart.

    ``helpers``: columns to add to the block first (lists of the options found). ``readings``: the boxes.
    ``problems``: source columns whose cells hold an option that the mapping does not name, as readings whose value is
    of no use; each is told under the first box of the question.
    """

    helpers: dict[str, pl.Expr]
    readings: list[Reading]
    problems: list[Reading]


def box_cells(box: BoxRule, place: int, *, at: At, original: At) -> BoxCells:
    """How the boxes of one question are read; ``place`` tells its helper columns from those of other questions."""
    return _tick_columns(box, at=at, original=original) if box.ticked else _option_texts(box, place, at, original)


def _option_texts(box: BoxRule, place: int, at: At, original: At) -> BoxCells:
    """Cells that hold the texts of the ticked options.

    An option's own text may hold the separator, so that the cell is cut along declared options, longest first, and
    the pieces have to make up the whole cell. A cell that does not come out even is a problem; boxes whose text stands
    alone between separators are ticked all the same, because a stated red flag counts even in a refused record.
    """
    helpers, problems, found, answered = {}, [], [], []
    first = next(iter(box.values.values()))
    for number, source in enumerate(box.sources):
        even, options = _cut(at(source), box)
        helpers[f"{place}.{number}.options"] = options
        helpers[f"{place}.{number}.even"] = even
        found.append(pl.col(f"{place}.{number}.options"))
        answered.append(pl.col(f"{place}.{number}.even"))
        code = pl.when(~pl.col(f"{place}.{number}.even")).then(pl.lit("not_mapped"))
        problems.append(Reading(first, pl.lit(None, pl.String), code, original(source)))
    ticked = {
        target: pl.any_horizontal(
            options.list.contains(text).fill_null(False)
            for options in found
            for text, named in box.values.items()
            if named == target
        )
        for target in box.values.values()
    }
    all_even = pl.all_horizontal(even.fill_null(True) for even in answered)
    return BoxCells(helpers, [_box(box, target, ticked, sure=all_even) for target in ticked], problems)


def _cut(cell: pl.Expr, box: BoxRule) -> tuple[pl.Expr, pl.Expr]:
    """Whether the cell is made of declared options (null where blank), and the list of those it holds."""
    declared = sorted({*box.values, *box.no_box}, key=len, reverse=True)
    one_of = "|".join(pl.escape_regex(option) for option in declared)
    between = "|".join(pl.escape_regex(sign) for sign in (SEVERAL, box.separator) if sign)
    pieces = (pl.lit(SEVERAL) + cell).str.extract_all(f"(?:{between})(?:{one_of})")
    even = pieces.list.join("") == pl.lit(SEVERAL) + cell
    options = pieces.list.eval(pl.element().str.replace(f"^(?:{between})", ""))
    alone = cell.str.replace_all(box.separator, SEVERAL, literal=True) if box.separator else cell
    return even, pl.when(even).then(options).otherwise(alone.str.split(SEVERAL))


def _tick_columns(box: BoxRule, *, at: At, original: At) -> BoxCells:
    """One source column a box, its cell one of the declared texts or blank."""
    ticked, readings, problems = {}, [], []
    for target in dict.fromkeys(box.values.values()):
        sources = [source for source in box.sources if box.values[source] == target]
        ticked[target] = pl.any_horizontal(at(source).is_in(list(box.ticked)).fill_null(False) for source in sources)
        for source in sources:
            unknown = ~at(source).is_in([*box.ticked, *box.not_ticked])
            code = pl.when(unknown).then(pl.lit("not_mapped"))
            problems.append(Reading(target, pl.lit(None, pl.String), code, original(source)))
    for target in ticked:
        reading = _box(box, target, ticked, sure=pl.lit(True))
        if box.pair:
            sources = [source for source in box.sources if box.values[source] == target]
            said_no = pl.all_horizontal(at(source).is_in(list(box.not_ticked)).fill_null(False) for source in sources)
            reading = Reading(target, pl.when(said_no).then(pl.lit("0")).otherwise(reading.value))
        readings.append(reading)
    return BoxCells({}, readings, problems)


def _box(box: BoxRule, target: str, ticked: dict[str, pl.Expr], *, sure: pl.Expr) -> Reading:
    """A box: 1 where ticked; 0 where the mapping says so and none_of_these of its group was ticked; else blank."""
    blank = pl.lit(None, pl.String)
    none = f"{questions()[target].box_group}__{NONE_OF_THESE}"
    if box.unticked == "no" and not box.pair and target != none:
        blank = pl.when(ticked[none] & sure).then(pl.lit("0"))
    return Reading(target, pl.when(ticked[target]).then(pl.lit("1")).otherwise(blank))
