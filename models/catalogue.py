"""The clinical catalogue: conditions, contributing factors, and what is known about the answers people give.

Belongs here: the catalogue's types and ``load_catalogue``. Does not belong here: how a file is read and checked
(``models.catalogue_files``, ``models.catalogue_reading``), red-flag rules and advice (their own modules), and what a
model makes of the figures.

Every figure carries its source. ``judgement`` means that no source was seen and no clinician was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from models import catalogue_files as files
from models.catalogue_files import CatalogueError
from models.catalogue_reading import read_catalogue_files

__all__ = [
    "Article",
    "Catalogue",
    "CatalogueError",
    "Condition",
    "ContributingFactor",
    "Likelihood",
    "Prior",
    "load_catalogue",
]

Provenance = Literal["seen", "judgement"]

KNOWLEDGE = Path(__file__).with_name("knowledge")


@dataclass(frozen=True, slots=True)
class Likelihood:
    """One figure: how often people with the condition, once asked, give the answer.

    ``answer`` is ``"1"`` for a yes/no box, the choice for a choice column, and ``p05``, ``p50`` or ``p95`` for a
    number, where ``value`` is that percentile in the column's unit instead of a probability. ``low`` and ``high``
    bound what ``value`` may be. ``source`` is a key of ``Catalogue.sources`` or ``judgement``.
    """

    column: str
    answer: str
    value: float
    low: float
    high: float
    source: str
    provenance: Provenance
    note: str


@dataclass(frozen=True, slots=True)
class Prior:
    """How common a condition is among runners who seek care for hip pain, before any answer; ``low``..``high``."""

    value: float
    low: float
    high: float
    source: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Condition:
    """One class of the differential, as its file states it.

    ``articles`` maps an article (``A2``) to what it says. ``tier`` applies when the condition is the likeliest and
    nothing more urgent fires; ``danger_note`` says why a dangerous condition is one. ``codes`` maps a code system
    to a code that was looked up; a system is missing where no code was checked. ``signed_by`` is None until a
    clinician has signed the file.
    """

    id: str
    name: str
    plain_name: str
    articles: Mapping[str, str]
    seek_care: str
    dangerous: bool
    danger_note: str
    tier: str
    destination: str
    first_imaging: str
    prior: Prior
    likelihoods: tuple[Likelihood, ...]
    codes: Mapping[str, str]
    conflicts: tuple[str, ...]
    signed_by: str | None
    signed_on: str | None
    _by_answer: Mapping[tuple[str, str], Likelihood] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the figures, because the model asks for each of them by column and answer."""
        index = {(row.column, row.answer): row for row in self.likelihoods}
        object.__setattr__(self, "_by_answer", MappingProxyType(index))

    def likelihood(self, column: str, answer: str) -> Likelihood | None:
        """The figure for ``answer`` of ``column``; None where the catalogue holds none."""
        return self._by_answer.get((column, answer))


@dataclass(frozen=True, slots=True)
class ContributingFactor:
    """One mechanical cause that the articles name; several may be present at once, beside any condition.

    ``likelihoods`` hold where the factor is present, ``without`` (same columns and answers) where it is not.
    ``helps`` says what the articles recommend against it.
    """

    id: str
    name: str
    plain_name: str
    articles: Mapping[str, str]
    helps: tuple[str, ...]
    prior: Prior
    likelihoods: tuple[Likelihood, ...]
    without: tuple[Likelihood, ...]
    conflicts: tuple[str, ...]
    signed_by: str | None
    signed_on: str | None


@dataclass(frozen=True, slots=True)
class Article:
    """One of the five articles; ``published`` is empty where the article states no date."""

    title: str
    author: str
    published: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All conditions and factors. ``version`` changes with any byte of any of their files.

    ``sources`` maps a source key to its citation. Priors of the conditions sum to 1.
    """

    conditions: Mapping[str, Condition]
    factors: Mapping[str, ContributingFactor]
    sources: Mapping[str, str]
    articles: Mapping[str, Article]
    version: str


def load_catalogue(folder: Path | None = None) -> Catalogue:
    """Read and check the catalogue in ``folder`` (default: the one of this release, read once a process).

    The files hold prior weights as their source printed them; conditions come back with priors (and their ranges)
    divided by the sum of all weights, so that the printed figures stay reviewable and a new file needs no change to
    the others. A factor's prior is a probability of its own and is not rescaled.

    Raises ``CatalogueError`` naming the file and the field.
    """
    return _release_catalogue() if folder is None else _load(folder)


@cache
def _release_catalogue() -> Catalogue:
    return _load(KNOWLEDGE)


def _load(folder: Path) -> Catalogue:
    content = read_catalogue_files(folder)
    total = sum(file.prior.value for file in content.conditions)
    return Catalogue(
        conditions=MappingProxyType({file.id: _condition(file, total) for file in content.conditions}),
        factors=MappingProxyType({file.id: _factor(file) for file in content.factors}),
        sources=MappingProxyType(content.sources),
        articles=MappingProxyType(
            {key: Article(row.title, row.author, row.published) for key, row in content.articles.items()}
        ),
        version=content.digest[:12],
    )


def _condition(file: files.ConditionFile, total_weight: float) -> Condition:
    return Condition(
        id=file.id,
        name=file.name,
        plain_name=file.plain_name,
        articles=MappingProxyType(file.articles),
        seek_care=file.seek_care,
        dangerous=file.dangerous,
        danger_note=file.danger_note,
        tier=file.tier,
        destination=file.destination,
        first_imaging=file.first_imaging,
        prior=_prior(file.prior, total_weight),
        likelihoods=_likelihoods(file.likelihoods),
        codes=MappingProxyType({str(system): code for system, code in file.codes.items()}),
        conflicts=tuple(file.conflicts),
        signed_by=file.signed_by,
        signed_on=file.signed_on.isoformat() if file.signed_on else None,
    )


def _factor(file: files.FactorFile) -> ContributingFactor:
    return ContributingFactor(
        id=file.id,
        name=file.name,
        plain_name=file.plain_name,
        articles=MappingProxyType(file.articles),
        helps=tuple(file.helps),
        prior=_prior(file.prior, 1.0),
        likelihoods=_likelihoods(file.likelihoods),
        without=_likelihoods(file.without),
        conflicts=tuple(file.conflicts),
        signed_by=file.signed_by,
        signed_on=file.signed_on.isoformat() if file.signed_on else None,
    )


def _prior(row: files.PriorRow, total_weight: float) -> Prior:
    return Prior(
        value=row.value / total_weight,
        low=row.low / total_weight,
        high=row.high / total_weight,
        source=row.source,
        provenance=row.provenance,
    )


def _likelihoods(rows: list[files.LikelihoodRow]) -> tuple[Likelihood, ...]:
    return tuple(
        Likelihood(row.column, row.answer, row.value, row.low, row.high, row.source, row.provenance, row.note)
        for row in rows
    )
