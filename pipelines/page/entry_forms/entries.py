"""What was entered on this page and is not published yet, and what a referral's entry forms need to be drawn.

Belongs here: reading ``entered/``, telling what the current table says of each entry, and what status and tier will be.
Does not belong here: checking and writing what is posted (``pipelines.page.entry_forms.entering``), files
(``warehouse.entered``).
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from operator import itemgetter
from typing import Any, Literal

from pipelines.page.entry_forms.entry_words import choices, conditions_of, sentence
from pipelines.page.visit import Visit
from schemas.tiers import tiers
from warehouse import entered
from warehouse.emergencies import OPEN_EMERGENCIES, waiting_too_long
from warehouse.entered_rows import Entry
from warehouse.exports import dicts_of

State = Literal["waiting", "refused"]
# Nobody still answers with a table that was replaced that long ago: what it lacks may be let go of.
TABLE_IN_USE = timedelta(minutes=1)
LATE_DRAWN = 30  # as many as entry_unacknowledged.html draws; the others it counts
_EMERGENCIES = f"""
    SELECT e.here_since, r.clinic_id, r.record_id, r.headline, r.submitted_at, r.tier, r.effective_tier, r.red_flags
    FROM ({OPEN_EMERGENCIES}) e JOIN referrals r USING (clinic_id, record_id)
    ORDER BY e.here_since, r.clinic_id, r.record_id
"""


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry that the current table does not show. ``state``: waiting, or refused by the intake (it changes nothing
    then). ``sentence``: what was entered, by whom and when, in the clinic's time.
    """

    entry: Entry
    state: State
    sentence: str


@dataclass(frozen=True, slots=True)
class _Look:
    by_record: Mapping[str, Sequence[Pending]]
    stuck: int
    damaged: int


def pending(visit: Visit, clinic: str, connection: Any = None) -> Mapping[str, Sequence[Pending]]:
    """What waits of a clinic, by record id ('' for the program as a whole), oldest first.

    Also does what an earlier attempt left: hands on what does not lie in landing, lets go of what is published.
    ``connection``: one over at least this clinic, where the caller has it open. Raises SnapshotMissing.
    """
    return _looked(visit, clinic, connection).by_record


def troubles(visit: Visit, clinics: Sequence[str]) -> list[str]:
    """Sentences that stand in red above a list: entries that will not arrive unless somebody does something."""
    looks = [_looked(visit, clinic, None) for clinic in clinics]
    stuck, damaged = sum(look.stuck for look in looks), sum(look.damaged for look in looks)
    refused = sum(one.state == "refused" for look in looks for of in look.by_record.values() for one in of)
    told = {
        "could not be handed to the pipeline and wait": stuck,
        "cannot be read any more, and nobody knows what they said": damaged,
        "could not be taken in and change nothing": refused,
    }
    return [f"Entries of this page that {what}: {count}. Tell the analyst." for what, count in told.items() if count]


def unacknowledged(visit: Visit, connection: Any, kept: dict[str, Any] | None = None) -> list[Mapping[str, Any]]:
    """Emergencies that nobody has acknowledged within the ``acknowledge_minutes`` of their clinic, longest wait first.

    One that was acknowledged or decided on here is left out at once. The first LATE_DRAWN have: clinic, record,
    headline, since (UTC), minutes (waited), and what ``entry_unacknowledged.html`` needs; the others are there to be
    counted. ``kept``: where to leave the rows for the next request over the same snapshot and clinics
    (``warehouse.open_snapshots.Reading``).
    """
    kept = {} if kept is None else kept
    if "open_emergencies" not in kept:
        kept["open_emergencies"] = _open_emergencies(connection)
    late: list[Mapping[str, Any]] = []
    for clinic, (since, rows) in kept["open_emergencies"].items():
        waiting = pending(visit, clinic, connection)
        minutes = visit.settings.clinic(clinic).acknowledge_minutes
        too_long = [rows[place] for place in waiting_too_long(since, visit.now, minutes)]
        late += [row for row in too_long if not _is_dealt_with(row, waiting.get(row["record_id"], ()))]
    late.sort(key=itemgetter("here_since"))
    return [*(_late(visit, row) for row in late[:LATE_DRAWN]), *late[LATE_DRAWN:]]


def _open_emergencies(connection: Any) -> dict[str, tuple[list[datetime], list[Mapping[str, Any]]]]:
    """By clinic: since when each open emergency has been here, in order, and what is shown of it."""
    found: dict[str, tuple[list[datetime], list[Mapping[str, Any]]]] = {}
    for row in dicts_of(connection.execute(_EMERGENCIES)):
        since, rows = found.setdefault(row["clinic_id"], ([], []))
        since.append(row["here_since"].astimezone(UTC))
        rows.append(row)
    return found


def _is_dealt_with(emergency: Mapping[str, Any], waiting: Sequence[Pending]) -> bool:
    """Whether what waits makes an open emergency something else."""
    said = about_version(waiting, emergency["submitted_at"]) if waiting else ()
    return bool(said) and to_be("open", "emergency", said) != ("open", "emergency")


def _late(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    since = row["here_since"]
    waited = max(0, int((visit.now - since).total_seconds() // 60))
    back = "list" if visit.clinic else "lists"
    return basics(visit, row) | {"back": back, "headline": row["headline"], "since": since, "minutes": waited}


def shown_for(visit: Visit, connection: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """What ``entry_forms.html`` needs, under the name ``entry``; ``row``: the record's row of ``referrals``."""
    waiting = pending(visit, row["clinic_id"], connection).get(row["record_id"], ())
    status, tier = to_be(row["status"], row["effective_tier"], about_version(waiting, row["submitted_at"]))
    return basics(visit, row) | {
        "pending": waiting,
        "status_now": row["status"],
        "tier_now": row["effective_tier"],
        "computed_tier": row["tier"],
        "status_to_be": status,
        "tier_to_be": tier,
        "decided": decided(waiting),
        "choices": choices(),
        "conditions": conditions_of(connection),
    }


def basics(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    """What every form about a record carries along and shows; ``row`` as in ``shown_for``."""
    return about_nobody(visit, row) | {"submitted_at": row["submitted_at"].isoformat(), "shown": shown(row)}


def about_nobody(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    """What every entry form carries along; ``row`` needs its clinic_id and record_id only, each '' for none."""
    return {
        "may": visit.person.may("enter"),
        "why_not": why_not(visit),
        "clinic": row["clinic_id"],
        "record": row["record_id"],
        "submitted_at": "",
        "shown": "",
        "decided": "",
        "nonce": secrets.token_hex(16),
        "back": "record",
        "ask_name": not visit.person.name,
        "name": visit.person.name,
        "typed": {},
        "errors": {},
        "warnings": {},
    }


def shown(row: Mapping[str, Any]) -> str:
    """A digest of what a clinician judges by: both tiers and the fired rules. Equal if nothing of it changed."""
    flags = sorted(flag["id"] for flag in row["red_flags"] or ())
    return sha256("\x1f".join((row["tier"], row["effective_tier"], *flags)).encode()).hexdigest()[:16]


def decided(waiting: Sequence[Pending]) -> str:
    """The hash of the newest waiting entry that decides a tier; '' for none."""
    return next((one.entry.sha256 for one in reversed(waiting) if _counts(one) and _said(one, "decided_tier")), "")


def to_be(status: str, tier: str, waiting: Sequence[Pending]) -> tuple[str, str]:
    """Status and effective tier once the waiting entries are published, as far as they say.

    As in ``warehouse/published.sql``: who came is seen, unless the referral was closed; a decided tier stands.
    """
    for one in waiting:
        if not _counts(one):
            continue
        status = _said(one, "status") or status
        if _said(one, "attended") == "yes" and status != "closed":
            status = "seen"
        tier = _said(one, "decided_tier") or tier
    return status, tier


def about_version(waiting: Sequence[Pending], submitted_at: datetime) -> list[Pending]:
    """The entries that were made with this version of the record in view: what was said before a newer form came, and
    was published, says nothing of that form."""
    return [one for one in waiting if one.entry.submitted_at == submitted_at]


def why_not(visit: Visit) -> str:
    """Why nothing can be entered in this installation, in a sentence; '' where it can."""
    takes_live = visit.settings.data_kind == "live"
    if all((kind == "live") == takes_live for kind in visit.snapshot.data_kinds()):
        return ""
    return (
        "Nothing can be entered: this table does not hold the kind of records that the landing folder takes. "
        "The analyst sets data_kind in settings.toml."
    )


def below_a_rule(row: Mapping[str, Any], tier: str) -> bool:
    """Whether ``tier`` is less urgent than a rule that fired on the record, or than a tier that rests on rules."""
    ranks = [tiers()[flag["tier"]].rank for flag in row["red_flags"] or ()]
    if row["tier_basis"] == "rule":
        ranks.append(tiers()[row["tier"]].rank)
    return tiers()[tier].rank > min(ranks, default=len(tiers()))


def _counts(one: Pending) -> bool:
    return one.state == "waiting"


def _said(one: Pending, column: str) -> str:
    return one.entry.cells.get(column, "")


def _looked(visit: Visit, clinic: str, connection: Any) -> _Look:
    state = visit.request.state
    looks: dict[str, _Look] = getattr(state, "entries_looked_at", {})
    state.entries_looked_at = looks
    if clinic not in looks:
        looks[clinic] = _look(visit, clinic, connection)
    return looks[clinic]


def _look(visit: Visit, clinic: str, connection: Any) -> _Look:
    kept = entered.kept(visit.home, clinic)
    if not kept.entries:
        return _Look({}, 0, kept.damaged)
    if connection is None:
        with visit.reading(clinic) as opened:
            said, records = entered.looked_up(opened, clinic, kept.entries)
    else:
        said, records = entered.looked_up(connection, clinic, kept.entries)
    may_let_go = visit.now - visit.snapshot.published_at > TABLE_IN_USE
    at = visit.zone_of(clinic)
    by_record: dict[str, list[Pending]] = {}
    for entry in kept.entries:
        is_gone = bool(entry.record_id) and entry.record_id not in records and not entered.waits_here(visit.home, entry)
        if may_let_go or said.get(entry.sha256) is False:
            entered.settle(visit.home, entry, True if is_gone else said.get(entry.sha256))
        if said.get(entry.sha256) or is_gone or (entry.is_refused and entry.sha256 not in said):
            continue
        state: State = "refused" if said.get(entry.sha256) is False else "waiting"
        by_record.setdefault(entry.record_id, []).append(Pending(entry, state, sentence(entry, at, visit.now, state)))
    return _Look(by_record, entered.hand_on(visit.home, clinic), kept.damaged)
