"""How the page says no: one plain sentence for each status, and never a word of the request.

Belongs here: errors into pages, and what of them is entered. Does not belong here: when something is refused.
"""

import logging

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipelines.outcomes import unexpected
from pipelines.page.rendering import bare_page
from pipelines.page.security import access
from pipelines.page.security.asking import sign_in_address
from pipelines.page.security.caller import Refused, caller_of
from warehouse.access_log import AccessLogClosed
from warehouse.home import SettingsRefused
from warehouse.snapshot_reading import ClinicUnknown, SnapshotMissing

LOG = logging.getLogger("pipelines.page")
SENTENCES = {
    400: "This address or form cannot be read.",
    401: "Sign in first.",
    403: "You may not see or do this here.",
    404: "There is no such page, clinic or record, or it is not of one of your clinics.",
    405: "This address does not take that kind of request.",
    408: "The form took too long to arrive. Send it again.",
    413: "This is more than the page takes.",
    414: "This address is too long.",
    415: "The page takes forms of its own only.",
    429: "Too many requests. Wait a little.",
    431: "This request says more about itself than the page takes.",
    500: "Something went wrong, and nothing was kept of this request. The program's log says where.",
    503: "The page cannot be shown now.",
}
# Errors of ours; and what comes after too many requests, or the log would grow with every one of them.
NOT_ENTERED = (429, 500, 503)
SETTINGS_WRONG = "The settings of this installation cannot be used, so nothing is shown. Its analyst: hiptriage doctor."


async def answered(request: Request, error: Exception) -> Response:
    """The page for an error. An unexpected one leaves its kind and place in the program's log, and nothing else."""
    match error:
        case HTTPException():
            status, headers = error.status_code, dict(error.headers or {})
            sentence = error.sentence if isinstance(error, Refused) else None
        case ClinicUnknown():
            status, headers, sentence = 404, {}, None
        case SettingsRefused():
            status, headers, sentence = 503, {"Retry-After": "60"}, SETTINGS_WRONG
        case SnapshotMissing() | AccessLogClosed():
            LOG.error("%s", error)
            status, headers, sentence = 503, {"Retry-After": "60"}, f"{str(error)[:1].upper()}{str(error)[1:]}."
        case _:
            leave_place(error)
            status, headers, sentence = 500, {}, None
    if status == 401 and (address := sign_in_address(request)):
        return RedirectResponse(address, 303)
    if status == 403 and request.url.path == "/" and _reads_no_list(request):
        return RedirectResponse("/aggregates", 303)
    await run_in_threadpool(_enter, request, status)
    return bare_page(
        "refused.html", status=status, headers=headers, sentence=sentence or SENTENCES.get(status, SENTENCES[500])
    )


def leave_place(error: Exception) -> None:
    """Leave kind and place of an unexpected error in the program's log."""
    LOG.error("%s", unexpected(error))


def _reads_no_list(request: Request) -> bool:
    caller = caller_of(request)
    return bool(caller and caller.person and not caller.person.may("worklist") and caller.person.may("aggregates"))


def _enter(request: Request, status: int) -> None:
    """Enter what somebody who is known was refused; the others are entered where they fail to sign in."""
    caller = caller_of(request)
    if caller and caller.person and status not in NOT_ENTERED:
        try:
            access.enter(request.app.state.home, caller.person, "refused", status)
        except AccessLogClosed as closed:
            LOG.error("%s", closed)
