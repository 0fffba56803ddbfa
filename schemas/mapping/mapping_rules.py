"""What a mapping file may say: how a clinic's own columns and values become those of the form.

Belongs here: the fields of the file and their meaning. Does not belong here: reading the file (``mapping_file``),
whether what it says goes with the form (``against_form``), or applying it (``apply``). A mapping names columns and
texts, never a file or a folder.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.mapping.conditions import Check, Condition, Text
from schemas.mapping.times import WITH_OFFSET, Order, zone_exists

Decimals = Literal["point", "comma"]


def _none(value: object) -> object:
    return None if value in ("", "null", "~") else value


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _zone(value: str) -> str:
    if value != WITH_OFFSET and not (value and zone_exists(value)):
        raise ValueError(f"name a zone of the time zone database, such as Europe/Berlin, or {WITH_OFFSET}")
    return value


Columns = Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Zone = Annotated[str, Field(max_length=64), BeforeValidator(lambda value: _zone(str(value)))]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DateRule(_Part):
    """How a time is written; ``time`` is the time of day that a date without one stands for."""

    order: Order
    zone: Zone | None = None
    time: Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = None


class ColumnRule(_Part):
    """Where one column of the form comes from.

    ``from``: one source column, or several whose cells are joined with ``join``, or added up where ``unit`` names a
    unit for each (feet and inches). ``values``: source text to answer; any other text is refused. ``blank``: texts
    that mean blank here, beside those of the whole file. ``decimals``: how many are kept after a conversion.
    ``only_if``: conditions under which the cell is read at all; else it is blank.
    """

    sources: Annotated[Columns, Field(alias="from")]
    join: Annotated[str, Field(max_length=3)] | None = None
    values: Annotated[dict[Text, str], Field(min_length=1)] | None = None
    blank: Texts = ()
    unit: Texts = ()
    decimals: Annotated[int, Field(ge=0, le=6)] = 2
    decimal: Decimals | None = None
    date: DateRule | None = None
    only_if: tuple[Condition, ...] = ()


class BoxRule(_Part):
    """One question with several boxes.

    Without ``ticked``: each ``from`` column holds the ticked options' texts, ``separator`` between them; ``values``
    leads from an option's text to a yes/no column of the form, ``no_box`` lists options that the form has no box for.
    With ``ticked``: each ``from`` column is one box, ``values`` leads from the source column to the form's, and a cell
    is one of ``ticked``, one of ``not_ticked`` or blank. ``unticked``: what a box without a tick says; ``no`` only
    where the group's none_of_these was ticked, or with ``pair`` where the question took yes or no (``not_ticked`` is
    then the answer no, and a blank cell stays blank).
    """

    sources: Annotated[Columns, Field(alias="from")]
    values: Annotated[dict[Text, str], Field(min_length=1)]
    separator: Annotated[str, Field(min_length=1, max_length=5)] | None = None
    no_box: Texts = ()
    ticked: Texts = ()
    not_ticked: Texts = ()
    unticked: Literal["blank", "no"] = "blank"
    pair: bool = False


class MappingFile(_Part):
    """What a mapping file says, in the words of the file. ``reviewed: false`` marks a draft, which is not used."""

    name: Annotated[str, Field(pattern="^[a-z0-9-]{1,64}$")]
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    source: Text
    reviewed: bool = True
    signed_by: Annotated[Text | None, BeforeValidator(_none)] = None
    signed_on: Annotated[date | None, BeforeValidator(_none)] = None
    applies_to: Columns | None = None
    blank: Texts = ()
    decimal: Decimals = "point"
    zone: Zone | None = None
    columns: dict[str, ColumnRule] = {}
    constants: dict[str, Text] = {}
    boxes: tuple[BoxRule, ...] = ()
    ignored: Texts = ()
    checks: tuple[Check, ...] = ()

    @model_validator(mode="after")
    def _is_signed_whole(self) -> MappingFile:
        if (self.signed_by is None) != (self.signed_on is None):
            raise ValueError("signed_by and signed_on go together")
        if not self.columns:
            raise ValueError("columns is missing")
        return self


@dataclass(frozen=True)
class Mapping:
    """A mapping that may be used: ``rules`` went through every check, ``text`` is the file as it was written."""

    rules: MappingFile
    text: str

    @property
    def name(self) -> str:
        """Its name."""
        return self.rules.name

    @property
    def version(self) -> int:
        """Its version."""
        return self.rules.version

    @property
    def described(self) -> str:
        """Name and version, as shown beside what was read with it."""
        return f"{self.name} version {self.version}"

    @property
    def signed(self) -> bool:
        """Whether somebody answers for its readings of red-flag questions."""
        return self.rules.signed_by is not None

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of what it says; comments and the order of its tables do not count."""
        said = self.rules.model_dump(mode="json", by_alias=True)
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The source columns that it reads, each once."""
        rules = self.rules
        conditions = [c for rule in rules.columns.values() for c in rule.only_if]
        conditions += [c for check in rules.checks for c in check.conditions]
        named = [column for rule in rules.columns.values() for column in rule.sources]
        named += [column for box in rules.boxes for column in box.sources]
        return tuple(dict.fromkeys(named + [condition.column for condition in conditions]))

    @cached_property
    def gives(self) -> frozenset[str]:
        """The columns of the form that it fills."""
        boxes = (column for box in self.rules.boxes for column in box.values.values())
        return frozenset([*self.rules.columns, *self.rules.constants, *boxes])
