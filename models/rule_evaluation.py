"""Applying the red-flag rules to a batch of records, in three values.

Belongs here: which rule fires, which cannot tell, and what is missing. Does not belong here: the rules
(``knowledge/rules``), their reading (``models.rule_files``), and the tier that follows (``models.rule_tiers``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from models.knowledge_files import lists_of
from models.rule_facts import prepared
from models.rule_files import Rule, RuleSet
from models.rule_language import Conjunct
from schemas.form import answer_columns

YES, NO, CANNOT_TELL, NOT_ASKED = "yes", "no", "cannot_tell", "not_asked"


@dataclass(frozen=True, slots=True)
class RuleResults:
    """What each rule said of each record: three frames with one column a rule and one row a record.

    ``status``: String, ``yes`` (every conjunct true), ``no`` (one stated false), ``cannot_tell`` (none false, at
    least one core conjunct true, the rest not known), ``not_asked`` (none false, no core conjunct true).
    ``core_true``: UInt8, how many core conjuncts are true. ``missing``: List(String), for ``cannot_tell`` the
    columns to ask, in the order of the form; empty for the others.
    """

    status: pl.DataFrame
    core_true: pl.DataFrame
    missing: pl.DataFrame


def evaluate(records: pl.DataFrame, ruleset: RuleSet) -> RuleResults:
    """Apply every rule of ``ruleset`` to every record.

    Takes records of ``schemas.records.record_schema`` in any column and row order; a missing column counts as never
    asked, so that the readable cells of refused rows can be judged. Answers are prepared by ``facts_from``.
    """
    plan = _plan(ruleset.rules)
    numbers = range(len(plan.conjuncts))
    found = (
        prepared(records, ruleset.facts)
        .select(
            [pl.repeat(True, pl.len()).alias("everybody")]  # gives the height where a conjunct is a constant
            + [conjunct.expression().alias(str(number)) for number, conjunct in enumerate(plan.conjuncts)]
            + [pl.col(column).is_null().alias(column) for column in plan.askable]
        )
        .collect()
    )
    true = _columns(found.select(pl.col(str(number)).fill_null(False) for number in numbers))
    unknown = _columns(found.select(pl.col(str(number)).is_null() for number in numbers))
    blank = _columns(found.select(plan.askable))
    words = pl.Series([YES, NO, CANNOT_TELL, NOT_ASKED], dtype=pl.String)
    status, core_true, missing = {}, {}, {}
    for rule, steps in zip(ruleset.rules, plan.rules, strict=True):
        parts = [step.conjunct for step in steps]
        none_false = (true[:, parts] | unknown[:, parts]).all(axis=1)
        fires = true[:, parts].all(axis=1)
        core_count = true[:, parts[: len(rule.core)]].sum(axis=1, dtype=np.uint8)
        cannot_tell = none_false & ~fires & (core_count > 0)
        status[rule.id] = words.gather(np.select([fires, ~none_false, cannot_tell], [0, 1, 2], 3))
        core_true[rule.id] = pl.Series(core_count, dtype=pl.UInt8)
        missing[rule.id] = _to_ask(steps, plan.askable, blank, unknown, cannot_tell)
    return RuleResults(pl.DataFrame(status), pl.DataFrame(core_true), pl.DataFrame(missing))


@dataclass(frozen=True, slots=True)
class _Step:
    """One conjunct of one rule: its number, and the numbers of the columns that settle it (short list, all)."""

    conjunct: int
    short: np.ndarray
    whole: np.ndarray


@dataclass(frozen=True, slots=True)
class _Plan:
    """What does not depend on the records: distinct conjuncts, columns that may be asked for, steps of each rule."""

    conjuncts: list[Conjunct]
    askable: list[str]
    rules: list[list[_Step]]


@cache
def _plan(rules: tuple[Rule, ...]) -> _Plan:
    conjuncts = list(dict.fromkeys(part for rule in rules for part in rule.conjuncts))
    whole = [set(conjunct.askable()) for conjunct in conjuncts]
    askable = [column for column in answer_columns() if column in set().union(*whole)]
    steps = [
        _Step(number, _places(askable, conjunct.ask()), _places(askable, whole[number]))
        for number, conjunct in enumerate(conjuncts)
    ]
    number_of = {conjunct: number for number, conjunct in enumerate(conjuncts)}
    return _Plan(conjuncts, askable, [[steps[number_of[part]] for part in rule.conjuncts] for rule in rules])


def _places(askable: list[str], columns: Collection[str]) -> np.ndarray:
    return np.array([place for place, column in enumerate(askable) if column in columns], dtype=np.int64)


def _columns(frame: pl.DataFrame) -> np.ndarray:
    """A boolean frame as an n x columns array that is fast to read by column."""
    marks = np.empty((frame.height, frame.width), dtype=bool, order="F")
    for number, series in enumerate(frame.iter_columns()):
        marks[:, number] = series.to_numpy()
    return marks


def _to_ask(
    steps: list[_Step], askable: list[str], blank: np.ndarray, unknown: np.ndarray, where: np.ndarray
) -> pl.Series:
    """For the rows of ``where`` the blank columns that settle their unknown conjuncts; empty lists elsewhere.

    ``blank`` is n x askable, ``unknown`` n x conjuncts. Where the short list of a conjunct is answered and the
    conjunct is still open, every other blank column of it is worth asking.
    """
    rows = np.flatnonzero(where)
    used = np.unique(np.concatenate([step.whole for step in steps]))
    to_ask = np.zeros((rows.size, len(used)), dtype=bool)
    for step in steps:
        still_open = unknown[rows, step.conjunct]
        short = blank[np.ix_(rows, step.short)] & still_open[:, None]
        to_ask[:, np.searchsorted(used, step.short)] |= short
        rest = still_open & ~short.any(axis=1)
        to_ask[:, np.searchsorted(used, step.whole)] |= blank[np.ix_(rows, step.whole)] & rest[:, None]
    return lists_of(to_ask, [askable[column] for column in used], rows, where.size)
