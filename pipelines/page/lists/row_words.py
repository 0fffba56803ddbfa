"""A row of the list in words: when, why, what it may be, what to ask, who decided.

Belongs here: wording of one row. Does not belong here: layout (``templates/worklist.html``), which rows
(``pipelines.page.lists.worklist_rows``), the words of a record's own view.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.console import TIER_WORDS, local, tested, words
from pipelines.differential_words import NO_MODEL, NOT_FOR_CHILDREN, groups, is_child
from pipelines.page.durations import duration
from pipelines.page.sensitive import disclosed

MARK_WORDS = {
    "child": "child, under 16: rules decide",
    "young_person": "16 or 17 years old",
    "pregnancy": "pregnant, or may be",
    "safeguarding_review": "safeguarding: speak to your lead",
    "imaged": "imaged already: read the result first",
}
# Beside the word, so that no tier is told by its colour alone.
TIER_SIGNS = {"emergency": "■", "same_day": "▲", "urgent": "◆", "soon": "●", "routine": "○", "self_care": "□"}


@dataclass(frozen=True, slots=True)
class May:
    """What the row may be: ``label`` in words (most likely, possible, cannot be excluded), conditions by name."""

    label: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A row as the list shows it. ``place`` is None where the record is seen or closed; '' says that there is nothing.

    ``when``: the clock on the clinic's time; ``how_long``: until then, or since. ``may_be`` is empty where ``no_model``
    says why.
    """

    place: int | None
    clinic: str
    record: str
    headline: str
    tier: str
    why: str
    is_overdue: bool
    when: str
    how_long: str
    where: str
    imaging: str
    flags: tuple[str, ...]
    may_be: tuple[May, ...]
    no_model: str
    evidence: str
    ask: tuple[str, ...]
    ask_by: str
    review: str
    decided: str
    status: str
    marks: tuple[str, ...]


def shown(row: Mapping[str, Any], names: Mapping[str, str], at: ZoneInfo, now: datetime, *, answers: bool) -> Shown:
    """The row in words.

    ``row``: of ``pipelines.page.lists.worklist_rows.rows``. ``names``: clinician's name of each condition by id.
    ``answers``: whether the visitor may see what tells of a sensitive answer.
    """
    row = disclosed(row, answers=answers)
    may_be = tuple(May(group.label, group.named(names)) for group in groups(row))
    no_model = NOT_FOR_CHILDREN if is_child(row) else "" if may_be else NO_MODEL
    earlier = [f"stated in an earlier version: {words(flag['id'])}" for flag in row["earlier_red_flags"] or ()]
    return Shown(
        place=row["place"],
        clinic=row["clinic_id"],
        record=row["record_id"],
        headline=row["headline"] or "AGE NOT STATED, SIDE NOT STATED: no facts stated",
        tier=row["effective_tier"],
        why=row["tier_reason"] or "",
        is_overdue=row["overdue"],
        when=_when(row, at),
        how_long=how_long(row, now),
        where=row["destination"] or "",
        imaging=row["first_imaging"] or "",
        flags=(*(flag["text"] for flag in row["red_flags"] or ()), *earlier),
        may_be=() if is_child(row) else may_be,
        no_model=no_model,
        evidence=tested(row["evidence_basis"] or "literature"),
        ask=tuple(dict.fromkeys(ask["question"] for ask in row["questions_to_ask"] or ())),
        ask_by=local(row["ask_by"], at) if row["ask_by"] else "",
        review=(row["review_reason"] or "a person has to look") if row["needs_review"] else "",
        decided=_decided(row, at),
        status=row["status"],
        marks=marks(row),
    )


def marks(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Circumstances that change how a row of ``referrals`` is read."""
    return tuple(MARK_WORDS.get(mark, words(mark)) for mark in row["special"] or ())


def _when(row: Mapping[str, Any], at: ZoneInfo) -> str:
    by = local(row["see_by"], at)
    return f"NOW, emergency department (clock: {by})" if row["effective_tier"] == "emergency" else by


def how_long(row: Mapping[str, Any], now: datetime) -> str:
    """How long until the clock of an open row, or since; '' where it has none."""
    see_by = row["see_by"]
    if see_by is None or row["place"] is None:
        return ""
    return f"OVERDUE by {duration(now - see_by)}" if row["overdue"] else f"in {duration(see_by - now)}"


def _decided(row: Mapping[str, Any], at: ZoneInfo) -> str:
    if not row["decided_tier"]:
        return ""
    parts = [f"{TIER_WORDS[row['decided_tier']]} decided by {row['decided_by'] or 'somebody not named'}"]
    if row["decided_at"]:
        parts.append(local(row["decided_at"], at))
    if row["decision_reason"]:
        parts.append(f"reason: {words(row['decision_reason'])}")
    parts.append(f"computed: {TIER_WORDS[row['tier']]}")
    return ", ".join(parts)
