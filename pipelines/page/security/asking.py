"""Who a request comes from, and the form it brings.

Belongs here: what the pages ask of a request, and the protection of forms. Does not belong here: proofs of identity
(``pipelines.page.security.signing_in``); they are checked before any page is worked out
(``pipelines.page.security.gate``).
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from itsdangerous import BadSignature, TimestampSigner
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from pipelines.page.security.addresses import own_path
from pipelines.page.security.caller import Caller, Refused, caller_of
from pipelines.page.security.people import Person
from pipelines.page.security.sessions import HOUR, Keys

FORM = "application/x-www-form-urlencoded"
FIELDS_AT_MOST = 50
SECONDS_AT_MOST = 30
SIGN_IN = "/sign-in"
_SIGNED = "form"
TOO_OLD = (
    "This form is too old, or not one of this page. Go back, load the page anew and send it again; nothing was kept."
)


def person_asking(request: Request) -> Person:
    """Who asks. Raises HTTPException 401 where nobody is signed in and the settings name people."""
    caller = caller_of(request)
    if caller is None or caller.person is None:
        raise HTTPException(401)
    return caller.person


async def submitted(request: Request) -> Mapping[str, str]:
    """The fields of a posted form, each once; empty for a request that posts none.

    Raises HTTPException 400 (cannot be read, or a field twice), 401 (nobody is signed in), 403 (not a form of this
    page, person and browser), 408, 413, 415.
    """
    if request.method != "POST":
        return {}
    person_asking(request)
    return await posted(request)


async def posted(request: Request) -> Mapping[str, str]:
    """As ``submitted``, also for somebody who has not signed in."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPException(415)
    try:
        async with asyncio.timeout(SECONDS_AT_MOST):
            body = await request.body()
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_AT_MOST, errors="strict")
    except TimeoutError:
        raise HTTPException(408) from None
    except (ValueError, ClientDisconnect):
        raise HTTPException(400) from None
    fields = dict(pairs)
    if len(fields) < len(pairs) or any("\0" in part for pair in pairs for part in pair):
        raise HTTPException(400)
    _check_form_token(request, fields.pop("form_token", ""))
    return fields


def form_token(request: Request) -> str:
    """What a form of this page has to bring back, so that no other site can post it. Holds for this browser and person,
    for as long as a session does.
    """
    return _signer_of(request).sign(_SIGNED).decode()


def sign_in_address(request: Request) -> str | None:
    """Where a browser is sent that has to sign in, and from there back; None for what is no browser's reading."""
    caller = caller_of(request)
    by_header = caller is None or caller.settings.page.proxy_header or "Authorization" in request.headers
    if by_header or request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return None
    wanted = own_path(f"{request.url.path}?{request.url.query}".removesuffix("?"))
    return SIGN_IN if wanted == "/" else f"{SIGN_IN}?{urlencode({'next': wanted})}"


def _check_form_token(request: Request, token: str) -> None:
    caller: Caller = request.scope["caller"]
    try:
        signed = _signer_of(request).unsign(token, max_age=caller.settings.page.session_hours * HOUR)
    except BadSignature:
        raise Refused(403, TOO_OLD) from None
    if signed.decode() != _SIGNED:
        raise Refused(403, TOO_OLD)


def _signer_of(request: Request) -> TimestampSigner:
    caller: Caller = request.scope["caller"]
    keys: Keys = request.app.state.keys
    return keys.form_signer(request.session, caller.person.id if caller.person else "")
