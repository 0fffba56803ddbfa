"""The parts of a record's page: what stands in each, in the words of the form and of the rules table.

Belongs here: from rows to what a template prints. Takes a row from which sensitive facts are already taken out where
they have to be (``pipelines.page.sensitive``). Does not belong here: which rows
(``pipelines.page.records.record_reading``), layout (``templates/record.html``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.console import words
from pipelines.differential_words import is_child, name_of, percent
from pipelines.finding_words import asked_words, finding
from pipelines.page.records.record_reading import Record, Row
from schemas.tiers import tiers

NUMBERS_SHOWN = 5
NOT_SIGNED = "not yet signed"


@dataclass(frozen=True, slots=True)
class RuleShown:
    """A rule in words: ``standing`` says who signed it, ``missing`` what has to be asked, '' where nothing."""

    text: str
    tier: str
    source: str
    standing: str
    destination: str = ""
    missing: str = ""
    stated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """What speaks for and against one condition; ``number`` is '' where none may be shown."""

    name: str
    number: str
    speaks_for: tuple[str, ...]
    against: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdviceShown:
    """A piece of self-care advice with the article it is from."""

    text: str
    article: str
    numbers: str


def fired(record: Record, row: Row) -> list[RuleShown]:
    """Rules that fired, most urgent first."""
    return [
        RuleShown(
            text=flag["text"],
            tier=flag["tier"],
            source=flag["source"],
            standing=_standing(record.rules.get(flag["id"])),
            destination=(record.rules.get(flag["id"]) or {}).get("destination") or "",
        )
        for flag in row["red_flags"] or []
    ]


def stated_earlier(record: Record, row: Row) -> list[RuleShown]:
    """Rules that an earlier version of the record fired and this one does not."""
    return [_rule(record, flag["id"], stated_at=flag["stated_at"]) for flag in row["earlier_red_flags"] or []]


def rules_by_result(record: Record, row: Row) -> dict[str, list[RuleShown]]:
    """Emergency and same-day rules that did not fire, by result: ``no``, ``cannot_tell``, ``not_asked``."""
    found: dict[str, list[RuleShown]] = {"no": [], "cannot_tell": [], "not_asked": []}
    for status in row["rule_status"] or []:
        if status["result"] in found:
            missing = asked_words(status["missing"] or [])
            found[status["result"]].append(_rule(record, status["id"], missing=missing))
    return found


def _rule(record: Record, rule_id: str, *, missing: str = "", stated_at: datetime | None = None) -> RuleShown:
    known = record.rules.get(rule_id)
    if known is None:  # a snapshot made before it held the rules, or a rule that is no longer there
        return RuleShown(words(rule_id), "", "", NOT_SIGNED, missing=missing, stated_at=stated_at)
    return RuleShown(
        text=known["text"],
        tier=known["tier"] or "",
        source=known["source"],
        standing=_standing(known),
        missing=missing,
        stated_at=stated_at,
    )


def _standing(rule: Row | None) -> str:
    if rule and rule["signed_by"]:
        return f"signed by {rule['signed_by']}" + (f" on {rule['signed_on']}" if rule["signed_on"] else "")
    return NOT_SIGNED


def conditions(record: Record, row: Row) -> list[Condition]:
    """The likeliest conditions and those with a finding for or against them, most probable first."""
    probability = {one["condition"]: one["probability"] for one in row["differential"] or []}
    told = [one["condition"] for one in row["reasons"] or []]
    first = list(probability)[:NUMBERS_SHOWN]
    return [
        Condition(
            name=name_of(condition, record.names),
            number="" if is_child(row) or condition not in probability else percent(probability[condition]),
            speaks_for=tuple(_findings(row, condition, "for")),
            against=tuple(_findings(row, condition, "against")),
        )
        for condition in dict.fromkeys([*first, *told])
    ]


def _findings(row: Row, condition: str, direction: str) -> Iterator[str]:
    for reason in row["reasons"] or []:
        if reason["condition"] == condition and reason["direction"] == direction:
            yield finding(reason["column"], reason["answer"])


def advice(record: Record, row: Row) -> list[AdviceShown]:
    """The articles' self-care that applies and harms nothing that is not excluded."""
    found = []
    for item in row["self_care"] or []:
        known: Mapping[str, Any] = record.advice.get(item, {"text": words(item), "article": "", "numbers": ""})
        found.append(AdviceShown(known["text"], known["article"] or "", known["numbers"] or ""))
    return found


def when(row: Row) -> str:
    """By when, in the words of the tier."""
    return tiers()[row["effective_tier"]].see_by_words


def is_overdue(row: Row, now: datetime) -> bool:
    """Whether the time to be seen has passed and nobody has seen the person."""
    return row["status"] not in ("seen", "closed") and row["see_by"] is not None and row["see_by"] < now
