"""Reading the catalogue's files and checking them against the form, the tiers, the sources and each other.

Belongs here: everything that can be wrong with a file beyond its own fields. Does not belong here: what the fields
are (``models.catalogue_files``).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from models.catalogue_files import (
    JUDGEMENT,
    ArticleRow,
    CatalogueError,
    ConditionFile,
    EntryFile,
    FactorFile,
    LikelihoodRow,
    Text,
)
from models.knowledge_files import KnowledgeError, parse_yaml
from schemas.form import Question, answer_columns, questions
from schemas.tiers import tiers

PERCENTILES = ("p05", "p50", "p95")
SUM_TOLERANCE = 1e-3  # the files hold rounded figures


_SOURCES = TypeAdapter(dict[str, Text])
_ARTICLES = TypeAdapter(dict[str, ArticleRow])

_Entry = TypeVar("_Entry", bound=EntryFile)


@dataclass(frozen=True, slots=True)
class CatalogueFiles:
    """The checked content of all files; ``digest`` is the SHA-256 (hex) over their bytes, sorted by file name."""

    conditions: list[ConditionFile]
    factors: list[FactorFile]
    sources: dict[str, str]
    articles: dict[str, ArticleRow]
    digest: str


def read_catalogue_files(folder: Path) -> CatalogueFiles:
    """Read ``sources.yaml``, ``articles.yaml``, ``conditions/`` and ``contributing_factors/`` under ``folder``.

    Raises ``CatalogueError`` naming the file and the field of the first problem.
    """
    content = _read_bytes(folder)
    sources = _checked("sources.yaml", _SOURCES, _parse("sources.yaml", content))
    articles = _checked("articles.yaml", _ARTICLES, _parse("articles.yaml", content))
    conditions = _read_entries("conditions", ConditionFile, content)
    factors = _read_entries("contributing_factors", FactorFile, content)
    for name, condition in conditions.items():
        _check_entry(name, condition, sources, articles)
        _check_known(name, "tier", condition.tier, tiers())
        _check_distributions(name, condition.likelihoods)
    for name, factor in factors.items():
        _check_entry(name, factor, sources, articles)
        _check_rows(name, "without", factor.without, sources)
        _check_contrast(name, factor)
    return CatalogueFiles(
        conditions=_in_order(conditions),
        factors=_in_order(factors),
        sources=sources,
        articles=articles,
        digest=hashlib.sha256(b"".join(content[name] for name in sorted(content))).hexdigest(),
    )


def _read_bytes(folder: Path) -> dict[str, bytes]:
    paths = [folder / "sources.yaml", folder / "articles.yaml"]
    paths += [*folder.glob("conditions/*.yaml"), *folder.glob("contributing_factors/*.yaml")]
    content = {}
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            content[name] = path.read_bytes()
        except OSError as error:
            raise CatalogueError(f"{name}: the file cannot be read ({error.strerror})") from error
    return content


def _parse(name: str, content: dict[str, bytes]) -> Any:
    try:
        return parse_yaml(name, content[name])
    except KnowledgeError as error:
        raise CatalogueError(str(error)) from error


def _read_entries(kind: str, model: type[_Entry], content: dict[str, bytes]) -> dict[str, _Entry]:
    adapter = TypeAdapter(model)
    names = [name for name in content if name.startswith(f"{kind}/")]
    entries = {name: _checked(name, adapter, _parse(name, content)) for name in names}
    if not entries:
        raise CatalogueError(f"{kind}/: no files")
    places: dict[int, str] = {}
    for name, entry in entries.items():
        if entry.id != Path(name).stem:
            raise CatalogueError(f"{name}: id: {entry.id!r} differs from the file's name")
        if entry.order in places:
            raise CatalogueError(f"{name}: order: {entry.order} is taken by {places[entry.order]}")
        places[entry.order] = name
    return entries


_Checked = TypeVar("_Checked")


def _checked(name: str, adapter: TypeAdapter[_Checked], raw: Any) -> _Checked:
    try:
        return adapter.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise CatalogueError(f"{name}: {_field(raw, first['loc'])}: {first['msg']}") from error


def _field(raw: Any, location: tuple[int | str, ...]) -> str:
    """Where in the file the problem lies; a figure is named by its column and answer, not by its place in the list."""
    parts: list[str] = []
    for step in location:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            raw = None
        if isinstance(step, int) and isinstance(raw, dict):
            parts.append(f"[{raw.get('column')}={raw.get('answer')}]")
        else:
            parts.append(str(step))
    return ".".join(parts) or "the file"


def _in_order(entries: dict[str, _Entry]) -> list[_Entry]:
    return sorted(entries.values(), key=lambda entry: entry.order)


def _check_entry(name: str, entry: EntryFile, sources: Collection[str], articles: Collection[str]) -> None:
    for article in entry.articles:
        _check_known(name, "articles", article, articles)
    _check_source(name, "prior.source", entry.prior.source, sources)
    _check_rows(name, "likelihoods", entry.likelihoods, sources)


def _check_known(name: str, field: str, key: str, known: Collection[str]) -> None:
    if key not in known:
        raise CatalogueError(f"{name}: {field}: {key!r} is not known")


def _check_source(name: str, field: str, source: str, sources: Collection[str]) -> None:
    if source != JUDGEMENT:
        _check_known(name, field, source, sources)


def _check_rows(name: str, field: str, rows: Iterable[LikelihoodRow], sources: Collection[str]) -> None:
    form = {column: questions()[column] for column in answer_columns()}
    stated: set[tuple[str, str]] = set()
    for row in rows:
        where = f"{field}.[{row.column}={row.answer}]"
        _check_known(name, f"{where}.column", row.column, form)
        _check_known(name, f"{where}.answer", row.answer, answers_of(form[row.column]))
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


def _check_distributions(name: str, rows: Iterable[LikelihoodRow]) -> None:
    """The answers of a choice sum to 1; the percentiles of a number are complete and rise."""
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        values.setdefault(row.column, {})[row.answer] = row.value
    for column, by_answer in values.items():
        question = questions()[column]
        total = sum(by_answer.values())
        if question.type == "choice" and not math.isclose(total, 1.0, abs_tol=SUM_TOLERANCE):
            raise CatalogueError(f"{name}: likelihoods.[{column}]: the answers sum to {total:g}, not 1")
        if question.allowed_range:
            _check_percentiles(name, column, [by_answer.get(answer) for answer in PERCENTILES])


def _check_percentiles(name: str, column: str, percentiles: list[float | None]) -> None:
    low, middle, high = percentiles
    if low is None or middle is None or high is None:
        raise CatalogueError(f"{name}: likelihoods.[{column}]: p05, p50 and p95 are stated together")
    if not (low <= middle <= high and low < high):
        raise CatalogueError(f"{name}: likelihoods.[{column}]: p05, p50 and p95 do not rise")


def _check_contrast(name: str, factor: FactorFile) -> None:
    with_factor = [(row.column, row.answer) for row in factor.likelihoods]
    if with_factor != [(row.column, row.answer) for row in factor.without]:
        raise CatalogueError(f"{name}: without: must hold the same columns and answers as likelihoods, in their order")
