"""Advice: what helps, what protects until somebody has looked, and what to watch for.

Belongs here: reading and checking ``knowledge/advice.yaml`` and ``knowledge/safety_net.yaml``, and choosing from them
for a batch of records. Does not belong here: which conditions are likely or not excluded (the model and the rules).

Of the self-care that may be given a record gets the ``at_most`` most relevant items of ``advice.yaml``: those that help
the likeliest conditions and contributing factors, specific before general (``models.advice_relevance``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from models.advice_relevance import most_relevant, relevance
from models.knowledge_files import KNOWLEDGE, KnowledgeError, condition_ids, digest_of, factor_ids, lists_of, read_yaml
from schemas.tiers import tiers

ADVICE_FILE, SAFETY_NET_FILE = "advice.yaml", "safety_net.yaml"

# Whoever is to be seen within two weeks is not told what to do alone (product page, section 6).
NO_SELF_CARE_TIERS = ("emergency", "same_day", "urgent")

_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class AdviceError(KnowledgeError):
    """An advice file that does not hold together; the message names the file and the entry."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _AdviceRow(_Row):
    id: Annotated[str, StringConstraints(pattern=r"^a[1-5]_[a-z0-9_]+$")]
    text: _Text
    article: Literal["A1", "A2", "A3", "A4", "A5"]
    numbers: str
    helps: Annotated[list[str], Field(min_length=1)]
    harms: list[str] | None = None
    harms_too: list[str] = []
    not_in_pregnancy: bool = False
    minimum_age: int | None = None
    never_publish: _Text | None = None
    note: str = ""


class _UntilSeenRow(_Row):
    id: _Text
    text: Annotated[str, StringConstraints(pattern=r"^Consider: ")]
    when_not_excluded: list[str]
    when_tier: list[str]
    source: _Text


class _AdviceFile(_Row):
    signed_by: _Text | None
    signed_on: date | None
    dangerous_conditions: Annotated[list[str], Field(min_length=1)]
    minimum_age: int
    at_most: Annotated[int, Field(ge=1)]
    self_care: list[_AdviceRow]
    until_seen: list[_UntilSeenRow]


class _SafetyNetFile(_Row):
    signed_by: _Text | None
    signed_on: date | None
    always: Annotated[list[_Text], Field(min_length=1)]
    tiers: dict[str, Annotated[list[_Text], Field(min_length=1)]]


_File = TypeVar("_File", bound=_Row)


@dataclass(frozen=True, slots=True)
class Advice:
    """One piece of the articles' advice. ``helps`` and ``harms`` are ids of conditions and contributing factors.

    ``never_publish`` says why it is kept but never given; None for advice that may be given.
    """

    id: str
    text: str
    article: str
    numbers: str
    helps: frozenset[str]
    harms: frozenset[str]
    not_in_pregnancy: bool
    minimum_age: int
    never_publish: str | None
    note: str


@dataclass(frozen=True, slots=True)
class UntilSeen:
    """One protective sentence, given where one of ``when_not_excluded`` is, or the tier is one of ``when_tier``."""

    id: str
    text: str
    when_not_excluded: frozenset[str]
    when_tier: frozenset[str]
    source: str


@dataclass(frozen=True, slots=True)
class AdviceBook:
    """All advice. ``safety_net`` maps every tier to its sentences; ``version`` changes with any byte of the files.

    ``at_most`` is how many items of self-care one record gets. ``signed`` is false until a clinician has signed both
    files.
    """

    self_care: tuple[Advice, ...]
    until_seen: tuple[UntilSeen, ...]
    safety_net: Mapping[str, tuple[str, ...]]
    at_most: int
    signed: bool
    version: str


def load_advice(folder: Path | None = None) -> AdviceBook:
    """Read and check ``advice.yaml`` and ``safety_net.yaml`` in ``folder`` (default: this release's, read once).

    Raises ``AdviceError`` naming the file and the entry.
    """
    return _release_advice() if folder is None else _load(folder)


@cache
def _release_advice() -> AdviceBook:
    return _load(KNOWLEDGE)


def _load(folder: Path) -> AdviceBook:
    paths = [folder / ADVICE_FILE, folder / SAFETY_NET_FILE]
    advice, net = _read(paths[0], _AdviceFile), _read(paths[1], _SafetyNetFile)
    conditions, all_ids = condition_ids(), condition_ids() | factor_ids()
    _check_ids("dangerous_conditions", advice.dangerous_conditions, conditions)
    _check_once([*(row.id for row in advice.self_care), *(row.id for row in advice.until_seen)])
    for row in advice.self_care:
        _check_ids(f"{row.id}: helps", row.helps, all_ids)
        _check_ids(f"{row.id}: harms", [*(row.harms or []), *row.harms_too], all_ids)
    for entry in advice.until_seen:
        _check_ids(f"{entry.id}: when_not_excluded", entry.when_not_excluded, conditions)
        _check_ids(f"{entry.id}: when_tier", entry.when_tier, tiers())
        if not entry.when_not_excluded and not entry.when_tier:
            raise AdviceError(f"{ADVICE_FILE}: {entry.id}: nothing ever gives it")
    if set(net.tiers) != set(tiers()):
        raise AdviceError(f"{SAFETY_NET_FILE}: tiers: not exactly {', '.join(tiers())}")
    return AdviceBook(
        self_care=tuple(_advice(row, advice) for row in advice.self_care),
        until_seen=tuple(
            UntilSeen(row.id, row.text, frozenset(row.when_not_excluded), frozenset(row.when_tier), row.source)
            for row in advice.until_seen
        ),
        safety_net=MappingProxyType({tier: (*net.tiers[tier], *net.always) for tier in tiers()}),
        at_most=advice.at_most,
        signed=advice.signed_by is not None and net.signed_by is not None,
        version=digest_of(paths),
    )


def _read(path: Path, model: type[_File]) -> _File:
    try:
        return model.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise AdviceError(f"{path.name}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from error
    except AdviceError:
        raise
    except KnowledgeError as error:
        raise AdviceError(str(error)) from error


def _check_ids(where: str, ids: Iterable[str], known: Collection[str]) -> None:
    if unknown := sorted(set(ids) - set(known)):
        raise AdviceError(f"{ADVICE_FILE}: {where}: {unknown} is not known")


def _check_once(ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise AdviceError(f"{ADVICE_FILE}: {name}: id: stands twice")
        seen.add(name)


def _advice(row: _AdviceRow, file: _AdviceFile) -> Advice:
    harms = file.dangerous_conditions if row.harms is None else row.harms
    return Advice(
        id=row.id,
        text=row.text,
        article=row.article,
        numbers=row.numbers,
        helps=frozenset(row.helps),
        harms=frozenset([*harms, *row.harms_too]),
        not_in_pregnancy=row.not_in_pregnancy,
        minimum_age=file.minimum_age if row.minimum_age is None else row.minimum_age,
        never_publish=row.never_publish,
        note=row.note,
    )


def choose_advice(
    helps: pl.Series,
    not_excluded: pl.Series,
    tier: pl.Series,
    pregnant_possible: pl.Series,
    age: pl.Series,
    book: AdviceBook,
) -> pl.DataFrame:
    """Advice for each record; all series have one row a record, in one order.

    ``helps``: List(String), ids of likely conditions and contributing factors, likeliest first. ``not_excluded``:
    List(String), ids of conditions that are not excluded, those of fired rules among them
    (``models.rules.rule_conditions``). ``tier``: String, the final tier. ``pregnant_possible``: Boolean, a null counts
    as possible. ``age``: years, a null counts as too young for everything that has a minimum age.

    Gives ``until_seen`` List(String) of sentences, ``self_care`` List(String) of advice ids, most relevant first and
    ``book.at_most`` of them at most, ``safety_net`` List(String) of sentences, never empty. Self-care is given only
    where it helps a likely condition and harms nothing that is not excluded, and not at all to whoever is to be seen
    within two weeks. Raises ``ValueError`` for a tier that does not exist.
    """
    if not set(tier.unique()) <= set(tiers()):
        raise ValueError("choose_advice: a record without one of the six tiers")
    danger = _Members(not_excluded)
    alone = ~tier.is_in(NO_SELF_CARE_TIERS).to_numpy()
    may_be_pregnant = pregnant_possible.fill_null(True).to_numpy()
    years = age.cast(pl.Float64).fill_null(-1.0).to_numpy()
    # Specific advice first: the order in which items of equal relevance are given.
    given = sorted((item for item in book.self_care if item.never_publish is None), key=lambda item: len(item.helps))
    allowed = np.column_stack(
        [
            alone
            & ~danger.any_of(item.harms)
            & ~(item.not_in_pregnancy & may_be_pregnant)
            & (years >= item.minimum_age)
            for item in given
        ]
    )
    shares = relevance(helps, [item.helps for item in given])
    until_seen = np.column_stack(
        [
            danger.any_of(item.when_not_excluded) | tier.is_in(list(item.when_tier)).to_numpy()
            for item in book.until_seen
        ]
    )
    return pl.DataFrame(
        {
            "until_seen": lists_of(until_seen, [item.text for item in book.until_seen]),
            "self_care": most_relevant(shares * allowed, [item.id for item in given], book.at_most),
            "safety_net": _safety_net(tier, book),
        }
    )


class _Members:
    """Which ids stand in each list of a series: one boolean column an id that occurs."""

    def __init__(self, lists: pl.Series) -> None:
        self.height = len(lists)
        rows = pl.DataFrame({"row": np.arange(self.height, dtype=np.uint32), "id": lists.cast(pl.List(pl.String))})
        flat = rows.explode("id").drop_nulls("id")
        self.rows_of = {str(name): part["row"].to_numpy() for (name,), part in flat.group_by("id")}

    def any_of(self, ids: Collection[str]) -> np.ndarray:
        """For each record whether one of ``ids`` stands in its list."""
        found = np.zeros(self.height, dtype=bool)
        for name in ids:
            if (rows := self.rows_of.get(name)) is not None:
                found[rows] = True
        return found


def _safety_net(tier: pl.Series, book: AdviceBook) -> pl.Series:
    sentences: Sequence[tuple[str, ...]] = [book.safety_net[name] for name in tiers()]
    place = tier.replace_strict({name: index for index, name in enumerate(tiers())}, return_dtype=pl.UInt32)
    return pl.Series([list(texts) for texts in sentences], dtype=pl.List(pl.String)).gather(place)
