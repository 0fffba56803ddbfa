"""The clinical catalogue: conditions, contributing factors, and what is known about the answers people give.

Belongs here: ``load_catalogue``, and the catalogue's types under one name. Does not belong here: the types themselves
(``models.catalogue_types``), how a file is read and checked (``models.catalogue_files``, ``models.catalogue_reading``),
red-flag rules and advice (their own modules), and what a model makes of the figures.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType

from models import catalogue_files as files
from models.catalogue_files import CatalogueError
from models.catalogue_reading import read_catalogue_files
from models.catalogue_types import (
    Article,
    Catalogue,
    ComorbidPair,
    Condition,
    ContributingFactor,
    Likelihood,
    Prior,
    Provenance,
    Subgroup,
)
from models.knowledge_files import KNOWLEDGE

__all__ = [
    "Article",
    "Catalogue",
    "CatalogueError",
    "ComorbidPair",
    "Condition",
    "ContributingFactor",
    "Likelihood",
    "Prior",
    "Provenance",
    "Subgroup",
    "load_catalogue",
]


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
        comorbid_pairs=tuple(
            ComorbidPair(row.condition, row.also, _prior(row, 1.0), row.note) for row in content.pairs
        ),
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
        subgroups=tuple(
            Subgroup(id=row.id, name=row.name, share=_prior(row.share, 1.0), likelihoods=_likelihoods(row.likelihoods))
            for row in file.subgroups
        ),
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
