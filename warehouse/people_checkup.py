"""What ``hiptriage doctor`` says of the people who may open the clinicians' page.

Belongs here: reading settings and saying what keeps somebody out, or lets them in for too long. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

from warehouse.finding import Finding
from warehouse.settings import PersonSettings, Settings


def check_people(settings: Settings, today: date | None = None) -> Iterator[Finding]:
    """Who cannot sign in, whose last day (UTC) is over, which way beyond this machine is open.

    ``today``: by default that of the clock.
    """
    people, page = settings.people, settings.page
    if not people:
        yield Finding("note", "nobody is named in the settings: the page is for this machine alone, without sign-in")
        return
    over = _ids({id_: of for id_, of in people.items() if of.until and of.until < (today or datetime.now(UTC).date())})
    without = _ids({id_: of for id_, of in people.items() if not of.token_sha256 and not page.proxy_header})
    yield Finding("ok", f"{len(people)} {'person' if len(people) == 1 else 'people'} named for the page")
    if without:
        yield Finding("wrong", f"no token and no proxy, so they cannot sign in: {without}; hiptriage token makes one")
    if over:
        yield Finding("note", f"the last day of these people is over: {over}")
    if not page.hosts:
        yield Finding("note", "page.hosts names no host: the page answers to the names of this machine alone")
    if page.proxy_header and any(of.token_sha256 for of in people.values()):
        yield Finding("note", "a proxy says who people are, so their tokens are not asked for")


def _ids(people: Mapping[str, PersonSettings]) -> str:
    return ", ".join(sorted(people))
