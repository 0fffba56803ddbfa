"""Units that a mapping may name and how one becomes the form's, read from ``units.yaml``.

Belongs here: which unit converts to which, as exact fractions with their source. Does not belong here: the arithmetic
on cells (``schemas.mapping.numbers``).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.mapping.yaml_text import parse_texts


class Unit(BaseModel):
    """One unit: a value of it, less ``less``, times ``factor`` is the value in the form's unit.

    ``whole``: how a converted value becomes a whole number where the form wants one; ``down`` for age, which counts
    completed years.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    numerator: Annotated[int, Field(gt=0)]
    denominator: Annotated[int, Field(gt=0)]
    less: int = 0
    whole: Literal["down", "nearest"] = "nearest"
    source: str

    @property
    def factor(self) -> Fraction:
        """How many of the form's unit one of this unit is."""
        return Fraction(self.numerator, self.denominator)

    @property
    def is_the_forms(self) -> bool:
        """Whether the unit is the form's own, so that nothing is converted."""
        return self.factor == 1 and not self.less


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, str]
    to: dict[str, tuple[Unit, ...]]


@cache
def _table() -> _Table:
    table = _Table.model_validate(parse_texts(resources.files("schemas.mapping").joinpath("units.yaml").read_bytes()))
    unknown = {unit.source for units in table.to.values() for unit in units} - set(table.sources)
    if unknown:
        raise ValueError(f"units.yaml names sources that it does not list: {sorted(unknown)}")
    return table


def units_to(form_unit: str) -> dict[str, Unit]:
    """The units that convert to a unit of the form (``Question.unit``), by every name they may be given."""
    return {name: unit for unit in _table().to.get(form_unit, ()) for name in unit.names}


def source_of(unit: Unit) -> str:
    """Where the figure of a unit comes from."""
    return _table().sources[unit.source]
