"""What can be wrong with the catalogue beyond one file's own fields: checks against the form, the sources, each other.

Belongs here: one function a rule, each raising ``CatalogueError`` that names the file and the field. Does not belong
here: opening files (``models.catalogue_reading``) and what their fields are (``models.catalogue_files``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from models.catalogue_files import (
    JUDGEMENT,
    CatalogueError,
    ComorbidPairRow,
    ConditionFile,
    EntryFile,
    FactorFile,
    LikelihoodRow,
)
from schemas.form import Question, answer_columns, questions

PERCENTILES = ("p05", "p50", "p95")
SUM_TOLERANCE = 1e-3  # the files hold rounded figures
MOST_COMORBID = 0.6  # most people have one condition (judgement); pairs of one condition may not sum to more
COMORBID_PAIRS = "comorbid_pairs.yaml"


def check_entry(name: str, entry: EntryFile, sources: Collection[str], articles: Collection[str]) -> None:
    """Its articles and sources are known and its figures can be read; raises ``CatalogueError`` with file and field."""
    for article in entry.articles:
        check_known(name, "articles", article, articles)
    _check_source(name, "prior.source", entry.prior.source, sources)
    check_rows(name, "likelihoods", entry.likelihoods, sources)


def check_known(name: str, field: str, key: str, known: Collection[str]) -> None:
    """``key`` is one of ``known``; raises ``CatalogueError`` with file and field."""
    if key not in known:
        raise CatalogueError(f"{name}: {field}: {key!r} is not known")


def _check_source(name: str, field: str, source: str, sources: Collection[str]) -> None:
    if source != JUDGEMENT:
        check_known(name, field, source, sources)


def check_rows(name: str, field: str, rows: Iterable[LikelihoodRow], sources: Collection[str]) -> None:
    """Figures are about answers of the form, lie in what it allows, name a known source and stand once."""
    form = {column: questions()[column] for column in answer_columns()}
    stated: set[tuple[str, str]] = set()
    for row in rows:
        where = f"{field}.[{row.column}={row.answer}]"
        check_known(name, f"{where}.column", row.column, form)
        check_known(name, f"{where}.answer", row.answer, answers_of(form[row.column]))
        _check_source(name, f"{where}.source", row.source, sources)
        low, high = form[row.column].allowed_range or (0.0, 1.0)
        if not low <= row.low <= row.high <= high:
            raise CatalogueError(f"{name}: {where}.value: value and range must lie within {low:g} and {high:g}")
        if (row.column, row.answer) in stated:
            raise CatalogueError(f"{name}: {where}: stated twice")
        stated.add((row.column, row.answer))


def answers_of(question: Question) -> tuple[str, ...]:
    """The answers of ``question`` that a figure may be about: a box stated, each choice, three percentiles."""
    if question.type == "yesno":
        return ("1",)
    return question.choices or (PERCENTILES if question.allowed_range else ())


def check_distributions(name: str, field: str, rows: Iterable[LikelihoodRow]) -> None:
    """The answers of a choice sum to 1; the percentiles of a number are complete and rise."""
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        values.setdefault(row.column, {})[row.answer] = row.value
    for column, by_answer in values.items():
        question = questions()[column]
        total = sum(by_answer.values())
        if question.type == "choice" and not math.isclose(total, 1.0, abs_tol=SUM_TOLERANCE):
            raise CatalogueError(f"{name}: {field}.[{column}]: the answers sum to {total:g}, not 1")
        if question.allowed_range:
            _check_percentiles(name, f"{field}.[{column}]", [by_answer.get(answer) for answer in PERCENTILES])


def _check_percentiles(name: str, where: str, percentiles: list[float | None]) -> None:
    low, middle, high = percentiles
    if low is None or middle is None or high is None:
        raise CatalogueError(f"{name}: {where}: p05, p50 and p95 are stated together")
    if not (low <= middle <= high and low < high):
        raise CatalogueError(f"{name}: {where}: p05, p50 and p95 do not rise")


def check_subgroups(name: str, condition: ConditionFile, sources: Collection[str]) -> None:
    """Shares sum to 1; a column that a subgroup speaks about has the same answers as in the condition."""
    groups = condition.subgroups
    total = sum(group.share.value for group in groups)
    if groups and not math.isclose(total, 1.0, abs_tol=SUM_TOLERANCE):
        raise CatalogueError(f"{name}: subgroups: the shares sum to {total:g}, not 1")
    if len({group.id for group in groups}) < len(groups):
        raise CatalogueError(f"{name}: subgroups: an id stands twice")
    whole = _answers_by_column(condition.likelihoods)
    for group in groups:
        field = f"subgroups.[{group.id}].likelihoods"
        _check_source(name, f"subgroups.[{group.id}].share.source", group.share.source, sources)
        check_rows(name, field, group.likelihoods, sources)
        check_distributions(name, field, group.likelihoods)
        for column, answers in _answers_by_column(group.likelihoods).items():
            if answers != whole.get(column):
                raise CatalogueError(f"{name}: {field}.[{column}]: must hold the same answers as the condition")


def _answers_by_column(rows: Iterable[LikelihoodRow]) -> dict[str, set[str]]:
    answers: dict[str, set[str]] = {}
    for row in rows:
        answers.setdefault(row.column, set()).add(row.answer)
    return answers


def check_pairs(pairs: list[ComorbidPairRow], conditions: Collection[str], sources: Collection[str]) -> None:
    """Pairs name two known conditions, stand once, and sum to at most ``MOST_COMORBID`` for one condition."""
    totals: dict[str, float] = {}
    stated: set[tuple[str, str]] = set()
    for pair in pairs:
        where = f"pairs.[{pair.condition}]"
        check_known(COMORBID_PAIRS, f"{where}.condition", pair.condition, conditions)
        check_known(COMORBID_PAIRS, f"{where}.with", pair.also, conditions)
        _check_source(COMORBID_PAIRS, f"{where}.source", pair.source, sources)
        if pair.also == pair.condition or (pair.condition, pair.also) in stated:
            raise CatalogueError(
                f"{COMORBID_PAIRS}: {where}.with: {pair.also!r} is the condition itself or stands twice"
            )
        stated.add((pair.condition, pair.also))
        totals[pair.condition] = totals.get(pair.condition, 0.0) + pair.value
    for condition, total in totals.items():
        if total > MOST_COMORBID:
            raise CatalogueError(
                f"{COMORBID_PAIRS}: pairs.[{condition}]: the shares sum to {total:g}, over {MOST_COMORBID}"
            )


def check_contrast(name: str, factor: FactorFile) -> None:
    """A factor's figures with and without it are about the same answers."""
    with_factor = [(row.column, row.answer) for row in factor.likelihoods]
    if with_factor != [(row.column, row.answer) for row in factor.without]:
        raise CatalogueError(f"{name}: without: must hold the same columns and answers as likelihoods, in their order")
