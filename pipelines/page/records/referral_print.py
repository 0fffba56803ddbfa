"""The printed referral: one sheet of A4 a record, whatever the record holds.

Belongs here: what stands on the sheet and how much of it fits. What does not fit is counted on the sheet and never cut
without a word. No percentage, no note and no sensitive answer stands on paper. Does not belong here: layout
(``templates/record_print.html``).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from pipelines.console import TIER_WORDS, local, tested, words
from pipelines.differential_words import NO_MODEL, NOT_FOR_CHILDREN, groups, is_child
from pipelines.page.entry_forms import entries
from pipelines.page.lists.remarks import remarks_on
from pipelines.page.records import record_sections
from pipelines.page.records.record_reading import Row, reading_of
from pipelines.page.rendering import notices, page
from pipelines.page.security import access
from pipelines.page.sensitive import disclosed
from pipelines.page.visit import Visit, shown_to
from schemas.form import questions
from schemas.forms.wording import stop_text

# Letters that a line holds at least, in text, in small text and in large, and lines that the sheet holds beside its
# fixed parts: measured in a browser on A4 with margins of 12 mm. Tests print a clinic's fullest records and one fuller.
LETTERS, SMALL_LETTERS, LARGE_LETTERS = 106, 122, 44
LINES = 45.0
SOURCES_AT_LEAST = 2
LABEL = 28  # letters of the longest label before a text
SMALL_LINE = 0.85
LEFT_OUT = "see the page of this record"


@dataclass(frozen=True, slots=True)
class Listed:
    """Items of one part that fit, and how many more there are."""

    items: tuple[Any, ...]
    more: int


class Sheet:
    """The lines that are left on a sheet while its parts are laid out, the most important part first."""

    def __init__(self, lines: float = LINES) -> None:
        self.left = lines

    def listed(self, items: Sequence[Any], cost: Callable[[Any], float], *, spare: float = 0.0) -> Listed:
        """The first items that fit while ``spare`` lines stay free; a line more where some do not, to say so."""
        total = sum(map(cost, items))
        room = self.left - spare
        if total > room:
            room -= 1
            self.left -= 1
        fitting = 0
        for item in items:
            if cost(item) > room:
                break
            room -= cost(item)
            self.left -= cost(item)
            fitting += 1
        return Listed(tuple(items[:fitting]), len(items) - fitting)

    def text(self, text: str, *, at_most: int) -> str:
        """The text on at most so many lines with its label; where it is longer, it says where the rest stands."""
        room = at_most * LETTERS - LABEL
        if len(text) > room:
            text = f"{text[: room - len(LEFT_OUT) - 6].rsplit(' ', 1)[0]} ... ({LEFT_OUT})"
        self.left -= ceil((len(text) + LABEL) / LETTERS)
        return text


def lines_of(text: str, letters: int = LETTERS) -> int:
    """How many lines a text takes at most."""
    return ceil(len(text) / letters)


def _source(flag: record_sections.RuleShown) -> str:
    return f"Source: {flag.source}; {flag.standing}"


def _flags(fired: Sequence[record_sections.RuleShown], sheet: Sheet, spare: float) -> Listed:
    """Pairs of a fired rule and its source. Where not all fit, only the first keep their source, so that more do."""
    told = [(flag, _source(flag)) for flag in fired]
    if sum(map(_of_flag, told)) > sheet.left - spare:  # a line of the spare ones says where the sources stand
        told = [*told[:SOURCES_AT_LEAST], *((flag, "") for flag, _ in told[SOURCES_AT_LEAST:])]
    return sheet.listed(told, _of_flag, spare=spare)


def _of_flag(told: tuple[record_sections.RuleShown, str]) -> float:
    flag, source = told
    return lines_of(f"EMERGENCY {flag.text}", LETTERS - 4) + SMALL_LINE * lines_of(source, SMALL_LETTERS)


def _question(ask: Row) -> tuple[str, str]:
    """A question, and the place for its answer."""
    known = questions().get(ask["column"])
    return ask[
        "question"
    ], "yes / no / not known" if known and known.type == "yesno" else "answer: ...................."


@shown_to("worklist")
def printed(visit: Visit) -> Response:
    """The sheet of one record."""
    with reading_of(visit, visit.query.get("record")) as (connection, record):
        beside, once_published = _beside(visit, connection, record.row)
    row = disclosed(record.row, answers=False)
    access.note(visit, "print", clinic=row["clinic_id"], record=row["record_id"])
    sheet = Sheet(LINES - 2 if once_published else LINES)
    for notice in notices(visit):
        if notice.level != "plain":
            sheet.text(notice.text, at_most=3)
    facts = {
        "headline": sheet.text(row["headline"] or "no facts stated", at_most=3),
        "beside": sheet.text(beside, at_most=4) if beside else "",
        "reason": sheet.text(_why(row, visit), at_most=4),
        "destination": sheet.text(row["destination"] or "not stated", at_most=2),
        "first_imaging": sheet.text(row["first_imaging"] or "none", at_most=3),
        "review": sheet.text(row["review_reason"] or "a person has to look", at_most=4) if row["needs_review"] else "",
        "likely": sheet.text(_in_words(row, record.names), at_most=4),
    }
    until_seen = sheet.listed(row["until_seen"] or [], lines_of, spare=10)
    ask = [_question(ask) for ask in row["questions_to_ask"] or []]
    to_ask = sheet.listed(ask, lambda one: lines_of(" ".join(one)), spare=8)
    flags = _flags(record_sections.fired(record, row), sheet, spare=2)
    earlier = [f"{rule.text} (stated in an earlier version)" for rule in record_sections.stated_earlier(record, row)]
    return page(
        visit,
        "record_print.html",
        row=row,
        **facts,
        side=_side(row),
        sites=_sites(row["pain_sites"] or []),
        when=record_sections.when(row),
        once_published=once_published,
        overdue=record_sections.is_overdue(row, visit.now),
        phone=visit.settings.clinic(row["clinic_id"]).phone,
        flags=flags,
        sources_left_out=any(not source for _, source in flags.items),
        until_seen=until_seen,
        earlier=sheet.listed(earlier, lines_of),
        to_ask=to_ask,
        stop=stop_text(),
        basis=_basis(visit, row),
    )


def _beside(visit: Visit, connection: Any, row: Row) -> tuple[str, str]:
    """What the sheet does not hold yet, in one text, and the tier that an entry of this page gives it, '' for none."""
    clinic, record_id = row["clinic_id"], row["record_id"]
    entered = entries.pending(visit, clinic, connection).get(record_id, ())
    of_version = entries.about_version(entered, row["submitted_at"])
    _, tier = entries.to_be(row["status"], row["effective_tier"], of_version)
    lines = remarks_on(connection, clinic, record_id, entered)
    return "; ".join(lines), "" if tier == row["effective_tier"] else TIER_WORDS[tier]


def _why(row: Row, visit: Visit) -> str:
    reason = row["tier_reason"] or "not stated"
    if not row["decided_tier"]:
        return reason
    tier, at = TIER_WORDS[row["decided_tier"]], local(row["decided_at"], visit.zone)
    stands = "" if row["decided_tier"] == row["effective_tier"] else ", which does not stand any more"
    decided = f"Decided {tier} by {row['decided_by']}, {at}{stands}"
    return f"{decided}; computed {TIER_WORDS[row['tier']]}: {reason}"


def _side(row: Row) -> str:
    side = {"left": "LEFT", "right": "RIGHT", "both": "BOTH SIDES"}.get(row["side"] or "", "SIDE NOT STATED")
    worse = {"left": "LEFT", "right": "RIGHT"}.get(row["worse_side"] or "")
    return f"{side}, worse {worse}" if worse and row["side"] == "both" else side


def _sites(sites: Iterable[str]) -> Listed:
    """Where it hurts, large: two lines of it."""
    named = [words(site) for site in sites] or ["hip, exact site not stated"]
    return Sheet(2).listed(named, lambda site: (len(site) + 3) / LARGE_LETTERS)


def _in_words(row: Row, names: Any) -> str:
    found = "; ".join(f"{group.label}: {', '.join(group.named(names))}" for group in groups(row)) or NO_MODEL
    return f"{found} ({NOT_FOR_CHILDREN})" if is_child(row) else found


def _basis(visit: Visit, row: Row) -> str:
    versions = ", ".join(f"{part} {row[f'{part}_version']}" for part in ("model", "rules", "catalogue", "contract"))
    return (
        f"Basis: {words(row['tier_basis'] or 'not stated')}; {tested(row['evidence_basis'])}. "
        f"Trained on: {visit.snapshot.training}. Versions: {versions}; form {row['intake_hash'][:12]}."
    )


routes = [Route("/record/print", printed)]
