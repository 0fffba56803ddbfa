"""What stands around every answer: the headers that a browser needs to protect the page, and errors made into pages.

Belongs here: the outermost layer. Does not belong here: what is let in (``pipelines.page.security.gate``), the words of
error pages (``pipelines.page.security.refusals``).
"""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.page.security.caller import caller_of
from pipelines.page.security.gate import UnknownHost
from pipelines.page.security.refusals import answered, leave_place
from warehouse.settings import THIS_MACHINE

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: a browser then says of a form of this very page that it comes from nowhere (Origin: null).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
}
TLS_ONLY = "max-age=31536000"


class Guard:
    """Gives every answer its headers, and every error its page; no traceback leaves it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope)
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                _add_headers(request, MutableHeaders(scope=message))
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except UnknownHost as unknown:
            await Response(status_code=unknown.status_code)(scope, receive, guarded)
        except Exception as error:
            if begun:  # too late for a page: the server cuts the answer short, so that nobody takes it for whole
                leave_place(error)
            else:
                await (await answered(request, error))(scope, receive, guarded)


def _add_headers(request: Request, headers: MutableHeaders) -> None:
    headers.update(HEADERS)
    if not request.url.path.startswith("/static/"):
        headers["Cache-Control"] = "no-store"
    caller = caller_of(request)
    if caller and caller.secure and request.url.hostname not in THIS_MACHINE:
        headers["Strict-Transport-Security"] = TLS_ONLY
