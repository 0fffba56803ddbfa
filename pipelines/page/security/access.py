"""What the page enters in the access log: who opened, printed, exported, entered what; who signed in, was refused.

Belongs here: the shape of an entry. It may hold ids of people, clinics and records and nothing else of a patient. Does
not belong here: the file (``warehouse.access_log``).
"""

from typing import TYPE_CHECKING, Literal

from pipelines.page.security.people import Person
from warehouse.access_log import append
from warehouse.home import Home

if TYPE_CHECKING:
    from pipelines.page.visit import Visit

What = Literal["list", "record", "print", "what_if", "export", "aggregates", "enter"]


def note(visit: "Visit", what: What, *, clinic: str | None = None, record: str | None = None) -> None:
    """Enter that the visitor is shown, or enters, this; call it before the answer is made.

    ``clinic`` is by default that of the address, None where all of the person's are shown. ``record``: of which record,
    found in the snapshot and not merely asked for. Raises AccessLogClosed: then nothing is shown.
    """
    enter(visit.home, visit.person, what, 200, clinic=clinic or visit.clinic, record=record)


def enter(home: Home, person: Person | None, what: str, status: int, **more: str | None) -> None:
    """Enter something else: ``sign_in``, ``sign_out``, ``refused``. ``person``: None where nobody is known.

    ``more``: what is None is left out. Raises AccessLogClosed.
    """
    who = {"who": person.id, "role": person.role} if person else {"who": None}
    entry = {**who, "what": what, "status": status}
    append(home.access_log, entry | {name: value for name, value in more.items() if value is not None})
