"""Entering: a posted form about a referral, checked by the contract of its file and kept as a file for the pipeline.

Belongs here: routes, what is refused, the second step before a tier is put below a fired rule, one entry a form. Does
not belong here: reading a form into a row (``pipelines.page.entry_forms.entry_check``), what is entered already
(``pipelines.page.entry_forms.entries``), files (``warehouse.entered``). The warehouse is neither opened nor locked.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipelines.page.entry_forms import entries
from pipelines.page.entry_forms.entry_check import BY, cells_of, check
from pipelines.page.entry_forms.entry_words import choices
from pipelines.page.rendering import page
from pipelines.page.security import access
from pipelines.page.visit import Visit, shown_to
from warehouse.entered import Door, NotKept, door
from warehouse.entered_rows import TIME_OF, Contents
from warehouse.exports import dicts_of

_NONCE = re.compile(r"[0-9a-f]{32}")
_BACK = ("record", "list", "lists")  # the record, the list of its clinic, the list of all clinics
_NEWER_FORM = "Nothing was entered: a newer form came in since this page was opened. Look again, then decide."
_CHANGED = "Nothing was entered: the tier or its red flags changed since this page was opened. Look again, then decide."
_DECIDED = "Nothing was entered: somebody decided on a tier since this page was opened. Look again, then decide."
_REFERRAL = """
    SELECT clinic_id, record_id, headline, submitted_at, tier, tier_basis, tier_reason, effective_tier, status,
           red_flags
    FROM referrals WHERE clinic_id = $clinic AND record_id = $record
"""
_NEWEST = """
    SELECT max(made_at) FROM (
        SELECT clinic_id, record_id, decided_at AS made_at FROM decisions
        UNION ALL SELECT clinic_id, record_id, recorded_at FROM outcomes
    ) WHERE clinic_id = $clinic AND record_id = $record
"""


@dataclass(frozen=True, slots=True, repr=False)
class _About:
    """What an entry is about: the record's row (None for the program as a whole), what its forms show, and the newest
    time at which anything was published to be said of it."""

    row: Mapping[str, Any] | None
    entry: dict[str, Any]
    newest: datetime | None


@shown_to("enter")
def enter_status(visit: Visit) -> Response:
    """Acknowledge, book, seen, close."""
    return _enter(visit, "close" if visit.form.get("status") == "closed" else "status", "decision")


@shown_to("enter")
def enter_tier(visit: Visit) -> Response:
    """Confirm or change the tier; below a fired rule only after a second step that shows the rule."""
    return _enter(visit, "tier", "decision")


@shown_to("enter")
def enter_outcome(visit: Visit) -> Response:
    """What became of the person."""
    return _enter(visit, "outcome", "outcome")


@shown_to("enter")
def enter_concern(visit: Visit) -> Response:
    """Report a safety concern about a referral, or show (GET) and take the form about the program as a whole."""
    if visit.request.method == "POST":
        return _enter(visit, "concern", "safety_concern")
    waiting = entries.pending(visit, visit.clinic).get("", ()) if visit.clinic else ()
    return page(visit, "entry_concern.html", entry=_of_the_program(visit) | {"pending": waiting})


def _enter(visit: Visit, kind: str, contents: Contents) -> Response:
    clinic = visit.clinic
    if clinic is None or not _NONCE.fullmatch(visit.form.get("nonce", "")):
        raise HTTPException(400)
    # The same form filled in the same way is one entry, however often it is sent.
    token = sha256(repr(sorted(visit.form.items())).encode()).hexdigest()[:32]
    try:
        with door(visit.home, clinic) as opened:
            if opened.was_sent(token):
                return _back(visit, clinic)
            about = _about(visit, clinic, kind)
            return _refused(visit, about, kind) or _checked_and_kept(visit, kind, contents, about, opened, token)
    except NotKept as not_kept:
        about = _about(visit, clinic, kind)
        return _shown_again(visit, kind, about, 503, f"Nothing was entered: {not_kept}. Tell the analyst.")


def _refused(visit: Visit, about: _About, kind: str) -> Response | None:
    """The answer where nothing may be entered, whatever was filled in."""
    if about.entry["why_not"]:
        return _shown_again(visit, kind, about, 409, about.entry["why_not"])
    # A concern is heard whatever came since.
    if about.row and kind != "concern" and (changed := _changed(visit, about.row, about.entry["decided"])):
        about.entry["typed"] = {}
        return _shown_again(visit, kind, about, 409, changed)
    return None


def _checked_and_kept(
    visit: Visit,
    kind: str,
    contents: Contents,
    about: _About,
    opened: Door,
    token: str,
) -> Response:
    clinic = str(visit.clinic)
    cells = cells_of(contents, visit.form, visit.person.name or visit.form.get(BY, ""))
    cells |= {"clinic_id": clinic, "submitted_at": about.row["submitted_at"].isoformat() if about.row else ""}
    now = datetime.now(UTC)
    made_at = _time(now, about, opened.newest(cells["record_id"]))
    zone = visit.zone_of(clinic)
    cells[TIME_OF[contents]] = made_at.astimezone(zone).isoformat(timespec="microseconds")
    checked = check(contents, clinic, cells, now)
    if checked.errors:
        about.entry["errors"] = checked.errors
        return _shown_again(visit, kind, about, 422, "Nothing was entered yet: look at what is marked.")
    if checked.doubts and visit.form.get("as_it_stands") != "yes":
        about.entry["warnings"] = checked.doubts
        return _shown_again(visit, kind, about, 422, "Nothing was entered yet: is this as you mean it?")
    tier = checked.cells.get("decided_tier")
    if tier and about.row and entries.below_a_rule(about.row, tier) and visit.form.get("read") != "yes":
        return _second_step(visit, about, tier)
    access.note(visit, "enter", clinic=clinic, record=cells["record_id"] or None)
    opened.keep(contents, checked.cells, token)
    return _back(visit, clinic)


def _about(visit: Visit, clinic: str, kind: str) -> _About:
    """Raises HTTPException 404 for a record that the clinic's table does not show."""
    record = visit.form.get("record", "")
    if kind == "concern" and not record:
        carried = {"nonce": visit.form["nonce"], "typed": visit.form}
        return _About(None, _of_the_program(visit) | carried, None)
    with visit.reading(clinic) as connection:
        bound = {"clinic": clinic, "record": record}
        found = dicts_of(connection.execute(_REFERRAL, bound))
        if not found:
            raise HTTPException(404)
        (row,) = found
        ((newest,),) = connection.execute(_NEWEST, bound).fetchall()
        entry = entries.shown_for(visit, connection, row)
    back = visit.form.get("back")
    kept = {"back": back if back in _BACK else "record", "nonce": visit.form["nonce"], "typed": visit.form}
    return _About(row, entry | kept, newest)


def _of_the_program(visit: Visit) -> dict[str, Any]:
    """What the form about the program as a whole carries along."""
    row = {"clinic_id": visit.clinic or "", "record_id": ""}
    return entries.about_nobody(visit, row) | {"choices": choices(), "pending": ()}


def _changed(visit: Visit, row: Mapping[str, Any], decided: str) -> str:
    """Why what was on the screen is no longer what there is, in a sentence; '' where it is.

    ``decided``: the tier decision that waits now. An acknowledgement hides nobody: another's decision does not stop it.
    """
    if visit.form.get("submitted_at") != row["submitted_at"].isoformat():
        return _NEWER_FORM
    if visit.form.get("shown") != entries.shown(row):
        return _CHANGED
    if visit.form.get("status") in ("acknowledged", "booked"):
        return ""
    return "" if visit.form.get("decided", "") == decided else _DECIDED


def _time(now: datetime, about: _About, newest_here: datetime | None) -> datetime:
    """When an entry was made: now, and after all that was said of the record before, and not before its form.

    Of two rows the one with the later time stands, and two of the same time contradict each other; clocks that ran
    ahead elsewhere must not let what a clinician says now count for nothing. Times here are whole microseconds.
    """
    earlier = [moment + timedelta(microseconds=1) for moment in (about.newest, newest_here) if moment]
    form = [about.row["submitted_at"]] if about.row else []
    return max([now, *earlier, *form])


def _second_step(visit: Visit, about: _About, tier: str) -> Response:
    missing = "step" in visit.form
    about.entry["errors"] = {"read": "tick this to go on, or go back"} if missing else {}
    return page(
        visit,
        "entry_lower.html",
        status=422 if missing else 200,
        entry=about.entry,
        row=about.row,
        tier=tier,
    )


def _shown_again(visit: Visit, kind: str, about: _About, status: int, message: str) -> Response:
    return page(visit, "entry_again.html", status=status, kind=kind, entry=about.entry, row=about.row, message=message)


def _back(visit: Visit, clinic: str) -> Response:
    record, back = visit.form.get("record", ""), visit.form.get("back", "")
    if back == "lists":
        return RedirectResponse("/", 303)
    if back == "list":
        return RedirectResponse(f"/?{urlencode({'clinic': clinic})}", 303)
    if not record:
        return RedirectResponse(f"/enter/concern?{urlencode({'clinic': clinic})}", 303)
    return RedirectResponse(f"/record?{urlencode({'clinic': clinic, 'record': record})}#entries", 303)


_POSTS: dict[str, Callable[..., Any]] = {"status": enter_status, "tier": enter_tier, "outcome": enter_outcome}
routes = [
    *(Route(f"/enter/{name}", endpoint, methods=["POST"]) for name, endpoint in _POSTS.items()),
    Route("/enter/concern", enter_concern, methods=["GET", "POST"]),
]
