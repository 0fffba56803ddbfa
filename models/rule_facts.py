"""Preparing answers for the rules, and the facts that the rules share: ``knowledge/rules/facts.yaml``.

Belongs here: what one answer says about another (a temperature about fever, "none of these" about the unticked
boxes, two columns that carry one fact), so that rules can be written as a clinician says them. Does not belong here:
the rules, and judging contradictions (``schemas.contradictions`` warns of them; here the more worrying answer counts).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from models.knowledge_files import KNOWLEDGE, KnowledgeError, read_yaml
from models.rule_language import Fact, parse
from schemas.form import NONE_OF_THESE, answer_columns, form, questions

FACTS_FILE = "facts.yaml"

_DTYPE: dict[str, type[pl.DataType]] = {
    "yesno": pl.Boolean,
    "choice": pl.String,
    "integer": pl.Int32,
    "number": pl.Float64,
}


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SameFact(_Row):
    """Two columns that the form marks as one fact, and how far a yes in one is a yes in the other."""

    column: str
    with_: str
    how: Literal["either", "implies", "apart"]
    why: str

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.rstrip("_"))


class Implied(_Row):
    """A yes that is also a yes elsewhere."""

    column: str
    gives: str
    why: str


class Number(_Row):
    """A measured number that stands for a yes/no answer."""

    column: str
    stands_for: str
    present_from: float | None = None
    present_above: float | None = None
    absent_below: float | None = None
    hidden_by: str | None = None
    source: str


class ChoiceSets(_Row):
    """One answer of a choice column that sets a yes/no column."""

    column: str
    answer: str
    gives: str


class ChoiceClears(_Row):
    """One answer of a choice column that makes a blank yes/no finding absent."""

    column: str
    answer: str
    clears: str
    why: str


class _NamedFact(_Row):
    means: dict[str, Any]
    ask: tuple[str, ...] = ()
    source: str


class _FactsFile(_Row):
    signed_by: str | None
    signed_on: str | None
    same_fact: tuple[SameFact, ...]
    implied: tuple[Implied, ...]
    numbers: tuple[Number, ...]
    choice_sets: tuple[ChoiceSets, ...]
    choice_clears: tuple[ChoiceClears, ...]
    facts: dict[str, _NamedFact]


@dataclass(frozen=True, slots=True)
class Facts:
    """The checked content of ``facts.yaml``: the named facts, and the rows that say how answers are prepared."""

    named: Mapping[str, Fact]
    same_fact: tuple[SameFact, ...]
    implied: tuple[Implied, ...]
    numbers: tuple[Number, ...]
    choice_sets: tuple[ChoiceSets, ...]
    choice_clears: tuple[ChoiceClears, ...]


def load_facts(path: Path | None = None) -> Facts:
    """Read and check ``facts.yaml`` (default: the one of this release, read once a process).

    Raises ``KnowledgeError`` naming the file and the entry.
    """
    return _release_facts() if path is None else _load(path)


@cache
def _release_facts() -> Facts:
    return _load(KNOWLEDGE / "rules" / FACTS_FILE)


def _load(path: Path) -> Facts:
    try:
        file = _FactsFile.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise KnowledgeError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    _check_preparation(path.name, file)
    named: dict[str, Fact] = {}
    for name, row in file.facts.items():
        where = f"{path.name}: fact {name}"
        means = parse(row.means, where, named)
        _check_columns(where, row.ask)
        if stray := sorted(set(row.ask) - set(means.askable())):
            raise KnowledgeError(f"{where}: ask: {stray} would not settle it")
        named[name] = Fact(name, means, row.ask, row.source)
    return Facts(named, file.same_fact, file.implied, file.numbers, file.choice_sets, file.choice_clears)


def _check_columns(where: str, columns: Iterable[str], kind: str | None = None) -> None:
    for column in columns:
        if column not in answer_columns() or (kind and questions()[column].type != kind):
            raise KnowledgeError(f"{where}: the form has no {kind or 'answer'} column {column!r}")


def _check_preparation(name: str, file: _FactsFile) -> None:
    pairs = {(q.column, q.same_fact_as) for q in form() if q.same_fact_as}
    stated = {(row.column, row.with_) for row in file.same_fact}
    if pairs != stated:
        raise KnowledgeError(f"{name}: same_fact: not the pairs of the form: {sorted(pairs ^ stated)}")
    for implied in file.implied:
        _check_columns(f"{name}: implied", (implied.column, implied.gives), "yesno")
    for number in file.numbers:
        where = f"{name}: numbers: {number.column}"
        _check_columns(where, (number.column,))
        _check_columns(where, (number.stands_for, *filter(None, [number.hidden_by])), "yesno")
        if (number.present_from is None) == (number.present_above is None):
            raise KnowledgeError(f"{where}: give present_from or present_above")
    for choice in file.choice_sets:
        _check_choice(f"{name}: choice_sets", choice.gives, choice.column, choice.answer)
    for clears in file.choice_clears:
        _check_choice(f"{name}: choice_clears", clears.clears, clears.column, clears.answer)


def _check_choice(where: str, yesno: str, choice: str, answer: str) -> None:
    _check_columns(where, (yesno,), "yesno")
    _check_columns(where, (choice,), "choice")
    if answer not in questions()[choice].choices:
        raise KnowledgeError(f"{where}: {choice} has no answer {answer!r}")


def facts_from(records: pl.DataFrame, facts: Facts | None = None) -> pl.DataFrame:
    """The answers of ``records`` as the rules read them: one row a record, the form's answer columns and ``bmi``.

    Takes records of ``schemas.records.record_schema`` in any column order; a missing column counts as never asked, so
    that the readable cells of refused rows can be read too. In this order:

    1. ``weekly_km_change_pct`` and ``bmi`` are computed where the numbers they follow from are stated.
    2. ``<group>__none_of_these`` stated makes the blank boxes of its group asked and absent, unless one of them is
       stated as present: then it contradicts itself and clears nothing.
    3. Columns that carry one fact are joined, and a yes that implies another yes sets it.
    4. Numbers set the yes/no answers they stand for: raised gives yes whatever was ticked, clearly normal gives no
       where nothing was ticked, except where something hides it (a painkiller hides fever).
    5. Choices set the boxes they stand for, and clear the blank findings they rule out.

    In every step the more worrying of two answers counts; cut-offs and their sources stand in ``facts.yaml``.
    """
    return prepared(records, facts or load_facts()).collect()


def prepared(records: pl.DataFrame, facts: Facts) -> pl.LazyFrame:
    """What ``facts_from`` gives, not yet computed, so that a caller pays only for the columns it reads."""
    frame = records.lazy().select(
        pl.col(column).cast(_DTYPE[questions()[column].type])
        if column in records.columns
        else pl.repeat(None, records.height, dtype=_DTYPE[questions()[column].type]).alias(column)
        for column in answer_columns()
    )
    frame = frame.with_columns(pl.selectors.float().fill_nan(None)).with_columns(_computed())
    frame = frame.with_columns(_cleared_boxes())
    frame = frame.with_columns(_joined(facts)).with_columns(_grouped_yes(facts))
    return frame.with_columns([*_from_numbers(facts), *_from_choices(facts)])


def _computed() -> list[pl.Expr]:
    before, now = pl.col("weekly_km_4_weeks_ago"), pl.col("weekly_km")
    change = pl.when(before > 0).then((now / before - 1) * 100)
    return [
        pl.col("weekly_km_change_pct").fill_null(change),
        (pl.col("weight_kg") / (pl.col("height_cm") / 100) ** 2).alias("bmi"),
    ]


def _cleared_boxes() -> list[pl.Expr]:
    cleared: list[pl.Expr] = []
    for group in [q.box_group for q in form() if q.column.endswith(f"__{NONE_OF_THESE}")]:
        none = f"{group}__{NONE_OF_THESE}"
        boxes = [q.column for q in form() if q.box_group == group and q.column != none]
        ticked = pl.any_horizontal([pl.col(box).fill_null(False) for box in boxes])
        cleared += [pl.col(box).fill_null(pl.when(pl.col(none) & ~ticked).then(False)) for box in boxes]
    return cleared


def _joined(rows: Facts) -> list[pl.Expr]:
    """Twins that carry one fact: yes if either says yes, no if one says no and the other nothing."""
    joined: list[pl.Expr] = []
    for row in rows.same_fact:
        if row.how == "either":
            both = pl.max_horizontal(row.column, row.with_)
            joined += [both.alias(row.column), both.alias(row.with_)]
    return joined


def _grouped_yes(rows: Facts) -> list[pl.Expr]:
    gives: dict[str, list[str]] = {}
    for row in rows.implied:
        gives.setdefault(row.gives, []).append(row.column)
    for pair in rows.same_fact:
        if pair.how == "implies":
            gives.setdefault(pair.with_, []).append(pair.column)
    return [_yes_if([pl.col(column) for column in columns], target) for target, columns in gives.items()]


def _yes_if(signs: list[pl.Expr], target: str) -> pl.Expr:
    stated = pl.any_horizontal([sign.fill_null(False) for sign in signs])
    return pl.when(stated).then(True).otherwise(pl.col(target)).alias(target)


def _from_numbers(rows: Facts) -> list[pl.Expr]:
    by_target: dict[str, list[Number]] = {}
    for number in rows.numbers:
        by_target.setdefault(number.stands_for, []).append(number)
    return [_from_readings(target, numbers) for target, numbers in by_target.items()]


def _from_readings(target: str, numbers: list[Number]) -> pl.Expr:
    """Yes if one number is raised; no, where nothing was ticked, if one is clearly normal and none in between."""
    raised, normal, between = [], [], []
    for number in numbers:
        value = pl.col(number.column)
        high = value >= number.present_from if number.present_from is not None else value > number.present_above
        low = value < number.absent_below if number.absent_below is not None else pl.lit(False)
        if number.hidden_by is not None:
            low = low & ~pl.col(number.hidden_by).fill_null(False)
        raised.append(high.fill_null(False))
        normal.append(low.fill_null(False))
        between.append(value.is_not_null() & ~high.fill_null(False) & ~low.fill_null(False))
    absent = pl.when(pl.any_horizontal(normal) & ~pl.any_horizontal(between)).then(False)
    return pl.when(pl.any_horizontal(raised)).then(True).otherwise(pl.coalesce(pl.col(target), absent)).alias(target)


def _from_choices(rows: Facts) -> list[pl.Expr]:
    gives: dict[str, list[pl.Expr]] = {}
    for row in rows.choice_sets:
        gives.setdefault(row.gives, []).append(pl.col(row.column) == row.answer)
    found = [_yes_if(signs, target) for target, signs in gives.items()]
    for clears in rows.choice_clears:
        absent = pl.when(pl.col(clears.column) == clears.answer).then(False)
        found.append(pl.col(clears.clears).fill_null(absent))
    return found
