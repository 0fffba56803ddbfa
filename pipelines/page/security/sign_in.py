"""Signing in with a token, signing out, and a sign of life.

Belongs here: the pages themselves. Does not belong here: whose token it is (``pipelines.page.security.signing_in``),
what a session holds (``pipelines.page.security.sessions``).
"""

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipelines.page.rendering import bare_page
from pipelines.page.security import access, sessions
from pipelines.page.security.addresses import own_path
from pipelines.page.security.asking import SIGN_IN, form_token, posted, submitted
from pipelines.page.security.caller import Caller, Refused
from pipelines.page.security.gate import not_proven
from pipelines.page.security.signing_in import by_token, named

WRONG_TOKEN = "This token is not known, or does not hold any more."  # noqa: S105 - a sentence


async def sign_in(request: Request) -> Response:
    """Ask for the token; with it, begin a session and go on to where the browser wanted to go, if that is here."""
    caller: Caller = request.scope["caller"]
    if caller.settings.page.proxy_header:
        raise HTTPException(404)
    if request.method != "POST":
        wanted = own_path(request.query_params.get("next", "/"))
        return RedirectResponse(wanted, 303) if caller.person else _asked(request, wanted)
    request.app.state.limits.may_sign_in(caller)
    form = await posted(request)
    wanted = own_path(form.get("next", "/"))
    person_id = by_token(caller.settings, form.get("token", "").strip())
    person = named(caller.settings, person_id) if person_id else None
    if person is None:
        await not_proven(request, HTTPException(401))
        return _asked(request, wanted, status=401, sentence=WRONG_TOKEN)
    await run_in_threadpool(access.enter, request.app.state.home, person, "sign_in", 303, address=caller.address)
    sessions.begin(request.session, person.id, caller.settings.people[person.id])
    return RedirectResponse(wanted, 303)


def _asked(request: Request, wanted: str, *, status: int = 200, sentence: str = "") -> Response:
    return bare_page("sign_in.html", status=status, form_token=form_token(request), wanted=wanted, sentence=sentence)


async def sign_out(request: Request) -> Response:
    """End the session, also for whoever has a copy of its cookie."""
    await submitted(request)
    caller: Caller = request.scope["caller"]
    if caller.by != "session":
        raise Refused(403, "There is no session to end.")
    await run_in_threadpool(access.enter, request.app.state.home, caller.person, "sign_out", 303)
    request.app.state.keys.end(request.session, caller.settings)
    return RedirectResponse(SIGN_IN, 303)


def health(_: Request) -> Response:
    """That the server answers; nothing else."""
    return Response()


routes = [
    Route(SIGN_IN, sign_in, methods=["GET", "POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    Route("/health", health),
]
