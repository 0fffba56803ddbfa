"""One request: who asks, which snapshot answers, and which clinics of it they may see.

Belongs here: what every page needs before it knows what it shows. The snapshot is resolved once a request, so that no
answer mixes two. Does not belong here: signing in (``pipelines.page.security.signing_in``), rows and words of any page.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, wraps
from typing import Any, get_args
from zoneinfo import ZoneInfo

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipelines.page.security.asking import person_asking, submitted
from pipelines.page.security.people import Person, Right
from warehouse.home import Home
from warehouse.open_snapshots import OpenSnapshots, Reading
from warehouse.settings import Settings
from warehouse.snapshot_reading import Snapshot, current_snapshot


@dataclass(frozen=True)
class Visit:
    """One request for a page.

    ``form``: the fields of a posted form, each once; empty for any other request. ``now``: UTC, the same for all that
    the page works out.
    """

    request: Request
    home: Home
    settings: Settings
    person: Person
    snapshot: Snapshot
    form: Mapping[str, str] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def query(self) -> Mapping[str, str]:
        """What stands after the question mark of the address."""
        return self.request.query_params

    @cached_property
    def clinics(self) -> tuple[str, ...]:
        """Clinics of the snapshot that the person may see, in order."""
        return tuple(clinic for clinic in self.snapshot.clinics if self.person.belongs_to(clinic))

    @cached_property
    def clinic(self) -> str | None:
        """The clinic that the address names, or the person's only one; None means all of theirs.

        Raises HTTPException 404 for one that is not theirs, as for one that does not exist, and 400 where address and
        form name two: nobody could tell which record was meant.
        """
        named = self.query.get("clinic") or self.form.get("clinic")
        if self.form.get("clinic") not in (None, "", named):
            raise HTTPException(400)
        if not named:
            return self.clinics[0] if len(self.clinics) == 1 else None
        if named not in self.clinics:
            raise HTTPException(404)
        return named

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the clinic's clock; UTC where several clinics are shown at once."""
        return self.zone_of(self.clinic) if self.clinic else ZoneInfo("UTC")

    def zone_of(self, clinic: str) -> ZoneInfo:
        """The zone of one clinic's clock."""
        return ZoneInfo(self.settings.clinic(clinic).zone)

    @contextmanager
    def reading(self, clinic: str | None = None) -> Iterator[Any]:
        """A read-only connection over one clinic, by default over that of the address or all of the person's.

        All that is asked of it agrees. Raises HTTPException 404 for a clinic that is not theirs, SnapshotMissing.
        """
        with self.opened(self.clinics_read(clinic)) as reading:
            yield reading.cursor

    def clinics_read(self, clinic: str | None = None) -> tuple[str, ...]:
        """The clinics that ``reading`` reads. Raises HTTPException 404 where there are none, or it is not theirs."""
        named = clinic or self.clinic
        chosen = self.clinics if named is None else tuple(one for one in self.clinics if one == named)
        if not chosen:
            raise HTTPException(404)
        return chosen

    def opened(self, clinics: tuple[str, ...], **more: Any) -> AbstractContextManager[Reading]:
        """What ``warehouse.open_snapshots.OpenSnapshots.reading`` gives for these clinics of this visit's snapshot."""
        kept_open: OpenSnapshots = self.request.app.state.open_snapshots
        return kept_open.reading(self.snapshot, clinics, **more)


AT_ONCE = 4
Handler = Callable[[Visit], Response]


def places() -> Mapping[Right, CapacityLimiter]:
    """How many requests are worked out at once, by the right that they need; the others wait for their turn.

    More at once would end none of them earlier, and their queries share the memory of one connection: dozens that all
    meet a new snapshot would not fit. Apart by right, so that nobody who reads waits for those who export or try.
    """
    return {right: CapacityLimiter(AT_ONCE) for right in get_args(Right)}


def shown_to(right: Right) -> Callable[[Handler], Callable[[Request], Awaitable[Response]]]:
    """Make an endpoint of a function that answers a visit, for people who have this right; others get 403.

    The function runs in a thread: it may read files and the snapshot as long as it needs.
    """

    def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        @wraps(handler)
        async def answer(request: Request) -> Response:
            form = await submitted(request)

            def visit() -> Response:
                home: Home = request.app.state.home
                person = person_asking(request)
                if not person.may(right):
                    raise HTTPException(403)
                if len(request.query_params.multi_items()) > len(request.query_params):  # two clinics, or two records
                    raise HTTPException(400)
                return handler(Visit(request, home, home.settings(), person, current_snapshot(home), form))

            return await to_thread.run_sync(visit, limiter=request.app.state.places[right])

        return answer

    return endpoint
