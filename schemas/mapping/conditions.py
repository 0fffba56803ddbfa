"""Conditions on source columns, and the checks that a mapping builds of them.

Belongs here: what a condition may say, and its expression. Does not belong here: what a finding leads to
(``schemas/problems.csv``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

Severity = Literal["reject", "warn", "note"]
Text = Annotated[str, Field(min_length=1, max_length=1000)]

CODE: dict[Severity, str] = {"reject": "source_check", "warn": "source_oddity", "note": "source_note"}
_NUMBER = r"^-?[0-9]{1,15}([.,][0-9]{1,15})?$"


class Condition(BaseModel):
    """What the cell of one source column is or is not; one statement each.

    A blank cell meets ``is_blank`` and nothing else, so ``not_one_of`` asks for another answer, not for none.
    ``matches``: a regular expression without look-around (the engine is linear in time), found anywhere in the cell.
    ``above`` and ``below``: the cell is a number beyond the figure; text that is no number meets neither.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: Text
    one_of: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    not_one_of: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    matches: Text | None = None
    is_blank: Literal["true"] | None = None
    is_not_blank: Literal["true"] | None = None
    above: Decimal | None = None
    below: Decimal | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Condition:
        said = self.model_dump(exclude_none=True, exclude={"column"})
        if len(said) != 1:
            raise ValueError("say one thing: one_of, not_one_of, matches, is_blank, is_not_blank, above or below")
        if self.matches is not None and not _compiles(self.matches):
            raise ValueError("matches is not a regular expression of the kind that is read")
        return self

    def holds(self, at: Callable[[str], pl.Expr]) -> pl.Expr:
        """Whether it holds, never null; ``at`` gives a source column with blank cells null."""
        cell = at(self.column)
        if self.one_of is not None:
            met = cell.is_in(list(self.one_of))
        elif self.not_one_of is not None:
            met = ~cell.is_in(list(self.not_one_of))
        elif self.matches is not None:
            met = cell.str.contains(self.matches)
        elif self.is_blank:
            met = cell.is_null()
        elif self.is_not_blank:
            met = cell.is_not_null()
        else:
            number = pl.when(cell.str.contains(_NUMBER)).then(cell.str.replace(",", ".", literal=True))
            value = number.cast(pl.Float64, strict=False)
            met = value > float(self.above) if self.above is not None else value < float(self.below or 0)
        return met.fill_null(False)


class Check(BaseModel):
    """A finding about a source record: refused (reject), let on and reviewed (warn), or only counted (note)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
    severity: Severity
    sentence: Text
    all: Annotated[tuple[Condition, ...], Field(min_length=1)] | None = None
    any: Annotated[tuple[Condition, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_one_list(self) -> Check:
        if (self.all is None) == (self.any is None):
            raise ValueError("give either all or any")
        return self

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Its conditions, however they are combined."""
        return self.all or self.any or ()

    def holds(self, at: Callable[[str], pl.Expr]) -> pl.Expr:
        """Whether the record is of this kind, never null."""
        return all_hold(self.all, at) if self.all else pl.any_horizontal([c.holds(at) for c in self.conditions])


def all_hold(conditions: Iterable[Condition], at: Callable[[str], pl.Expr]) -> pl.Expr:
    """Whether every one of the conditions holds, never null; true for none."""
    return pl.all_horizontal([pl.lit(True), *(condition.holds(at) for condition in conditions)])


def _compiles(pattern: str) -> bool:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError:
        return False
    return True
