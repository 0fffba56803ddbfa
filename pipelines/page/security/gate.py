"""The gate: what every request passes before a page is looked for.

Belongs here: settings in force, hosts, sizes, other sites, who asks, how much they ask. Does not belong here: what a
person may (each page says it), headers of answers and error pages (``pipelines.page.security.guard``).
"""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.page.security import access
from pipelines.page.security.caller import Caller, Refused, one_header
from pipelines.page.security.signing_in import NotProven, address_of, from_proxy, identify
from warehouse.home import Home
from warehouse.settings import THIS_MACHINE

ADDRESS_AT_MOST = 4096  # signs of path and query
HEADERS_AT_MOST = 16_384  # bytes
READING = ("GET", "HEAD")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,253})(?::[0-9]{1,5})?")


class Gate:
    """Lets through what comes to one of our hosts, from one of our pages, in a size that a browser sends."""

    def __init__(self, app: ASGIApp, *, home: Home, tls: bool) -> None:
        self._app, self._home, self._tls = app, home, tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises HTTPException, SettingsRefused."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        settings = self._home.settings()
        _check_host(request, (*settings.page.hosts, *THIS_MACHINE, "[::1]"))
        _check_size(scope)
        scope["caller"] = Caller(settings, secure=self._tls, address=address_of(request, proxied=False))
        if scope["path"] != "/health":
            await self._check_proxy(request, scope["caller"])
            _check_site(request)
        await self._app(scope, receive, send)

    async def _check_proxy(self, request: Request, caller: Caller) -> None:
        try:
            proxied = from_proxy(request, caller.settings)
        except NotProven as refused:
            await not_proven(request, refused)
            raise
        caller.secure |= proxied
        caller.address = address_of(request, proxied=proxied)


class Identity:
    """Finds out who asks, and lets nobody past who is unknown, but to what is open to all."""

    def __init__(self, app: ASGIApp, *, open_to_all: Collection[str], uncounted: Collection[str]) -> None:
        self._app, self._open, self._uncounted = app, frozenset(open_to_all), frozenset(uncounted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises HTTPException."""
        if scope["type"] == "http" and scope["path"] not in self._uncounted:
            await self._identify(Request(scope))
        await self._app(scope, receive, send)

    async def _identify(self, request: Request) -> None:
        state = request.app.state
        caller: Caller = request.scope["caller"]
        state.ever_named |= bool(caller.settings.people)
        if "Authorization" in request.headers:
            state.limits.may_sign_in(caller)
        try:
            identify(request, caller, state.keys, local_may=not (state.ever_named or state.beyond))
        except NotProven as refused:
            await not_proven(request, refused)
            raise
        state.limits.count_request(caller)
        if caller.person is None and request.url.path not in self._open:
            raise HTTPException(401)


async def not_proven(request: Request, refused: HTTPException) -> None:
    """Enter a proof of identity that is none, and count it; what comes after too many is counted no more.

    Raises Refused 429, AccessLogClosed.
    """
    state = request.app.state
    caller: Caller = request.scope["caller"]
    state.limits.may_sign_in(caller)
    state.limits.count_failed_sign_in(caller)
    await run_in_threadpool(access.enter, state.home, None, "refused", refused.status_code, address=caller.address)


def _check_host(request: Request, hosts: Collection[str]) -> None:
    """A name of ours, whatever its port: else a page elsewhere could call itself by a name that leads here."""
    given = request.headers.getlist("host")
    named = _HOST.fullmatch(given[0]) if len(given) == 1 else None
    if named is None or named[1].lower() not in hosts:
        raise UnknownHost(400)


class UnknownHost(HTTPException):
    """A request to a host that is none of ours: answered with nothing at all."""


def _check_size(scope: Scope) -> None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > ADDRESS_AT_MOST:
        raise HTTPException(414)
    if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADERS_AT_MOST:
        raise HTTPException(431)


def _check_site(request: Request) -> None:
    """What another site made the browser send: following a link to here is all that it may cause.

    Older browsers do not say where a request comes from: the token of the form and the cookie stand in for it.
    """
    site = one_header(request, "sec-fetch-site")
    if request.method in READING:
        is_link = request.headers.get("sec-fetch-mode") == "navigate" and (
            request.headers.get("sec-fetch-dest", "document") == "document"
        )
        if site in ("cross-site", "same-site") and not is_link:
            raise HTTPException(403)
        return
    origin = one_header(request, "origin")
    if site not in (None, "same-origin", "none") or (origin is not None and not _is_own(origin, request)):
        raise Refused(403, "This was sent from another site, so nothing was kept of it.")


def _is_own(origin: str, request: Request) -> bool:
    """Whether the origin is this page as the browser calls it; a proxy has to hand on the host it was called by."""
    try:
        named = urlsplit(origin)
    except ValueError:
        return False
    caller: Caller = request.scope["caller"]
    scheme = "https" if caller.secure else "http"
    return named.scheme == scheme and named.netloc.lower() == request.headers["host"].lower()
