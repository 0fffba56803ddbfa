"""The application: its routes and what stands around them.

Belongs here: putting the parts together. Each page is a module of its own with a list ``routes``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import resources

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines.page import about, aggregates, exporting
from pipelines.page.entry_forms import entering
from pipelines.page.lists import printed_list, worklist
from pipelines.page.records import record
from pipelines.page.security import sign_in
from pipelines.page.security.gate import Gate, Identity
from pipelines.page.security.guard import Guard
from pipelines.page.security.limiting import Limits
from pipelines.page.security.refusals import answered
from pipelines.page.security.sessions import Keys, Sessions
from pipelines.page.visit import places
from warehouse.entered import hand_on_all
from warehouse.home import Home
from warehouse.open_snapshots import OpenSnapshots

# Files that are served, each by its name here and no other: no request chooses a path.
STATIC = {"style.css": "text/css", "list.css": "text/css"}
LOOK_SECONDS = 15.0
BODY_AT_MOST = 131_072  # bytes; a form of this page with the longest text that one may hold is half of it


def create_app(home: Home, *, tls: bool = False, beyond: bool = False) -> Starlette:
    """The page over one home's current snapshot. Reads settings at each request, so that they hold at once.

    ``tls``: the server itself ends TLS. ``beyond``: it listens beyond this machine. Raises SettingsRefused.
    """
    keys, static, open_snapshots = Keys(), _static(), OpenSnapshots(home)
    hand_on_all(home)
    served = [route.path for route in static]
    app = Starlette(
        routes=[
            *sign_in.routes,
            *worklist.routes,
            *printed_list.routes,
            *about.routes,
            *record.routes,
            *entering.routes,
            *exporting.routes,
            *aggregates.routes,
            *static,
        ],
        lifespan=_keeping_up(open_snapshots),
        exception_handlers={HTTPException: answered},
        middleware=[
            Middleware(Guard),
            Middleware(Gate, home=home, tls=tls),
            Middleware(Sessions, keys=keys, home=home),
            Middleware(Identity, open_to_all=["/sign-in"], uncounted=["/health", *served]),
            Middleware(RequestBodyLimitMiddleware, max_body_size=BODY_AT_MOST),
        ],
    )
    app.state.home, app.state.keys, app.state.limits = home, keys, Limits()
    app.state.open_snapshots, app.state.places = open_snapshots, places()
    # Once people were named, a settings file that lost them opens the page to nobody.
    app.state.beyond, app.state.ever_named = beyond, bool(home.settings().people)
    return app


def _keeping_up(open_snapshots: OpenSnapshots) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """Close snapshots that are not current any more also while nobody asks: an erasure removes their files."""

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await run_in_threadpool(open_snapshots.close_outdated)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            open_snapshots.close()

    return lifespan


def _static() -> list[Route]:
    return [Route(f"/static/{name}", _served(name, kind)) for name, kind in STATIC.items()]


def _served(name: str, kind: str) -> object:
    content = resources.files("pipelines.page").joinpath("static", name).read_bytes()

    def serve(_: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "max-age=3600"})

    return serve
