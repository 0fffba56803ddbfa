"""Forms, decisions and files that could not be read, with what somebody has to do about each.

Belongs here: what stands above every list, because whoever sent one of these waits and is in no other row. Nothing of a
cell is shown: the analyst sees cells (``hiptriage quarantine show``).
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from pipelines.console import TIER_WORDS, words
from pipelines.page.visit import Visit
from schemas.problems import Problem, problems, read_problems
from schemas.tiers import tiers
from warehouse.open_snapshots import Reading
from warehouse.snapshot_reading import UNASSIGNED

LISTED = 100  # beside all that are urgent or faster
ALWAYS_LISTED = ("emergency", "same_day", "urgent")
CELLS = "the analyst sees the cells with hiptriage quarantine show"
_FORMS = "SELECT clinic_id, record_id, received_at, possible_tier, error_codes, act_by FROM unread_forms"
_ROWS = "SELECT clinic_id, contents, record_id, received_at, error_codes FROM unread_follow_up"
_FILES = "SELECT clinic_id, refusal, received_at FROM refused_files"


@dataclass(frozen=True, slots=True)
class Unread:
    """One form, row or file. ``what``: form, decision, outcome, safety concern or file. ``clinic`` is '' where none is
    named. ``tier``: the most urgent that its readable cells may mean, '' where they mean none or nothing is readable.
    """

    what: str
    clinic: str
    record: str
    received_at: datetime
    act_by: datetime | None
    tier: str
    wrong: str
    do: str


@dataclass(frozen=True, slots=True)
class AllUnread:
    """``forms``: how many forms. ``emergencies``: how many of them with an emergency answer. ``others``: rows of other
    files, and whole files. ``listed``: those shown, most pressing first. ``left_out``: how many are not shown.
    ``of_record``: by clinic and record, forms and rows that name a record. ``due``: when to act, of forms, in order.
    ``tiers``: how many forms there are of each possible tier, '' for none.
    """

    forms: int
    emergencies: int
    others: int
    listed: tuple[Unread, ...]
    left_out: int
    of_record: Mapping[tuple[str, str], tuple[Unread, ...]]
    due: tuple[datetime, ...]
    tiers: Mapping[str, int]

    def overdue(self, now: datetime) -> int:
        """How many forms somebody should have acted on by now, listed or not."""
        return bisect_right(self.due, now)


def unread(visit: Visit, reading: Reading) -> AllUnread:
    """All that could not be read of the clinics that are read, and what names no clinic."""
    if "unread" not in reading.kept:
        with visit.opened((UNASSIGNED,)) as nameless:
            reading.kept["unread"] = _all([*_found(reading.cursor), *_found(nameless.cursor)])
    everything: AllUnread = reading.kept["unread"]
    return everything


def _all(found: list[Unread]) -> AllUnread:
    forms = [one for one in found if one.what == "form"]
    found.sort(key=_pressing)
    pressing = sum(one.tier in ALWAYS_LISTED for one in found)
    listed = found[: max(LISTED, pressing)]
    of_record: dict[tuple[str, str], tuple[Unread, ...]] = {}
    for one in found:
        if one.clinic and one.record:
            of_record[one.clinic, one.record] = (*of_record.get((one.clinic, one.record), ()), one)
    return AllUnread(
        forms=len(forms),
        emergencies=sum(one.tier == "emergency" for one in forms),
        others=len(found) - len(forms),
        listed=tuple(listed),
        left_out=len(found) - len(listed),
        of_record=of_record,
        due=tuple(sorted(one.act_by for one in forms if one.act_by)),
        tiers=Counter(one.tier for one in forms),
    )


def _pressing(one: Unread) -> tuple[int, datetime]:
    # A file of which nothing could be read may hold anything: it comes before forms that were seen to be harmless.
    rank = tiers()[one.tier].rank if one.tier else tiers()["urgent"].rank if one.what == "file" else len(tiers())
    return rank, one.act_by or one.received_at


def _found(connection: Any, of: str | None = None) -> Iterator[Unread]:
    """All, or what names the record ``of``."""
    named, bound = ("", []) if of is None else (" WHERE record_id = ?", [of])
    for clinic, record, received, tier, codes, act_by in connection.execute(_FORMS + named, bound).fetchall():
        person = "Telephone the person" if record else "Find out whose form it is and telephone them"
        wrong = _sentences(codes, problems())
        yield Unread("form", _named(clinic), record or "", received, act_by, tier or "", wrong, f"{person}; {CELLS}.")
    for clinic, contents, record, received, codes in connection.execute(_ROWS + named, bound).fetchall():
        wrong = _sentences(codes, _follow_up_problems(contents))
        do = f"It changes nothing until it is sent again, mended; {CELLS}."
        yield Unread(words(contents), _named(clinic), record or "", received, None, "", wrong, do)
    for clinic, refusal, received in connection.execute(_FILES).fetchall() if of is None else ():
        problem = problems().get(refusal)
        wrong = problem.sentence if problem else words(refusal)
        mend = f"{problem.mend[:1].upper()}{problem.mend[1:]}" if problem else "Ask the analyst"
        do = f"Nobody knows who is in it. {mend}; the analyst sees more with hiptriage quarantine list."
        yield Unread("file", _named(clinic), "", received, None, "", wrong, do)


def _named(clinic: str | None) -> str:
    return "" if clinic in (None, UNASSIGNED) else str(clinic)


def _sentences(codes: list[str] | None, known: dict[str, Problem]) -> str:
    return "; ".join(known[code].sentence if code in known else words(code) for code in dict.fromkeys(codes or ()))


@cache
def _follow_up_problems(contents: str) -> dict[str, Problem]:
    return problems() | read_problems(f"{contents}_problems.csv")


def of_record(connection: Any, clinic: str, record: str) -> tuple[Unread, ...]:
    """What came in of one record and could not be read: its row may say less than the person has told since."""
    named = [one for one in _found(connection, record) if one.clinic == clinic]
    return tuple(sorted(named, key=_pressing))


def tier_words(one: Unread) -> str:
    """The possible tier in words."""
    if one.tier:
        return TIER_WORDS[one.tier]
    return "may hold anything" if one.what == "file" else "nothing urgent seen in what could be read"
