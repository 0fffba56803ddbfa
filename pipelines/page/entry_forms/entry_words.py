"""Entries in words: what each code of the entry forms means to a clinician, and one line for one entry.

Belongs here: wording. The codes themselves stand in ``schemas/decision_form.csv`` and its like.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pipelines.console import TIER_WORDS, words
from schemas.form import Question, read_form
from schemas.tiers import tiers
from schemas.what_is_wrong import explained
from warehouse.entered_rows import Contents, Entry

Option = tuple[str, str]
NOT_IN_CATALOGUE = "not_in_catalogue"
# Where the code with its underscores taken out is not what a clinician would say.
_SAID = {
    "reason": {"known_to_clinic": "known to this clinic", "duplicate_record": "entered twice"},
    "found_by": {"clinical_course": "how it went (clinical course)", "not_confirmed": "not confirmed"},
    "harm": {"unneeded_test_or_visit": "a test or visit that was not needed", "worsened": "it got worse"},
    "concern": {
        "tier_too_low": "the tier is too low",
        "tier_too_high": "the tier is too high",
        "red_flag_missed": "a red flag was missed",
        "wrong_facts": "the facts shown are wrong",
        "harmful_advice": "the advice could do harm",
        "wrong_record": "this is another person's record",
        "page_or_program": "this page or the program as a whole",
    },
}
_WRONG = {
    "missing_name": "give your own name or staff number",
    "bad_name": "at most 64 letters, digits, spaces and . , ' -, and a letter or digit first",
    "not_a_choice": "choose one of the answers of the list",
    "not_a_condition": "choose one of the conditions of the list",
    "nothing_decided": "choose what you decide",
    "reason_not_given": "choose what the decision rests on",
    "fast_without_reason": "choose what the decision rests on",
    "closed_without_reason": "choose why the referral is closed",
    "missing_answer": "choose an answer",
}


@cache
def choices() -> dict[str, tuple[Option, ...]]:
    """By column of the entry forms, the codes it takes with their words, in the order of the form."""
    questions = [q for kind in ("decision", "outcome", "safety_concern") for q in read_form(f"{kind}_form.csv")]
    return {q.column: tuple((code, _in_words(q, code)) for code in q.choices) for q in questions if q.choices}


def in_words(column: str, code: str) -> str:
    """A code of a column in words; the code itself where the form has none such."""
    return dict(choices().get(column, ())).get(code, words(code))


def conditions_of(connection: Any) -> tuple[Option, ...]:
    """Every condition that an outcome may name, in clinicians' names, by name; ``not_in_catalogue`` last.

    Not in the order of the differential: what was found must not be led by what was expected.
    """
    (question,) = (q for q in read_form("outcome_form.csv") if q.column == "confirmed_condition")
    names = dict(connection.execute("SELECT condition, name FROM conditions").fetchall())
    named = [(code, str(names.get(code) or words(code))) for code in question.allowed.split("|")]
    return tuple(sorted(named, key=lambda option: (option[0] == NOT_IN_CATALOGUE, option[1].casefold())))


def sentence(entry: Entry, at: ZoneInfo, now: datetime, state: Literal["waiting", "refused"]) -> str:
    """One line: what was entered, by whom, when on the clinic's clock, and what has become of it."""
    moment, today = entry.made_at.astimezone(at), now.astimezone(at).date()
    when = moment.strftime("%H:%M" if moment.date() == today else "%Y-%m-%d %H:%M")
    by = f"by {entry.by} {when}" if entry.by else when
    said = ", ".join(_what(entry))
    if state == "refused":
        return f"could not be taken in, ask the analyst: {said} {by}"
    return f"entered, not yet published: {said} {by}"


def said_of(contents: Contents, code: str, column: str | None) -> str:
    """What is wrong with a field or a row, to whoever sits before the form."""
    return _WRONG.get(code) or explained(code, column, contents).sentence


def _what(entry: Entry) -> Sequence[str]:
    cells = entry.cells
    why = f" ({in_words('reason', cells['reason'])})" if cells.get("reason") else ""
    if entry.contents == "decision":
        tier = [f"tier {TIER_WORDS[cells['decided_tier']]}"] if cells["decided_tier"] in tiers() else []
        return [" and ".join([*([cells["status"]] if cells["status"] else []), *tier]) + why]
    if entry.contents == "safety_concern":
        return [f"safety concern: {in_words('concern', cells['concern'])}"]
    found = [words(cells["confirmed_condition"])] if cells["confirmed_condition"] else []
    also = [words(code) for code in cells["also_confirmed"].split(";") if code]
    return ["outcome: came" if cells["attended"] == "yes" else "outcome: did not come", *found, *also]


def _in_words(question: Question, code: str) -> str:
    if set(question.choices) == set(tiers()):
        return f"{TIER_WORDS[code]}: {tiers()[code].see_by_words}"
    return _SAID.get(question.column, {}).get(code, words(code))
