"""REDCap raw exports of our own form: names that REDCap allows, checkboxes, events and repeating instruments.

Belongs here: how such an export says what the form asks (REDCap documents the columns; evidence in standards 4.2).
Does not belong here: other projects, which need a mapping, and exports of labels. Codes for missing data are chosen by
each project: they are not guessed here and fail the contract.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import polars as pl

from schemas.form import NONE_OF_THESE, Question, form
from schemas.mapping.mapped import Mapped
from schemas.mapping.own_names import DELIMITERS_WITH_COMMA, own_reading
from schemas.mapping.readings import Reading, mapped, problems_of, stripped, yes_or_no

EVENT = "redcap_event_name"
INSTRUMENT = "redcap_repeat_instrument"
INSTANCE = "redcap_repeat_instance"
OF_REDCAP = "redcap_"
CHECKBOX = "___"
COMPLETE = "_complete"
COMPLETED = "2"  # 0 incomplete, 1 unverified, 2 complete
_PLACES = (EVENT, INSTRUMENT, INSTANCE)


def looks_like_redcap(columns: tuple[str, ...]) -> bool:
    """Whether a header is that of a REDCap export."""
    return any(CHECKBOX in name or name.endswith(COMPLETE) or name in _PLACES for name in columns)


def is_checkbox(question: Question) -> bool:
    """Whether the question is a box of a checkbox field: the runner's groups are; the clinician says yes or no."""
    return question.box_group is not None and question.asked_of != "clinician"


@cache
def box_groups() -> dict[str, tuple[str, ...]]:
    """The runner's groups of boxes, each one checkbox field, with their columns."""
    groups: dict[str, tuple[str, ...]] = {}
    for question in form():
        if is_checkbox(question) and question.box_group:
            groups[question.box_group] = (*groups.get(question.box_group, ()), question.column)
    return groups


@cache
def field_names() -> dict[str, str]:
    """The column of the form by its name in an export (``imaging_xray``, ``systemic___fever``)."""
    return {
        q.column.replace("__", CHECKBOX) if is_checkbox(q) else q.column.replace("__", "_"): q.column for q in form()
    }


def columns_read(columns: tuple[str, ...]) -> dict[str, str]:
    """Source column to column of the form, for every column of the file that the form knows.

    The record identifier is the first column of every export and may have been renamed. It is taken where no column is
    called record_id and a checkbox or a redcap_ column shows that REDCap wrote the file: a name that merely ends in
    _complete may stand in any table, and its first column may hold people's names. Names of the form itself count too
    (a file in which both occur was put together by hand).
    """
    own = {q.column: q.column for q in form()}
    read = {name: (field_names() | own)[name] for name in columns if name in field_names() or name in own}
    first = columns[0]
    by_redcap = any(CHECKBOX in name or name.startswith(OF_REDCAP) for name in columns)
    may_be_id = CHECKBOX not in first and not first.startswith(OF_REDCAP) and not first.endswith(COMPLETE)
    if by_redcap and may_be_id and not {"record_id", first} & read.keys():
        read[first] = "record_id"
    return read


def columns_beside(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Columns that are read beside the answers: places in the project, and whether an instrument was completed."""
    return tuple(name for name in columns if name in _PLACES or name.endswith(COMPLETE))


def unknown_boxes(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Boxes of one of our groups that the form does not have; a tick there is an answer that we cannot read."""
    return tuple(
        name for name in columns if CHECKBOX in name and _group(name) in box_groups() and name not in field_names()
    )


class RedcapExport:
    """A REDCap export made ready for its blocks."""

    def __init__(self, columns: tuple[str, ...], *, typed: bool, delimiter: str) -> None:
        with_comma = delimiter in DELIMITERS_WITH_COMMA
        self._read = columns_read(columns)
        self._unknown = unknown_boxes(columns)
        sources = (*self._read, *columns_beside(columns), *self._unknown)
        self._names = {name: str(place) for place, name in enumerate(dict.fromkeys(sources))}
        self._places = [self._cell(name) for name in _PLACES if name in columns]
        source_of = {column: name for name, column in self._read.items()}
        self._boxes = {column: name for name, column in self._read.items() if CHECKBOX in name}
        self._readings = [
            self._box(column, columns)
            if column in self._boxes
            else own_reading(column, self._cell(name), typed=typed, with_comma=with_comma)
            for column, name in source_of.items()
            if column != "record_id"
        ]
        self._content = [reading.column for reading in self._readings]
        record = self._cell(source_of["record_id"])
        self._readings.append(Reading("record_id", self._key(record)))
        if self._places and "patient_key" not in source_of:
            self._readings.append(Reading("patient_key", record))

    def __call__(self, cells: pl.DataFrame) -> Mapped:
        """The block in the form's words; rows of other instruments are set aside."""
        source = pl.DataFrame([cells.get_column(name).alias(place) for name, place in self._names.items()])
        source = stripped(source)
        # One at a time: several unknown boxes tell their problem under the same box.
        taken = mapped(source, self._readings, [problems_of(source, self._told(name)) for name in self._unknown])
        if not self._places or not self._content:
            return taken
        blank = taken.cells.select(pl.all_horizontal(pl.col(self._content).is_null()).alias("blank"))
        empty = blank.with_row_index("row").filter("blank")["row"].cast(pl.UInt32)
        return replace(taken, set_aside=empty.filter(~empty.is_in(taken.problems["row"].implode())))

    def _cell(self, name: str) -> pl.Expr:
        return pl.col(self._names[name])

    def _is_ticked(self, name: str) -> pl.Expr:
        """Whether a box that we do not know is ticked, or holds what is no tick at all."""
        return (yes_or_no(self._cell(name)) != "0").fill_null(False)

    def _told(self, name: str) -> Reading:
        """A ticked unknown box, told under the first box of its group; the known boxes are read all the same."""
        code = pl.when(self._is_ticked(name)).then(pl.lit("not_mapped"))
        return Reading(box_groups()[_group(name)][0], pl.lit(None, pl.String), code, self._cell(name))

    def _key(self, record: pl.Expr) -> pl.Expr:
        """Record identifier with event, instrument and instance: together they name one row of the export."""
        if not self._places:
            return record
        whole = pl.concat_str([record, *self._places], separator=".", ignore_nulls=True)
        return pl.when(record.is_not_null()).then(whole)

    def _box(self, column: str, columns: tuple[str, ...]) -> Reading:
        """A box of a checkbox field: REDCap writes 0 for an unticked box and for a form that nobody opened.

        Beside none_of_these it is a no, unless a box that we do not know is ticked in the same group.
        """
        cell = yes_or_no(self._cell(self._boxes[column]))
        none = f"{column.partition('__')[0]}__{NONE_OF_THESE}"
        unticked = pl.lit(None, pl.String)
        if none in self._boxes and none != column:
            said = (yes_or_no(self._cell(self._boxes[none])) == "1").fill_null(False)
            for name in _completion_of(self._boxes[column], columns):
                said &= (self._cell(name) == COMPLETED).fill_null(False)
            for name in (name for name in self._unknown if _group(name) == column.partition("__")[0]):
                said &= ~self._is_ticked(name)
            unticked = pl.when(said).then(pl.lit("0"))
        return Reading(column, pl.when(cell == "0").then(unticked).otherwise(cell))


def _group(name: str) -> str:
    return name.partition(CHECKBOX)[0]


def _completion_of(box: str, columns: tuple[str, ...]) -> list[str]:
    """The column that says whether the box's instrument was completed: it follows the instrument's fields.

    Where none follows, the columns were put in another order, and all of them have to say so.
    """
    complete = [name for name in columns if name.endswith(COMPLETE)]
    after = [name for name in complete if columns.index(name) > columns.index(box)]
    return after[:1] or complete
