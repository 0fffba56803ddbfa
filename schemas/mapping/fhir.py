"""FHIR QuestionnaireResponses to our own Questionnaire: its linkIds are the form's columns and groups of boxes.

Belongs here: how such a response says what the form asks. Does not belong here: taking resources apart
(``warehouse.formats``), and responses to other questionnaires, which need a mapping.
"""

from __future__ import annotations

import polars as pl

from schemas.form import NONE_OF_THESE, form, questions
from schemas.mapping.mapped import Mapped
from schemas.mapping.own_names import own_reading
from schemas.mapping.readings import SEVERAL, Reading, holds_several, mapped, problems_of, stripped
from schemas.mapping.redcap import box_groups

RESOURCE = "QuestionnaireResponse."
ID, IDENTIFIER, SUBJECT, AUTHORED = (RESOURCE + name for name in ("id", "identifier", "subject", "authored"))
_STAND_INS = {"record_id": (IDENTIFIER, ID), "submitted_at": (AUTHORED,), "patient_key": (SUBJECT,)}


def link_ids() -> frozenset[str]:
    """Every linkId of our Questionnaire that carries an answer."""
    boxes = {column for columns in box_groups().values() for column in columns}
    return frozenset(({q.column for q in form()} - boxes) | box_groups().keys())


def columns_read(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Source columns that are read: known linkIds, single boxes by their column's name, and facts of the resource."""
    return tuple(name for name in columns if name in questions() or name in box_groups() or name in facts())


def facts() -> dict[str, str]:
    """The column of the form that each fact of a resource may fill."""
    return {fact: column for column, others in _STAND_INS.items() for fact in others}


class FhirResponses:
    """Responses made ready for their blocks."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns_read(columns)
        self._readings = [
            own_reading(name, pl.col(name), typed=True, with_comma=False)
            for name in self._columns
            if name in questions() and name not in _STAND_INS
        ]
        self._unknown_options: list[Reading] = []
        for group in (name for name in self._columns if name in box_groups()):
            self._readings += [_box(group, column) for column in box_groups()[group]]
            self._unknown_options.append(_unknown_option(group))
        for column, others in _STAND_INS.items():
            given = [name for name in (column, *others) if name in self._columns]
            if given:
                value = pl.coalesce(given)
                self._readings.append(Reading(column, value, holds_several(value), value))

    def __call__(self, cells: pl.DataFrame) -> Mapped:
        """The block in the form's words."""
        source = stripped(cells.select(self._columns))
        more = [problems_of(source, unknown) for unknown in self._unknown_options]
        return mapped(source, self._readings, more)


def gives(columns: tuple[str, ...]) -> set[str]:
    """The columns of the form that a file with these source columns fills."""
    given = {name for name in columns if name in questions()}
    given |= {column for name in columns for column in box_groups().get(name, ())}
    return given | {column for column, others in _STAND_INS.items() if not set(others).isdisjoint(columns)}


def _options(group: str) -> pl.Expr:
    return pl.col(group).str.split(SEVERAL)


def _unknown(group: str) -> pl.Expr:
    """Whether an answer is none of the group's boxes."""
    codes = [column.removeprefix(f"{group}__") for column in box_groups()[group]]
    return _options(group).list.eval(~pl.element().is_in(codes)).list.any().fill_null(False)


def _box(group: str, column: str) -> Reading:
    """A ticked box is 1; an unticked one blank, or 0 where none_of_these is among answers that are all known."""
    code = column.removeprefix(f"{group}__")
    unticked = pl.lit(None, pl.String)
    if f"{group}__{NONE_OF_THESE}" in box_groups()[group] and code != NONE_OF_THESE:
        none = _options(group).list.contains(NONE_OF_THESE) & ~_unknown(group)
        unticked = pl.when(none).then(pl.lit("0"))
    return Reading(column, pl.when(_options(group).list.contains(code)).then(pl.lit("1")).otherwise(unticked))


def _unknown_option(group: str) -> Reading:
    """Told under the first box of the group; the boxes that are known are read all the same."""
    code = pl.when(_unknown(group)).then(pl.lit("not_mapped"))
    return Reading(box_groups()[group][0], pl.lit(None, pl.String), code, pl.col(group))
