"""Reading the catalogue's files: bytes, YAML, fields, and the order in which everything is checked.

Does not belong here: what the fields are (``models.catalogue_files``), the rules beyond them
(``models.catalogue_checks``).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from models.catalogue_checks import (
    COMORBID_PAIRS,
    check_contrast,
    check_distributions,
    check_entry,
    check_known,
    check_pairs,
    check_rows,
    check_subgroups,
)
from models.catalogue_files import (
    ArticleRow,
    CatalogueError,
    ComorbidPairRow,
    ComorbidPairsFile,
    ConditionFile,
    EntryFile,
    FactorFile,
    Text,
)
from models.knowledge_files import KnowledgeError, parse_yaml
from schemas.tiers import tiers

_SOURCES = TypeAdapter(dict[str, Text])
_ARTICLES = TypeAdapter(dict[str, ArticleRow])
_PAIRS = TypeAdapter(ComorbidPairsFile)

_Entry = TypeVar("_Entry", bound=EntryFile)


@dataclass(frozen=True, slots=True)
class CatalogueFiles:
    """The checked content of all files; ``digest`` is the SHA-256 (hex) over their bytes, sorted by file name."""

    conditions: list[ConditionFile]
    factors: list[FactorFile]
    pairs: list[ComorbidPairRow]
    sources: dict[str, str]
    articles: dict[str, ArticleRow]
    digest: str


def read_catalogue_files(folder: Path) -> CatalogueFiles:
    """Read all files of the catalogue under ``folder``.

    These are ``sources.yaml``, ``articles.yaml``, ``comorbid_pairs.yaml``, ``conditions/*.yaml`` and
    ``contributing_factors/*.yaml``.

    Raises ``CatalogueError`` naming the file and the field of the first problem.
    """
    content = _read_bytes(folder)
    sources = _checked("sources.yaml", _SOURCES, _parse("sources.yaml", content))
    articles = _checked("articles.yaml", _ARTICLES, _parse("articles.yaml", content))
    conditions = _read_entries("conditions", ConditionFile, content)
    factors = _read_entries("contributing_factors", FactorFile, content)
    for name, condition in conditions.items():
        check_entry(name, condition, sources, articles)
        check_known(name, "tier", condition.tier, tiers())
        check_distributions(name, "likelihoods", condition.likelihoods)
        check_subgroups(name, condition, sources)
    for name, factor in factors.items():
        check_entry(name, factor, sources, articles)
        check_rows(name, "without", factor.without, sources)
        check_contrast(name, factor)
    pairs = _checked(COMORBID_PAIRS, _PAIRS, _parse(COMORBID_PAIRS, content)).pairs
    check_pairs(pairs, {condition.id for condition in conditions.values()}, sources)
    return CatalogueFiles(
        conditions=_in_order(conditions),
        factors=_in_order(factors),
        pairs=pairs,
        sources=sources,
        articles=articles,
        digest=hashlib.sha256(b"".join(content[name] for name in sorted(content))).hexdigest(),
    )


def _read_bytes(folder: Path) -> dict[str, bytes]:
    paths = [folder / "sources.yaml", folder / "articles.yaml", folder / COMORBID_PAIRS]
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
    """Where in the file the problem lies; a figure is named by its column and answer, not by its place."""
    parts: list[str] = []
    for step in location:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            raw = None
        if isinstance(step, int) and isinstance(raw, dict):
            named = "{column}={answer}" if "column" in raw else "{id}" if "id" in raw else "{condition}"
            parts.append(f"[{named.format_map(defaultdict(str, raw))}]")
        else:
            parts.append(str(step))
    return ".".join(parts) or "the file"


def _in_order(entries: dict[str, _Entry]) -> list[_Entry]:
    return sorted(entries.values(), key=lambda entry: entry.order)
