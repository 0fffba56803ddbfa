"""Taking a record back, step by step, as the command ``hiptriage withdraw`` and the job ``withdraw`` do it.

Belongs here: the order of steps, what has to be agreed, what is told (counts only). Does not belong here: what a
withdrawal does (``warehouse.withdrawing``), options and exit codes (``pipelines.commands.withdraw``), launch forms
(``pipelines.defs.jobs``), the publication between ``withdraw`` and ``tell_what_is_left``. Knows nothing of Dagster.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipelines.outcomes import REFUSED, USAGE, Ended
from schemas.answers import KEY_PATTERNS
from warehouse.home import Home
from warehouse.store import opened
from warehouse.withdrawing import erasure, withdrawal
from warehouse.withdrawing.search import Found, Named, look
from warehouse.withdrawing.terms import LONGEST_NAME, Agreed, How

Say = Callable[[str], None]
Came = Literal["changed", "not confirmed", "nothing to do"]
_REFUSED_RECORD = re.compile(r"(?P<batch>[^:\s]+?)(?::(?P<number>[1-9][0-9]{0,9}))?")


@dataclass(frozen=True)
class Wish:
    """How to withdraw: ``how`` None means restrict once a clinician has decided, else erase; ``lifted`` takes back."""

    how: How | None = None
    even_decided: bool = False
    lifted: bool = False


def named_by(clinic: str, record_id: str | None, patient_key: str | None, refused: tuple[str, ...]) -> Named:
    """What a request names. ``refused``: BATCH[:NUMBER] each. Raises Ended where it names nothing that can be."""
    if not re.fullmatch(KEY_PATTERNS["clinic_id"], clinic):
        raise Ended(USAGE, "a clinic id is 1-32 of a-z 0-9 -")
    if not (record_id or patient_key or refused):
        raise Ended(USAGE, "name a record as CLINIC/RECORD, or a person with --patient-key")
    return Named(clinic, record_id, patient_key, tuple(map(_refused_record, refused)))


def _refused_record(text: str) -> tuple[str, int]:
    found = _REFUSED_RECORD.fullmatch(text)
    if not found:
        raise Ended(USAGE, "name a refused record as BATCH:NUMBER, as hiptriage quarantine list shows them")
    return found["batch"], int(found["number"] or 0)


def agree(by: str, reason: str) -> Agreed:
    """Check the name as it goes into the audit: one line of signs that can be read. Raises Ended."""
    plain = " ".join(by.split())
    if not plain or not plain.isprintable() or len(plain) > LONGEST_NAME:
        raise Ended(USAGE, f"--by takes a name of 1 to {LONGEST_NAME} readable signs")
    return Agreed(plain, reason)  # type: ignore[arg-type]


def withdraw(home: Home, named: Named, agreed: Agreed, wish: Wish, *, confirmed: bool, say: Say) -> Came:
    """Tell what there is of it and, if ``confirmed``, withdraw it or take a withdrawal back; what it came to.

    The caller holds the warehouse; where something changed it publishes next and then calls ``tell_what_is_left``.
    Raises Ended where it cannot be done that way, WarehouseBusy, WarehouseRefused.
    """
    if wish.lifted:
        if wish.how or named.refused or wish.even_decided:
            raise Ended(USAGE, "a withdrawal is taken back (lift) for a record or a person alone")
        return _lift(home, named, agreed, confirmed, say)
    with opened(home, "withdraw a record") as connection:
        withdrawal.check_refused(connection, named)
        found = look(connection, home, named, in_files=False)
        chosen: How = wish.how or ("restrict" if found.decided else "erase")
        if chosen == "erase":
            if found.decided and not wish.even_decided:
                raise Ended(
                    REFUSED,
                    "a clinician has decided on it, confirmed a condition or reported a safety concern, so it has to "
                    "be kept: --how restrict hides it; --even-decided erases it all the same",
                )
            found = look(connection, home, named, in_files=True)
        elif named.refused:
            raise Ended(USAGE, "a refused record that names nobody can be erased or dismissed, not restricted")
        if found.nothing:
            if withdrawal.was_erased(connection, home, named):
                say("it was erased before, and nothing of it has come in since")
                return "nothing to do"
            raise Ended(USAGE, f"clinic {named.clinic_id} has no such record")
        if chosen == "restrict" and withdrawal.is_restricted(connection, found):
            say("it is restricted already; nothing changed")
            return "nothing to do"
        _tell(chosen, found, say)
        if not confirmed:
            return "not confirmed"
        if chosen == "erase":
            withdrawal.erase(connection, home, found, agreed)
        else:
            withdrawal.restrict(connection, home, found, agreed)
    say("it is hidden from every new table" if chosen == "restrict" else "its rows are gone from the warehouse")
    return "changed"


def _lift(home: Home, named: Named, agreed: Agreed, confirmed: bool, say: Say) -> Came:
    with opened(home, "take a withdrawal back") as connection:
        found = look(connection, home, named, in_files=False)
        if not withdrawal.can_be_lifted(connection, home, found):
            raise Ended(USAGE, f"nothing of the kind was withdrawn in clinic {named.clinic_id}")
        if not confirmed:
            say("a restricted record is shown again; an erased one may come in again, and does not come back")
            return "not confirmed"
        withdrawal.lift(connection, home, found, agreed)
    say("the withdrawal is taken back")
    return "changed"


def _tell(how: How, found: Found, say: Say) -> None:
    """What is about to happen, in counts."""
    files = found.arrivals["batch_id"].n_unique()
    arrivals = found.arrivals.height
    say(
        f"to {how} in clinic {found.named.clinic_id}: {_count(len(found.record_ids), 'record')}, "
        f"which arrived {_count(arrivals, 'time')} in {_count(files, 'file')}; "
        f"{_count(found.decided, 'decision, diagnosis or concern', 'decisions, diagnoses or concerns')} of clinicians"
    )
    if how == "erase":
        if found.refused_files:
            say(f"{_count(len(found.refused_files), 'file')} that were refused whole hold it and are destroyed")
        say("archived files are written anew without it, or destroyed where their format does not allow that")
        if found.unclear:
            say("refused files that could not be looked into (add --refused BATCH to destroy one):")
            for batch_id in found.unclear:
                say(f"  {batch_id}")
    say("older snapshots that show these clinics differently are removed")


def tell_what_is_left(home: Home, say: Say) -> None:
    """Files of the landing folder are the user's: they are counted and left alone. Raises WarehouseBusy."""
    if left := erasure.left_in_landing(home):
        say(
            f"{_count(left, 'file')} of the landing folder still {'holds' if left == 1 else 'hold'} what was erased: "
            "that is yours to remove (it is not read again)"
        )
    say("backups and copies outside this home are not touched: docs/withdrawal.md says what remains to do")


def _count(number: int, what: str, several: str = "") -> str:
    return f"{number} {what}" if number == 1 else f"{number} {several or f'{what}s'}"
