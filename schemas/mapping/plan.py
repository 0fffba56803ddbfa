"""How a file's columns become the form's: by a mapping of the clinic, or by one of the readings the product knows.

Belongs here: choosing, from the header alone, and refusing a header that would lose answers. Does not belong here:
reading files (``warehouse.formats``), or where mappings are kept (``warehouse``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import polars as pl

from schemas.form import REQUIRED_COLUMNS, questions
from schemas.mapping import fhir, redcap
from schemas.mapping.apply import MappingApplied
from schemas.mapping.choice import chosen, lacking_columns
from schemas.mapping.mapped import Mapped
from schemas.mapping.mapping_rules import Mapping
from schemas.mapping.near import nearly_named
from schemas.mapping.own_names import OwnNames
from schemas.problems import FileRefused


@dataclass(frozen=True, slots=True)
class Plan:
    """How one file is read.

    ``name``: ``form``, ``redcap``, ``fhir`` or name and version of a mapping. ``mapping``: that mapping, or None.
    ``wanted``: the source columns it reads, in the file's order. ``unread_columns``: the others, without those that
    the mapping ignores on purpose.
    """

    name: str
    mapping: Mapping | None
    wanted: tuple[str, ...]
    unread_columns: tuple[str, ...]
    reading: Callable[[pl.DataFrame], Mapped] = field(repr=False, compare=False)

    @property
    def unread(self) -> int:
        """How many columns of the file are not read; they stay in the raw text only."""
        return len(self.unread_columns)

    def to_form(self, cells: pl.DataFrame) -> Mapped:
        """A block of text cells (the ``wanted`` columns under the file's names) in the form's words."""
        return self.reading(cells)


def plan_for(
    header_columns: tuple[str, ...],
    *,
    typed: bool,
    delimiter: str,
    format: str,
    mappings: Sequence[Mapping],
    clinic_known: bool,
) -> Plan:
    """The plan for a file with these columns.

    A mapping of the clinic that fits comes first; then REDCap and FHIR names of our form, then the form's own.
    ``typed``: the format has a true and a false of its own; ``delimiter``: between the cells of a CSV, else '';
    ``format``: as recognised; ``clinic_known``: the clinic is named from outside, so ``clinic_id`` may be missing.
    Raises FileRefused: duplicate_column, several_mappings, mapping_does_not_fit (see ``choice``), no_header,
    nearly_a_column, missing_column.
    """
    twice = [column for column, times in Counter(header_columns).items() if times > 1]
    if twice:
        raise FileRefused("duplicate_column", tuple(sorted(column for column in twice if column in questions())))
    mapping = chosen(mappings, header_columns, format=format, own=_own_names(header_columns, format))
    if mapping is not None:
        return _by_mapping(mapping, header_columns, typed=typed, clinic_known=clinic_known)
    # Where each record names its own columns, one that misspells a name lacks it, though the file has it elsewhere.
    if format == "fhir":
        return _by_fhir(header_columns, clinic_known)
    if redcap.looks_like_redcap(header_columns):
        return _by_redcap(header_columns, typed, delimiter, clinic_known)
    read = tuple(column for column in header_columns if column in questions())
    _refuse_loss(header_columns, read, set(read), questions(), clinic_known, by_record=format == "json")
    return _plan("form", header_columns, read, OwnNames(read, typed=typed, delimiter=delimiter))


def _by_mapping(mapping: Mapping, columns: tuple[str, ...], *, typed: bool, clinic_known: bool) -> Plan:
    read = tuple(column for column in columns if column in mapping.reads)
    beside = {column for column in columns if column not in {*mapping.reads, *mapping.rules.ignored}}
    lacking = questions().keys() - mapping.gives
    # Also a column that the form has and the mapping forgot: its answers would be lost as quietly.
    if lost := (*(beside & lacking), *nearly_named(beside, lacking - set(columns))):
        raise FileRefused("nearly_a_column", tuple(sorted(set(lost))))
    _refuse_missing(mapping.gives, clinic_known)
    ignored = set(mapping.rules.ignored)
    applied = MappingApplied(mapping, typed=typed, blank=lacking_columns(mapping, columns))
    return _plan(mapping.described, columns, read, applied, mapping, ignored)


def _own_names(columns: tuple[str, ...], format: str) -> dict[str, str]:
    """Source column to column of the form as it is read without a mapping; boxes of REDCap and FHIR are no names."""
    if format == "fhir":
        return fhir.facts() | {column: column for column in columns if column in questions()}
    if columns and redcap.looks_like_redcap(columns):
        return {name: column for name, column in redcap.columns_read(columns).items() if redcap.CHECKBOX not in name}
    return {column: column for column in columns if column in questions()}


def _by_redcap(columns: tuple[str, ...], typed: bool, delimiter: str, clinic_known: bool) -> Plan:
    read = redcap.columns_read(columns)
    gives = Counter(read.values())
    if twice := tuple(sorted(column for column, times in gives.items() if times > 1)):
        raise FileRefused("duplicate_column", twice)
    beside = redcap.columns_beside(columns)
    _refuse_loss(columns, (*read, *beside), set(gives), redcap.field_names(), clinic_known)
    beside += redcap.unknown_boxes(columns)  # after the search for misspelt names, which such a box may be
    wanted = tuple(column for column in columns if column in read or column in beside)
    return _plan("redcap", columns, wanted, redcap.RedcapExport(columns, typed=typed, delimiter=delimiter))


def _by_fhir(columns: tuple[str, ...], clinic_known: bool) -> Plan:
    read = fhir.columns_read(columns)
    if not fhir.link_ids() & set(read):
        raise FileRefused("no_header")
    boxes = [box for group in read for box in redcap.box_groups().get(group, ()) if box in read]
    if boxes:
        raise FileRefused("duplicate_column", tuple(sorted(boxes)))
    unknown = [column for column in columns if column not in read and not column.startswith(fhir.RESOURCE)]
    gives = fhir.gives(columns)
    if near := nearly_named(unknown, fhir.link_ids()):
        raise FileRefused("nearly_a_column", near)
    _refuse_missing(gives, clinic_known)
    return _plan("fhir", columns, read, fhir.FhirResponses(columns))


def _refuse_loss(
    columns: tuple[str, ...],
    read: Collection[str],
    gives: set[str],
    names: Collection[str],
    clinic_known: bool,
    *,
    by_record: bool = False,
) -> None:
    """Refuse a header of which nothing is known, of which a column is misspelt, or that lacks a required column.

    ``names``: the columns that such a file may have, in its own spelling; ``gives``: the form's columns it fills.
    ``by_record``: each record names its columns, so any of them may be lacking somewhere.
    """
    own = redcap.field_names()
    lacking = {name for name in {*names, *questions()} if by_record or own.get(name, name) not in gives}
    near = nearly_named((column for column in columns if column not in read), lacking)
    if near:
        raise FileRefused("nearly_a_column", tuple(sorted({own.get(name, name) for name in near})))
    if not gives:
        raise FileRefused("no_header")
    _refuse_missing(gives, clinic_known)


def _refuse_missing(gives: Collection[str], clinic_known: bool) -> None:
    required = [column for column in REQUIRED_COLUMNS if not (clinic_known and column == "clinic_id")]
    if missing := tuple(column for column in required if column not in gives):
        raise FileRefused("missing_column", missing)


def _plan(
    name: str,
    columns: tuple[str, ...],
    wanted: tuple[str, ...],
    reading: Callable[[pl.DataFrame], Mapped],
    mapping: Mapping | None = None,
    ignored: Collection[str] = (),
) -> Plan:
    unread = tuple(column for column in columns if column not in wanted and column not in ignored)
    return Plan(name, mapping, wanted, unread, reading)
