"""Sessions: a signed cookie that says who signed in, with what and when.

Belongs here: what a session holds, when it ends, and the keys it is signed with. Does not belong here: finding out who
somebody is (``pipelines.page.security.signing_in``).

The keys live in the memory of this process and nowhere else: who copies the home or a backup of it cannot make a
session. The price is that everybody signs in again after the server was started anew.

The cookie is SameSite=Lax and not Strict: a link in a mail then opens its record without another sign-in. Nothing is
changed by following a link, and what changes something needs a token of its form (``pipelines.page.security.asking``).
"""

import hashlib
import secrets
import time
from collections.abc import MutableMapping
from functools import partial
from typing import Any

from itsdangerous import TimestampSigner
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from warehouse.home import Home
from warehouse.settings import PersonSettings, Settings

HOUR = 3600
Session = MutableMapping[str, Any]


class Keys:
    """The secret of this process, and the sessions that somebody has ended before their time."""

    def __init__(self) -> None:
        self.secret = secrets.token_urlsafe(32)
        self._ended: dict[str, float] = {}

    def form_signer(self, session: Session, who: str) -> TimestampSigner:
        """What signs the forms of this browser and person."""
        return TimestampSigner(self.secret, salt=f"form {browser_key(session)} {who}")

    def end(self, session: Session, settings: Settings) -> None:
        """End a session, also for whoever has a copy of the cookie."""
        now = time.time()
        self._ended = {key: until for key, until in self._ended.items() if until > now}
        self._ended[browser_key(session)] = now + settings.page.session_hours * HOUR
        session.clear()

    def has_ended(self, session: Session) -> bool:
        """Whether somebody has signed out of it."""
        return session.get("key") in self._ended


def browser_key(session: Session) -> str:
    """A random word that this browser alone has; given to it where it has none."""
    if "key" not in session:
        session["key"] = secrets.token_urlsafe(16)
    return str(session["key"])


def begin(session: Session, person_id: str, person: PersonSettings) -> None:
    """Sign somebody in; nothing of what the browser had before stays."""
    session.clear()
    session.update(key=secrets.token_urlsafe(16), person=person_id, proof=_proof(person), at=int(time.time()))


def holder(session: Session, settings: Settings, keys: Keys) -> str | None:
    """The id of the person that the session stands for; None where it has ended or their token was changed."""
    person = settings.people.get(session.get("person", ""))
    if person is None or keys.has_ended(session) or not person.token_sha256:
        return None
    is_young = 0 <= time.time() - session["at"] < settings.page.session_hours * HOUR
    is_theirs = secrets.compare_digest(session["proof"], _proof(person))
    return str(session["person"]) if is_young and is_theirs else None


def _proof(person: PersonSettings) -> str:
    return hashlib.sha256(f"session {person.token_sha256}".encode()).hexdigest()


class Sessions:
    """Gives each request its session. Over TLS no other host and no plain page can set the cookie (``__Host-``)."""

    def __init__(self, app: ASGIApp, keys: Keys, home: Home) -> None:
        # Cookies do not know ports: two installations on one machine need two names.
        name = f"hiptriage-{hashlib.sha256(str(home.root).encode()).hexdigest()[:8]}"
        of = partial(SessionMiddleware, app, secret_key=keys.secret, max_age=None, same_site="lax")
        self._plain, self._secure = of(session_cookie=name), of(session_cookie=f"__Host-{name}", https_only=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        is_secure = scope["type"] == "http" and scope["caller"].secure
        await (self._secure if is_secure else self._plain)(scope, receive, send)
