"""What is known of one request before any page is worked out: settings in force, address, and who asks.

Belongs here: what ``pipelines.page.security.gate`` found and others read. Does not belong here: proofs of identity
(``pipelines.page.security.signing_in``), rights (``pipelines.page.security.people``).
"""

from dataclasses import dataclass
from typing import Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request

from pipelines.page.security.people import Person
from warehouse.settings import Settings


class Refused(HTTPException):
    """A request that is refused with a sentence of its own, which quotes nothing of the request."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, headers=headers)
        self.sentence = sentence


@dataclass(slots=True)
class Caller:
    """Where one request comes from, and from whom.

    ``settings``: as they were when it arrived. ``secure``: it came over TLS, ended here or at the proxy. ``address``:
    of the browser, as the network or the proxy gives it. ``by``: what proved the person; ``nobody``: none is known.
    """

    settings: Settings
    secure: bool
    address: str
    person: Person | None = None
    by: Literal["nobody", "local", "session", "token", "proxy"] = "nobody"


def caller_of(request: Request) -> Caller | None:
    """Who calls; None where the request was refused before it was looked at."""
    caller: Caller | None = request.scope.get("caller")
    return caller


def one_header(request: Request, name: str) -> str | None:
    """The header's value, None where it is not sent. Raises HTTPException 400 where it is sent twice."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise HTTPException(400)
    return values[0] if values else None
