"""Who somebody is: by a token, by a session, or by what a reverse proxy says.

Belongs here: proofs of identity. Does not belong here: what a person may (``pipelines.page.security.people``), the
sign-in page (``pipelines.page.security.sign_in``).

Tokens are 256 random bits, so a plain SHA-256 of one can be kept: there is nothing to guess from it.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from ipaddress import ip_address

from starlette.requests import Request

from pipelines.page.security.caller import Caller, Refused, one_header
from pipelines.page.security.people import LOCAL, Person
from pipelines.page.security.sessions import Keys, holder
from warehouse.settings import ALL_CLINICS, Settings

PROXY_SECRET = "X-Hiptriage-Proxy"  # noqa: S105 - the name of a header
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
NOBODY_NAMED = "Nobody is named in the settings of this installation, so nothing is shown beyond its own machine."


class NotProven(Refused):
    """Somebody gave a proof that is none: entered in the log, and counted."""


def from_proxy(request: Request, settings: Settings) -> bool:
    """Whether the request comes through the reverse proxy; False where none is set. Raises NotProven."""
    wanted = settings.page.proxy_secret_sha256
    if not wanted:
        return False
    if not _is_hash_of(wanted, one_header(request, PROXY_SECRET) or ""):
        raise NotProven(403, "This page is reached through the clinic's own address only.")
    return True


def address_of(request: Request, *, proxied: bool) -> str:
    """The address of the browser: what the proxy added last, else that of the connection."""
    seen = request.client.host if request.client else ""
    if proxied:
        last = ",".join(request.headers.getlist("X-Forwarded-For")).rpartition(",")[2].strip()
        try:
            return str(ip_address(last))
        except ValueError:
            return seen
    return seen


def identify(request: Request, caller: Caller, keys: Keys, *, local_may: bool) -> None:
    """Enter in ``caller`` who asks, where that is proven. Raises NotProven, Refused.

    ``local_may``: nobody has ever been named since the server started, and it listens on this machine alone.
    """
    settings = caller.settings
    if settings.page.proxy_header:
        _by_proxy(request, caller)
    elif (authorization := one_header(request, "Authorization")) is not None:
        scheme, _, token = authorization.partition(" ")
        person_id = by_token(settings, token.strip()) if scheme.lower() == "bearer" else None
        caller.person, caller.by = (named(settings, person_id), "token") if person_id else (None, "nobody")
        if caller.person is None:
            raise NotProven(401, "The token is not known, or does not hold any more.", {"WWW-Authenticate": "Bearer"})
        if request.method not in ("GET", "HEAD"):
            raise Refused(403, "A token in a header may read and nothing else: sign in on the page.")
    elif person_id := holder(request.session, settings, keys):
        caller.person = named(settings, person_id)
        caller.by = "session" if caller.person else "nobody"
    elif not settings.people:
        if not local_may or any(name in request.headers for name in FORWARDED):
            raise Refused(503, NOBODY_NAMED)
        caller.person, caller.by = LOCAL, "local"


def _by_proxy(request: Request, caller: Caller) -> None:
    person_id = one_header(request, caller.settings.page.proxy_header)
    if not person_id:
        raise Refused(401, "Sign in at your clinic's own sign-in first.")
    caller.person, caller.by = named(caller.settings, person_id), "proxy"
    if caller.person is None:
        raise NotProven(403, "You are signed in, but the settings of this page do not name you, or no longer.")


def by_token(settings: Settings, token: str) -> str | None:
    """The id of the person whose token it is."""
    found = [id_ for id_, of in settings.people.items() if of.token_sha256 and _is_hash_of(of.token_sha256, token)]
    return found[0] if found else None


def named(settings: Settings, person_id: str) -> Person | None:
    """The person as the settings have them today; None where they are not named or their last day is over."""
    of = settings.people.get(person_id)
    if of is None or (of.until and datetime.now(UTC).date() > of.until):
        return None
    clinics = None if of.clinics == (ALL_CLINICS,) else frozenset(of.clinics)
    return Person(id=person_id, name=of.name, role=of.role, clinics=clinics)


def _is_hash_of(wanted: str, secret: str) -> bool:
    return hmac.compare_digest(hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest(), wanted)
