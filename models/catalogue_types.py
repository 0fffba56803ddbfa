"""What the catalogue knows, as the rest of the program sees it: conditions, factors, figures and their sources.

Belongs here: the types, all immutable. Does not belong here: reading them from files (``models.catalogue``), and what a
model makes of the figures.

Every figure carries its source. ``judgement`` means that no source was seen and no clinician was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Provenance = Literal["seen", "judgement"]


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
    """How common something is before any answer, within ``low``..``high``.

    Of a condition: among runners who seek care for hip pain. Of a subgroup or a comorbidity: within its condition.
    """

    value: float
    low: float
    high: float
    source: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class _Figured:
    """Whatever has figures of its own, found by column and answer."""

    likelihoods: tuple[Likelihood, ...]
    _by_answer: Mapping[tuple[str, str], Likelihood] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the figures, because the model asks for each of them by column and answer."""
        object.__setattr__(self, "_by_answer", _index(self.likelihoods))

    def likelihood(self, column: str, answer: str) -> Likelihood | None:
        """The own figure for ``answer`` of ``column``; None where there is none."""
        return self._by_answer.get((column, answer))


@dataclass(frozen=True, slots=True)
class Subgroup(_Figured):
    """One disease of a condition that is a mixture, with the figures in which it differs from the mixture.

    ``share`` is its part of the condition; the shares of one condition sum to 1. A column that ``likelihoods`` speaks
    about is complete there (the same answers as in the condition) and takes the place of the condition's own figures,
    which stay as those of the mixture as a whole. All other columns are the condition's: there ``likelihood`` is None.
    """

    id: str
    name: str
    share: Prior


@dataclass(frozen=True, slots=True)
class ComorbidPair:
    """Among people whose main diagnosis is ``condition``, ``share`` also have ``also`` (``with`` in the file)."""

    condition: str
    also: str
    share: Prior
    note: str


@dataclass(frozen=True, slots=True)
class Condition(_Figured):
    """One class of the differential, as its file states it.

    ``articles`` maps an article (``A2``) to what it says. ``tier`` applies when the condition is the likeliest and
    nothing more urgent fires; ``danger_note`` says why a dangerous condition is one. ``codes`` maps a code system
    to a code that was looked up; a system is missing where no code was checked. ``signed_by`` is None until a
    clinician has signed the file. ``subgroups`` is empty where the class is no mixture of diseases.
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
    codes: Mapping[str, str]
    conflicts: tuple[str, ...]
    subgroups: tuple[Subgroup, ...]
    signed_by: str | None
    signed_on: str | None


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

    ``sources`` maps a source key to its citation. Priors of the conditions sum to 1. ``comorbid_pairs`` of one
    condition have shares that sum to at most 0.6.
    """

    conditions: Mapping[str, Condition]
    comorbid_pairs: tuple[ComorbidPair, ...]
    factors: Mapping[str, ContributingFactor]
    sources: Mapping[str, str]
    articles: Mapping[str, Article]
    version: str


def _index(rows: Iterable[Likelihood]) -> Mapping[tuple[str, str], Likelihood]:
    return MappingProxyType({(row.column, row.answer): row for row in rows})
