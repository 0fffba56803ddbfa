"""One request: who asks, which snapshot answers, and which clinics of it they may see.

Belongs here: what every page needs before it knows what it shows. The snapshot is resolved once a request, so that no
answer mixes two. Does not belong here: signing in (``pipelines.page.signing_in``), rows and words of any page.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import Any
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipelines.console import zone
from pipelines.page.asking import person_asking, submitted
from pipelines.page.people import Person, Right
from warehouse.home import Home
from warehouse.settings import Settings
from warehouse.snapshot_reading import Snapshot, connect, current_snapshot


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

    @property
    def clinics(self) -> tuple[str, ...]:
        """Clinics of the snapshot that the person may see, in order."""
        return tuple(clinic for clinic in self.snapshot.clinics if self.person.belongs_to(clinic))

    @property
    def clinic(self) -> str | None:
        """The clinic that the address names, or the person's only one; None means all of theirs.

        Raises HTTPException 404 for one that is not theirs, as for one that does not exist.
        """
        named = self.query.get("clinic") or self.form.get("clinic")
        if named is None or named == "":
            return self.clinics[0] if len(self.clinics) == 1 else None
        if named not in self.clinics:
            raise HTTPException(404)
        return named

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the clinic's clock; UTC where several clinics are shown at once."""
        return zone(self.home, self.clinic)

    @contextmanager
    def reading(self, clinic: str | None = None) -> Iterator[Any]:
        """A read-only connection over one clinic, by default over that of the address or all of the person's."""
        with connect(self.snapshot, clinic or self.clinic) as connection:
            yield connection


Handler = Callable[[Visit], Response]


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
                return handler(Visit(request, home, home.settings(), person, current_snapshot(home), form))

            return await run_in_threadpool(visit)

        return answer

    return endpoint
