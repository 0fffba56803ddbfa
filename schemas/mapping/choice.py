"""Which of a clinic's mappings a file gets, from its columns alone.

Belongs here: choosing, and refusing a file that a mapping was meant for but that it does not fit. Does not belong here:
reading the file (``apply``), or what a file without a mapping is taken for (``plan``).
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from collections.abc import Sequence

from schemas.form import REQUIRED_COLUMNS, questions
from schemas.mapping import fhir
from schemas.mapping.mapping_rules import ColumnRule, DateRule, Mapping
from schemas.mapping.near import nearly_named
from schemas.mapping.times import WITH_OFFSET
from schemas.mapping.units import units_to
from schemas.problems import FileRefused

SPARSE = frozenset({"json", "fhir"})  # formats whose records leave out what is blank


def chosen(
    mappings: Sequence[Mapping], columns: tuple[str, ...], *, format: str, own: Table[str, str]
) -> Mapping | None:
    """The mapping that a file with these columns is read with; None where it is read without one.

    ``own``: which column of the form each source column would fill without a mapping. Raises FileRefused:
    several_mappings; mapping_does_not_fit where a mapping was chosen by ``applies_to`` and a column is lacking, or
    where none fits and one of them reads a column of the file otherwise than it would be read without it: what that
    mapping declares (a 0 that is a box nobody ticked, pounds) would be dropped without a word.
    """
    fitting = [mapping for mapping in mappings if _fits(mapping, columns, format)]
    if len(fitting) > 1:
        raise FileRefused("several_mappings")
    if fitting:
        _refuse_lacking(fitting[0], columns, format)
        return fitting[0]
    for mapping in mappings:
        if mapping.rules.applies_to is None and any(not _reads_alike(mapping, column, own) for column in columns):
            raise FileRefused("mapping_does_not_fit")
    return None


def lacking_columns(mapping: Mapping, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Source columns that the mapping reads and the file does not have."""
    present = set(columns)
    return tuple(column for column in mapping.reads if column not in present)


def _fits(mapping: Mapping, columns: tuple[str, ...], format: str) -> bool:
    """Whether a file with these columns is one that the mapping is meant for.

    In a sparse format a column may be blank in every record and so not occur: there the columns of the keys, and one
    more, tell whose file it is. Facts that every FHIR response has tell nothing.
    """
    present = set(columns)
    if mapping.rules.applies_to:
        return set(mapping.rules.applies_to) <= present
    if format not in SPARSE:
        return set(mapping.reads) <= present
    keys = _key_columns(mapping)
    more = {column for column in mapping.reads if column not in keys and not column.startswith(fhir.RESOURCE)}
    return keys <= present and (not more or not more.isdisjoint(present))


def _refuse_lacking(mapping: Mapping, columns: tuple[str, ...], format: str) -> None:
    """Refuse a file that lacks a column for another reason than that it is blank everywhere."""
    lacking = lacking_columns(mapping, columns)
    if lacking and (format not in SPARSE or not _key_columns(mapping).isdisjoint(lacking)):
        raise FileRefused("mapping_does_not_fit")
    # A misspelt name lacks the column too. Numbered names (1.10 and 1.11) are a slip apart and mean no slip.
    beside = set(columns) - {*mapping.reads, *mapping.rules.ignored}
    if nearly_named(filter(_without_digits, beside), filter(_without_digits, lacking)):
        raise FileRefused("mapping_does_not_fit")


def _key_columns(mapping: Mapping) -> set[str]:
    rules = mapping.rules.columns
    return {source for column in REQUIRED_COLUMNS if column in rules for source in rules[column].sources}


def _without_digits(name: str) -> bool:
    return not any(sign.isdigit() for sign in name)


def _reads_alike(mapping: Mapping, source: str, own: Table[str, str]) -> bool:
    """Whether a source column says the same with the mapping as without it; one that it does not read does."""
    if source not in mapping.reads:
        return True
    taken = [column for column, rule in mapping.rules.columns.items() if source in rule.sources]
    in_boxes = any(source in box.sources for box in mapping.rules.boxes)
    checked = any(condition.column == source for check in mapping.rules.checks for condition in check.conditions)
    if in_boxes or checked or taken != [own.get(source)]:
        return False
    return _as_it_is(mapping, taken[0], mapping.rules.columns[taken[0]])


def _as_it_is(mapping: Mapping, column: str, rule: ColumnRule) -> bool:
    """Whether a rule takes the cells as the contract would, so that nothing is lost without it."""
    rules = mapping.rules
    question = questions()[column]
    if len(rule.sources) > 1 or rule.values or rule.blank or rules.blank or rule.only_if:
        return False
    if question.type == "timestamp":
        date = rule.date or DateRule(order="iso")
        return date.order == "iso" and not date.time and (date.zone or rules.zone or WITH_OFFSET) == WITH_OFFSET
    if question.type in ("integer", "number"):
        converts = any(not units_to(question.unit)[name].is_the_forms for name in rule.unit)
        return not converts and (rule.decimal or rules.decimal) == "point"
    return True
