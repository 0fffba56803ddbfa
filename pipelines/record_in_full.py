"""One referral in full, as lines of text in the order in which a clinician reads it.

Belongs here: the order and the wording of everything a row rests on. Does not belong here: finding the row
(``pipelines.commands.explain``). Words come before numbers, what was asked and absent stands apart from what was
never asked, and nothing is shown as a percentage for a child.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.console import TIER_WORDS, local, tested, words
from pipelines.differential_words import NO_MODEL, NOT_FOR_CHILDREN, groups, is_child, name_of, percent
from pipelines.finding_words import asked_words, finding

NUMBERS_SHOWN = 5
RESULTS = (
    ("no", "asked and absent"),
    ("cannot_tell", "cannot tell, a missing answer decides"),
    ("not_asked", "not asked"),
)


def lines(
    row: Mapping[str, Any],
    names: Mapping[str, str],
    lineage: Sequence[str],
    concerns: Sequence[tuple[str, datetime, str]],
    at: ZoneInfo,
) -> Iterator[str]:
    """The record as lines of text; an empty line ends a part.

    ``row``: a row of ``referrals`` by column. ``names``: a clinician's name by id of condition or contributing
    factor. ``lineage``: file hash and record number of each version, newest first. ``concerns``: code, time and name of
    whoever reported it, of each safety concern about the record, newest first. ``at``: the clinic's zone.
    """
    yield f"{row['clinic_id']}/{row['record_id']}"
    yield row["headline"] or "no facts stated"
    yield from _urgency(row, at)
    yield from _concerns(concerns, at)
    yield from _rules(row, at)
    yield from _part("UNTIL SEEN", row["until_seen"])
    yield from _differential(row, names)
    yield from _reasons(row, names)
    yield from _part(
        "ASK NEXT",
        (f"{ask['question']} (column {ask['column']}): {ask['why']}" for ask in row["questions_to_ask"] or []),
    )
    yield from _part("CONTRIBUTING", (name_of(factor, names) for factor in row["contributing_factors"] or []))
    yield from _part("SELF-CARE ADVICE (ids)", row["self_care"])
    yield from _part("SAFETY NET", row["safety_net"])
    yield from _history(row, at)
    yield from _origin(row, lineage, at)


def _urgency(row: Mapping[str, Any], at: ZoneInfo) -> Iterator[str]:
    tier = row["effective_tier"]
    yield ""
    see_by = "now, emergency department" if tier == "emergency" else f"see by {local(row['see_by'], at)}"
    yield f"{TIER_WORDS[tier]}: {see_by}"
    yield f"  why: {row['tier_reason']} (basis: {row['tier_basis']}; score {row['priority_score']:.1f})"
    if row["decided_tier"]:
        reason = row["decision_reason"] or "not stated"
        yield f"  decided by a clinician; computed: {TIER_WORDS[row['tier']]}; reason: {reason}"
    yield f"  where to: {row['destination'] or 'not stated'}"
    yield f"  first imaging to consider: {row['first_imaging'] or 'none'}"
    if row["ask_by"]:
        yield f"  telephone to complete the form by {local(row['ask_by'], at)}"
    if row["special"]:
        yield f"  mind: {', '.join(words(mark) for mark in row['special'])}"
    if row["needs_review"]:
        yield f"  REVIEW by a person: {row['review_reason'] or 'no reason given'}"


def _concerns(concerns: Sequence[tuple[str, datetime, str]], at: ZoneInfo) -> Iterator[str]:
    yield from _part(
        "SAFETY CONCERNS REPORTED BY CLINICIANS",
        (f"{words(concern)}, {local(reported_at, at)}, {by}" for concern, reported_at, by in concerns),
    )


def _rules(row: Mapping[str, Any], at: ZoneInfo) -> Iterator[str]:
    yield from _part(
        "RED FLAGS THAT FIRED",
        (f"{flag['text']} [{words(flag['tier'])}; source: {flag['source']}]" for flag in row["red_flags"] or []),
        none="none of the published rules fired",
    )
    yield from _part(
        "STATED IN AN EARLIER VERSION",
        (f"{words(flag['id'])}, {local(flag['stated_at'], at)}" for flag in row["earlier_red_flags"] or []),
    )
    for result, title in RESULTS:
        rules = [rule for rule in row["rule_status"] or [] if rule["result"] == result]
        named = (
            words(rule["id"]) + (f" (missing: {asked_words(rule['missing'])})" if rule["missing"] else "")
            for rule in rules
        )
        if result == "cannot_tell":
            yield from _part(f"EMERGENCY AND SAME-DAY RULES, {title}", named)
        elif rules:
            yield ""
            yield f"EMERGENCY AND SAME-DAY RULES, {title}: {', '.join(words(rule['id']) for rule in rules)}"


def _differential(row: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    child = is_child(row)
    title = "WHAT IT MAY BE" + (f" ({NOT_FOR_CHILDREN})" if child else "")
    found = [f"{group.label}: {', '.join(group.named(names))}" for group in groups(row)]
    yield from _part(title, found, none=NO_MODEL)
    if child or not found:
        return
    yield f"  in numbers ({tested(row['evidence_basis'])}):"
    for one in row["differential"][:NUMBERS_SHOWN]:
        yield f"    {name_of(one['condition'], names)} {percent(one['probability'])}"


def _reasons(row: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    reasons = row["reasons"] or []
    for condition in dict.fromkeys(reason["condition"] for reason in reasons):
        told = [reason for reason in reasons if reason["condition"] == condition]
        yield from _part(
            f"FINDINGS, {name_of(condition, names)}",
            (f"{reason['direction']}: {finding(reason['column'], reason['answer'])}" for reason in told),
        )


def _history(row: Mapping[str, Any], at: ZoneInfo) -> Iterator[str]:
    yield from _part(
        "EARLIER RECORDS OF THIS PERSON IN THE CLINIC",
        (
            f"{one['record_id']}, {local(one['submitted_at'], at)}, {words(one['tier'] or 'no tier')}"
            + (f", confirmed: {words(one['confirmed'])}" if one["confirmed"] else "")
            for one in row["earlier_records"] or []
        ),
    )


def _origin(row: Mapping[str, Any], lineage: Sequence[str], at: ZoneInfo) -> Iterator[str]:
    versions = ", ".join(f"{part} {row[f'{part}_version']}" for part in ("model", "catalogue", "rules", "contract"))
    yield from _part(
        "WHERE IT COMES FROM",
        [
            f"submitted {local(row['submitted_at'], at)}, received {local(row['received_at'], at)}, "
            f"scored {local(row['scored_at'], at)}, first submitted {local(row['episode_started_at'], at)}",
            f"versions: {versions}; evidence: {row['evidence_basis']}",
            f"intake hash {row['intake_hash']}",
            *lineage,
            *(["came with free text, which its clinic's clinicians read on the page"] if row["has_notes"] else []),
        ],
    )


def _part(title: str, items: Iterable[str] | None, none: str = "") -> Iterator[str]:
    listed = list(items or []) or ([none] if none else [])
    if listed:
        yield ""
        yield title
        yield from (f"  {item}" for item in listed)
