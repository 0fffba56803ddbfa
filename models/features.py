"""What the classifier sees of a record: one sparse row of stated answers.

Belongs here: which answers are features, in what order, and how a batch of records becomes a matrix. Does not belong
here: what an answer weighs (``models.training``, ``models.naive_bayes``) or how it is worded for people.

A feature is always a *stated* answer. A blank sets nothing, so it is never read as an absence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, model_validator
from scipy import sparse

from models.knowledge_files import KNOWLEDGE, read_yaml
from schemas.form import NONE_OF_THESE, Question, answer_columns, questions

YES, NO = "1", "0"


class Bins(BaseModel):
    """Cut points of one number of the form, in the form's unit, with where they come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cuts: tuple[float, ...]
    source: str
    provenance: Literal["seen", "judgement"]
    note: str

    @model_validator(mode="after")
    def _rising(self) -> Bins:
        if not self.cuts or list(self.cuts) != sorted(set(self.cuts)):
            raise ValueError("cuts must be one or more rising numbers")
        return self

    @property
    def edges(self) -> tuple[tuple[float, float], ...]:
        """Every bin as (low, high): the first open below, the last open above."""
        return tuple(zip((-np.inf, *self.cuts), (*self.cuts, np.inf), strict=True))


class FeatureBins(BaseModel):
    """The checked content of ``knowledge/feature_bins.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signed_by: str | None
    signed_on: str | None
    numbers: dict[str, Bins]
    same_as_box: dict[str, dict[str, str]]
    normal_below: dict[str, float]
    left_out: dict[str, str]

    @model_validator(mode="after")
    def _fits_the_form(self) -> FeatureBins:
        asked = questions()
        _known("numbers", self.numbers, {c for c, q in asked.items() if q.type in ("integer", "number")})
        _known("left_out", self.left_out, set(answer_columns()))
        twins = {q.same_fact_as for q in asked.values()} & set(self.numbers)
        if set(self.normal_below) != twins:
            raise ValueError(f"feature_bins.yaml, normal_below: must name exactly {sorted(twins)}")
        for column, boxes in self.same_as_box.items():
            _known("same_as_box", [column], {c for c, q in asked.items() if q.type == "choice"})
            _known(f"same_as_box {column}", boxes, set(asked[column].choices))
            _known(f"same_as_box {column}", boxes.values(), {c for c, q in asked.items() if q.type == "yesno"})
        numbers = {c for c in answer_columns() if asked[c].type in ("integer", "number")}
        unplaced = sorted(numbers - set(self.numbers) - set(self.left_out))
        if unplaced:
            raise ValueError(f"numbers of the form with neither bins nor a reason to leave them out: {unplaced}")
        return self


def _known(where: str, names: Iterable[str], known: set[str]) -> None:
    unknown = sorted(set(names) - known)
    if unknown:
        raise ValueError(f"feature_bins.yaml, {where}: the form has no {unknown}")


@dataclass(frozen=True, slots=True)
class Feature:
    """One stated answer: ``answer`` is "1", "0", a choice, or the words of a bin with its ``low`` and ``high``."""

    column: str
    answer: str
    low: float = -np.inf
    high: float = np.inf

    @property
    def name(self) -> str:
        """The feature's name, ``column=answer``."""
        return f"{self.column}={self.answer}"


@cache
def feature_bins() -> FeatureBins:
    """The bins and exclusions of ``knowledge/feature_bins.yaml``, checked against the form."""
    return FeatureBins.model_validate(read_yaml(KNOWLEDGE / "feature_bins.yaml"))


@cache
def facts() -> dict[str, tuple[str, ...]]:
    """Yes/no facts by their leading column, each with every yes/no column that carries it (the leading one first)."""
    asked, grouped = questions(), dict[str, list[str]]()
    boxes = [asked[c] for c in answer_columns() if asked[c].type == "yesno" and c not in feature_bins().left_out]
    for question in boxes:
        if question.column.endswith(NONE_OF_THESE):
            continue
        grouped.setdefault(_leading(question), [])
    for question in boxes:
        if question.column in grouped:
            grouped[question.column].insert(0, question.column)
        elif (leading := _leading(question)) in grouped:
            grouped[leading].append(question.column)
    return {column: tuple(members) for column, members in grouped.items()}


def _leading(question: Question) -> str:
    twin = questions().get(question.same_fact_as)
    return twin.column if twin is not None and twin.type == "yesno" else question.column


@cache
def features() -> tuple[Feature, ...]:
    """Every feature, in the fixed order of the matrix columns: the order of the form."""
    found: list[Feature] = []
    for column in answer_columns():
        question = questions()[column]
        if column in feature_bins().left_out or column in feature_bins().same_as_box:
            continue
        if question.type == "yesno" and column in facts():
            found += [Feature(column, YES), Feature(column, NO)]
        elif question.type == "choice":
            found += [Feature(column, choice) for choice in question.choices]
        elif question.type in ("integer", "number"):
            found += [Feature(column, _words(edge), *edge) for edge in feature_bins().numbers[column].edges]
    return tuple(found)


def _words(edge: tuple[float, float]) -> str:
    low, high = edge
    if low == -np.inf:
        return f"below {high:g}"
    return f"{low:g} and over" if high == np.inf else f"{low:g} to under {high:g}"


@cache
def feature_names() -> tuple[str, ...]:
    """The names of the matrix columns, in order."""
    return tuple(feature.name for feature in features())


@cache
def feature_digest() -> str:
    """SHA-256 (hex) of all that decides what a matrix column means; a model fits one digest only."""
    bins = feature_bins()
    facts_and_twins = [sorted(bins.same_as_box.items()), sorted(bins.normal_below.items()), sorted(facts().items())]
    meaning = json.dumps([feature_names(), facts_and_twins], sort_keys=True)
    return hashlib.sha256(meaning.encode("utf-8")).hexdigest()


def feature_matrix(records: pl.DataFrame) -> sparse.csr_array:
    """Stated answers of ``records`` as an n x len(feature_names()) matrix of zeros and ones (float32).

    Takes records of ``schemas.records.record_schema`` in any column order; a missing column counts as never asked.
    Two columns that carry one fact count once (yes if either says yes); of a number and its yes/no twin the number
    counts, unless it looks normal and the box says yes;
    ``none_of_these`` makes the unticked boxes of its group stated absent. Keys, times and notes are never looked at.
    """
    needed = [c for c in answer_columns() if c not in records.columns]
    frame = records.with_columns(pl.lit(None, dtype=_DTYPE[questions()[c].type]).alias(c) for c in needed)
    marks = frame.select(
        expression.fill_null(False).alias(feature.name)
        for feature, expression in zip(features(), feature_expressions(), strict=True)
    )
    rows = [np.flatnonzero(marks[name].to_numpy()) for name in feature_names()]
    starts = np.concatenate([[0], np.cumsum([len(found) for found in rows])]).astype(np.int32)
    indices = np.concatenate(rows).astype(np.int32) if rows else np.empty(0, np.int32)
    ones = np.ones(len(indices), np.float32)
    return sparse.csc_array((ones, indices, starts), shape=(records.height, len(rows))).tocsr()


_DTYPE: dict[str, type[pl.DataType]] = {
    "yesno": pl.Boolean,
    "choice": pl.String,
    "integer": pl.Int32,
    "number": pl.Float64,
    "text": pl.String,
}


@cache
def feature_expressions() -> tuple[pl.Expr, ...]:
    """One boolean polars expression a feature, in order; null where the answer is blank."""
    stated = {column: fact_expression(column) for column in facts()}
    found: list[pl.Expr] = []
    for feature in features():
        kind, column = questions()[feature.column].type, pl.col(feature.column)
        if kind == "yesno":
            found.append(stated[feature.column] if feature.answer == YES else ~stated[feature.column])
        elif kind == "choice":
            found.append(column == feature.answer)
        else:
            number = _number(feature.column)
            found.append(number.is_finite() & (number >= feature.low) & (number < feature.high))
    return tuple(found)


def fact_expression(column: str) -> pl.Expr:
    """The yes/no fact led by ``column``: true if any of its columns says yes, false if one says no and none yes."""
    parts = [_box(member) for member in facts()[column]]
    for choice_column, boxes in feature_bins().same_as_box.items():
        ticks = [choice for choice, box in boxes.items() if box == column]
        parts += [pl.when(pl.col(choice_column) == tick).then(True) for tick in ticks]
    return pl.any_horizontal(pl.coalesce(part, False) for part in parts) | pl.coalesce(*parts)


def _box(column: str) -> pl.Expr:
    question = questions()[column]
    answer = pl.col(column)
    none = f"{question.box_group}__{NONE_OF_THESE}"
    if none in questions():
        # A ticked box beside "none of these" contradicts it: the more worrying answer counts, so no box is cleared.
        boxes = [c for c, q in questions().items() if q.box_group == question.box_group and c != none]
        cleared = pl.col(none) & ~pl.any_horizontal(pl.col(box).fill_null(False) for box in boxes)
        answer = answer.fill_null(pl.when(cleared).then(False))
    twin = questions().get(question.same_fact_as)
    if twin is not None and twin.column in feature_bins().normal_below:
        # The number says the same more exactly; where it looks normal, a yes is the more worrying of the two.
        answer = pl.when(pl.col(twin.column).is_null() | (answer & _looks_normal(twin.column))).then(answer)
    return answer


def _looks_normal(column: str) -> pl.Expr:
    return pl.col(column) < feature_bins().normal_below[column]


def _number(column: str) -> pl.Expr:
    """The number, left out where its box says yes and it looks normal: of the two the more worrying counts."""
    boxes = [c for c, q in questions().items() if q.same_fact_as == column and column in feature_bins().normal_below]
    outdone = pl.any_horizontal([pl.lit(False), *(pl.col(box).fill_null(False) for box in boxes)])
    if not boxes:
        return pl.col(column)
    return pl.when(~(outdone & _looks_normal(column).fill_null(False))).then(pl.col(column))
