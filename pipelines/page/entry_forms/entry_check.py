"""A posted entry form made into a row, and what the row's own contract says of it.

Belongs here: from form fields to columns, the contract of ``schemas`` over that one row, what is wrong by field. Does
not belong here: which entries a person may make (``pipelines.page.entry_forms.entering``), writing
(``warehouse.entered``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl

from pipelines.page.entry_forms.entry_words import said_of
from schemas.contract import Split
from schemas.decisions import split_decisions
from schemas.outcomes import ALSO_SEPARATOR, nameable_conditions, split_outcomes
from schemas.safety_concerns import split_safety_concerns
from warehouse.entered_rows import PERSON_OF, TIME_OF, Contents, columns_of

_SPLIT: dict[Contents, Callable[..., Split]] = {
    "decision": split_decisions,
    "outcome": partial(split_outcomes, conditions=nameable_conditions()),
    "safety_concern": split_safety_concerns,
}
BY = "by"  # the form field of a clinician's name, whatever the column is called
# Where on a form to tell what is wrong with a row as a whole; elsewhere it stands above the form.
_FIELD = {
    "nothing_decided": "decided_tier",
    "reason_not_given": "reason",
    "fast_without_reason": "reason",
    "closed_without_reason": "reason",
    "not_attended_but_confirmed": "confirmed_condition",
    "not_confirmed_but_named": "found_by",
    "also_without_first": "also_1",
    "repeated_condition": "also_1",
    "found_but_not_named": "confirmed_condition",
    "how_not_said": "found_by",
    "harm_disagrees": "harm_related",
    "relation_not_said": "harm_related",
}
# A file may leave the reason out, so that nobody is missed for want of it; whoever sits before the form can give it.
_ASKED_HERE = frozenset({"fast_without_reason", "closed_without_reason"})


@dataclass(frozen=True, slots=True, repr=False)
class Checked:
    """A row as the intake will read it (``cells``: what was accepted, '' where blank), and what is wrong with it.

    ``errors``: sentences by form field, '' for the row as a whole; with any, nothing may be written. ``doubts``: the
    same of what the intake would take in and warn of.
    """

    cells: Mapping[str, str]
    errors: Mapping[str, str]
    doubts: Mapping[str, str]


def cells_of(contents: Contents, form: Mapping[str, str], by: str) -> dict[str, str]:
    """The columns of a row from the fields of a form; its time is left for later. ``by``: who enters it."""
    cells = {column: form.get(column, "").strip() for column in columns_of(contents)}
    if contents in PERSON_OF:
        cells[PERSON_OF[contents]] = by.strip()
    if contents == "outcome":
        also = (form.get(f"also_{number}", "").strip() for number in (1, 2))
        cells["also_confirmed"] = ALSO_SEPARATOR.join(filter(None, also))
    return cells | {"record_id": form.get("record", ""), "clinic_id": "", TIME_OF[contents]: ""}


def check(contents: Contents, clinic: str, cells: Mapping[str, str], now: datetime) -> Checked:
    """Run one row through the contract that its file will meet. ``now``: UTC."""
    frame = pl.DataFrame({column: [cells[column]] for column in columns_of(contents)}, dict.fromkeys(cells, pl.String))
    split = _SPLIT[contents](frame.drop("clinic_id"), clinic=clinic, received_at=now.astimezone(UTC))
    errors: dict[str, str] = {}
    for column, code in split.rejections.select("column", "code").iter_rows():
        errors.setdefault(_field(contents, column, code), said_of(contents, code, column))
    doubts: dict[str, str] = {}
    for code in split.warnings["code"].to_list():
        told = errors if code in _ASKED_HERE else doubts
        told.setdefault(_field(contents, None, code), said_of(contents, code, None))
    return Checked(_as_read(split, cells), errors, doubts)


def _field(contents: Contents, column: str | None, code: str) -> str:
    if column is None:
        return _FIELD.get(code, "")
    if column == PERSON_OF.get(contents):
        return BY
    return "also_1" if column == "also_confirmed" else column


def _as_read(split: Split, cells: Mapping[str, str]) -> dict[str, str]:
    """The cells as the contract read them: the same row must come out of the file that is written of it."""
    if split.accepted.is_empty():
        return dict(cells)
    (row,) = split.accepted.to_dicts()
    read: dict[str, Any] = {column: row.get(column) for column in cells}
    texts = {column: answer for column, answer in read.items() if isinstance(answer, str)}
    return {column: "" if read[column] is None else cell for column, cell in cells.items()} | texts
