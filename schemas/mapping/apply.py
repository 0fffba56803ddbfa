"""A mapping applied to a block of source cells, in columns.

Belongs here: putting the parts of a mapping together. Does not belong here: each part (``columns``, ``boxes``,
``conditions``), or choosing the mapping (``plan``).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from schemas.mapping.boxes import box_cells
from schemas.mapping.columns import column_reading
from schemas.mapping.conditions import CODE, Check
from schemas.mapping.mapped import CELL_PROBLEMS, Mapped
from schemas.mapping.mapping_rules import Mapping
from schemas.mapping.readings import Reading, mapped, problems_of, stripped


class MappingApplied:
    """A mapping made ready for blocks of one file.

    ``typed``: the format has a true and a false of its own. ``blank``: source columns that the file does not have,
    because they are blank in all of its records.
    """

    def __init__(self, mapping: Mapping, *, typed: bool, blank: Sequence[str] = ()) -> None:
        self._mapping = mapping
        self._blank = frozenset(blank)
        # A source column may be called anything, also what polars would take for a pattern: they get names of ours.
        self._names = {column: str(place) for place, column in enumerate(mapping.reads)}
        rules = mapping.rules
        boxes = [box_cells(box, place, at=self._at, original=self._original) for place, box in enumerate(rules.boxes)]
        self._helpers = [expr.alias(name) for box in boxes for name, expr in box.helpers.items()]
        self._box_problems = [problem for box in boxes for problem in box.problems]
        columns = [column_reading(rules, c, at=self._at, original=self._original, typed=typed) for c in rules.columns]
        self._helpers += [expr.alias(name) for column in columns for name, expr in column.helpers.items()]
        self._readings = [
            *(column.reading for column in columns),
            *(Reading(column, pl.lit(answer)) for column, answer in rules.constants.items()),
            *(reading for box in boxes for reading in box.readings),
        ]

    def __call__(self, cells: pl.DataFrame) -> Mapped:
        """The block in the form's words."""
        nothing = pl.repeat(None, cells.height, dtype=pl.String, eager=True)
        original = pl.DataFrame(
            [
                (nothing if column in self._blank else cells.get_column(column)).alias(name)
                for column, name in self._names.items()
            ]
        )
        clean = stripped(original, self._mapping.rules.blank)
        source = pl.concat([original.rename("={}".format), clean.rename("~{}".format)], how="horizontal")
        source = source.with_columns(self._helpers)
        # One at a time: several source columns may tell their problem under the same box.
        more = [problems_of(source, problem) for problem in self._box_problems]
        more += [self._checked(source, check) for check in self._mapping.rules.checks]
        return mapped(source, self._readings, more)

    def _at(self, column: str) -> pl.Expr:
        return pl.col("~" + self._names[column])

    def _original(self, column: str) -> pl.Expr:
        return pl.col("=" + self._names[column])

    def _checked(self, source: pl.DataFrame, check: Check) -> pl.DataFrame:
        rows = source.select(check.holds(self._at).alias("met")).with_row_index("row").filter("met")
        return rows.select(
            "row",
            pl.lit(None, pl.String).alias("column"),
            pl.lit(CODE[check.severity]).alias("code"),
            pl.lit(check.id).alias("cell"),
        ).cast(CELL_PROBLEMS)  # type: ignore[arg-type]
