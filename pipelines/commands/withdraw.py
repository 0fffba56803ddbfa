"""``hiptriage withdraw``: take a record back, hidden or erased.

Belongs here: options, what is printed (counts only), exit codes. Does not belong here: what a withdrawal does
(``warehouse.withdrawing``), imported late because it loads the readers of every format.
"""

import re
from typing import TYPE_CHECKING

import click

from pipelines.instance import use_instance_of
from pipelines.outcomes import REFUSED, UNEXPECTED, USAGE, Ended, plain_ends
from schemas.answers import KEY_PATTERNS
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.snapshot_reading import current_snapshot
from warehouse.withdrawing.terms import REASONS, Agreed, How, Reason

if TYPE_CHECKING:
    from warehouse.withdrawing.search import Found, Named

PURPOSE = "hiptriage withdraw"
NOTHING_CHANGED = "nothing changed: add --yes"
LONGEST_NAME = 200
_REFUSED_RECORD = re.compile(r"(?P<batch>[^:\s]+?)(?::(?P<number>[1-9][0-9]{0,9}))?")


@click.command()
@click.argument("record", metavar="CLINIC[/RECORD]")
@click.option("--patient-key", metavar="KEY", help="All records of this person in the clinic.")
@click.option(
    "--refused",
    multiple=True,
    metavar="BATCH[:NUMBER]",
    help="A refused record whose id cannot be read, or a file that was refused whole; may be given again.",
)
@click.option(
    "--how",
    type=click.Choice(["restrict", "erase"]),
    help="Kept and shown to nobody, or erased. [default: restrict once a clinician has decided, else erase]",
)
@click.option("--even-decided", is_flag=True, help="Erase also what a clinician has decided on.")
@click.option("--lift", "lifted", is_flag=True, help="Take an earlier withdrawal back.")
@click.option("--by", required=True, metavar="NAME", help="Who does this.")
@click.option("--reason", required=True, type=click.Choice(REASONS), help="Why, for the audit.")
@click.option("--yes", is_flag=True, help="Do it; without it only counts are shown.")
def withdraw(
    record: str,
    patient_key: str | None,
    refused: tuple[str, ...],
    how: How | None,
    even_decided: bool,
    lifted: bool,
    by: str,
    reason: Reason,
    yes: bool,
) -> None:
    """Withdraw one record, all records of a person, or refused records.

    What is erased cannot be brought back, and is not taken in again when it is sent again. Backups are yours to see to.
    """
    with plain_ends():
        home = Home.from_environment()
        agreed = Agreed(_name(by), reason)
        if lifted and (how or refused or even_decided):
            raise Ended(USAGE, "--lift goes with a record or --patient-key alone")
        from warehouse.withdrawing import erasure
        from warehouse.withdrawing.search import Named

        clinic, record_id = _clinic_and_record(record)
        named = Named(clinic, record_id, patient_key, tuple(map(_refused_record, refused)))
        if not (record_id or patient_key or refused):
            raise Ended(USAGE, "name a record as CLINIC/RECORD, or a person with --patient-key")
        with holding(home, PURPOSE):
            if erasure.unfinished(home):
                click.echo("an earlier withdrawal was cut off: going on with it")
                _carry_out(home)
            if lifted:
                changed = _lift(home, named, agreed, yes)
            else:
                changed = _withdraw(home, named, agreed, how, even_decided, yes)
            if changed:
                _carry_out(home)
                _tell_what_is_left(home)


def _withdraw(home: Home, named: "Named", agreed: Agreed, how: How | None, even_decided: bool, yes: bool) -> bool:
    """Show what there is of it and, with ``yes``, withdraw it; whether anything was changed."""
    from warehouse.store import opened
    from warehouse.withdrawing import withdrawal
    from warehouse.withdrawing.search import look

    with opened(home, "withdraw a record") as connection:
        withdrawal.check_refused(connection, named)
        found = look(connection, home, named, in_files=False)
        chosen: How = how or ("restrict" if found.decided else "erase")
        if chosen == "erase":
            if found.decided and not even_decided:
                raise Ended(
                    REFUSED,
                    "a clinician has decided on it or confirmed a condition, so it has to be kept: --how restrict "
                    "hides it; --even-decided erases it all the same",
                )
            found = look(connection, home, named, in_files=True)
        elif named.refused:
            raise Ended(USAGE, "a refused record that names nobody can be erased or dismissed, not restricted")
        if found.nothing:
            if withdrawal.was_erased(connection, home, named):
                click.echo("it was erased before, and nothing of it has come in since")
                return False
            raise Ended(USAGE, f"clinic {named.clinic_id} has no such record")
        if chosen == "restrict" and withdrawal.is_restricted(connection, found):
            click.echo("it is restricted already; nothing changed")
            return False
        _tell(chosen, found)
        if not yes:
            click.echo(NOTHING_CHANGED)
            return False
        if chosen == "erase":
            withdrawal.erase(connection, home, found, agreed)
        else:
            withdrawal.restrict(connection, home, found, agreed)
    click.echo("it is hidden from every new table" if chosen == "restrict" else "its rows are gone from the warehouse")
    return True


def _lift(home: Home, named: "Named", agreed: Agreed, yes: bool) -> bool:
    from warehouse.store import opened
    from warehouse.withdrawing import withdrawal
    from warehouse.withdrawing.search import look

    with opened(home, "take a withdrawal back") as connection:
        found = look(connection, home, named, in_files=False)
        if not withdrawal.can_be_lifted(connection, home, found):
            raise Ended(USAGE, f"nothing of the kind was withdrawn in clinic {named.clinic_id}")
        if not yes:
            click.echo("a restricted record is shown again; an erased one may come in again, and does not come back")
            click.echo(NOTHING_CHANGED)
            return False
        withdrawal.lift(connection, home, found, agreed)
    click.echo("the withdrawal is taken back")
    return True


def _tell(how: How, found: "Found") -> None:
    """What is about to happen, in counts."""
    files = found.arrivals["batch_id"].n_unique()
    arrivals = found.arrivals.height
    click.echo(
        f"to {how} in clinic {found.named.clinic_id}: {_count(len(found.record_ids), 'record')}, "
        f"which arrived {_count(arrivals, 'time')} in {_count(files, 'file')}; "
        f"{_count(found.decided, 'decision or diagnosis', 'decisions or diagnoses')} of clinicians"
    )
    if how == "erase":
        if found.refused_files:
            click.echo(f"{_count(len(found.refused_files), 'file')} that were refused whole hold it and are destroyed")
        click.echo("archived files are written anew without it, or destroyed where their format does not allow that")
        if found.unclear:
            click.echo("refused files that could not be looked into (add --refused BATCH to destroy one):")
            for batch_id in found.unclear:
                click.echo(f"  {batch_id}")
    click.echo("older snapshots that show these clinics differently are removed")


def _carry_out(home: Home) -> None:
    """Everything after the rows: archived files, the warehouse anew, a new snapshot, the old ones removed."""
    from warehouse.withdrawing import erasure

    erasure.go_on(home)
    folder = use_instance_of(home)
    from pipelines.materialise import RunFailed, materialise  # dagster takes seconds to import

    try:
        materialise(folder, [])
    except RunFailed as failed:
        code = UNEXPECTED if failed.unexpected else REFUSED
        raise Ended(
            code, f"{failed}; the withdrawal stands, the last table still shows it, and the next hiptriage run ends it"
        ) from None
    erasure.end(home)
    click.echo(f"snapshot {current_snapshot(home).id} is current; earlier ones that showed it are removed")


def _tell_what_is_left(home: Home) -> None:
    """Files of the landing folder are the user's: they are counted and left alone."""
    from warehouse.withdrawing import erasure

    if left := erasure.left_in_landing(home):
        click.echo(
            f"{_count(left, 'file')} of the landing folder still {'holds' if left == 1 else 'hold'} what was erased: "
            "that is yours to remove (it is not read again)"
        )
    click.echo("backups and copies outside this home are not touched: docs/withdrawal.md says what remains to do")


def _count(number: int, what: str, several: str = "") -> str:
    return f"{number} {what}" if number == 1 else f"{number} {several or f'{what}s'}"


def _clinic_and_record(record: str) -> tuple[str, str | None]:
    clinic, slash, record_id = record.partition("/")
    if not re.fullmatch(KEY_PATTERNS["clinic_id"], clinic):
        raise Ended(USAGE, "a clinic id is 1-32 of a-z 0-9 -")
    if slash and not record_id.strip():
        raise Ended(USAGE, "name the record as CLINIC/RECORD")
    return clinic, record_id.strip() or None


def _refused_record(text: str) -> tuple[str, int]:
    found = _REFUSED_RECORD.fullmatch(text)
    if not found:
        raise Ended(USAGE, "name a refused record as BATCH:NUMBER, as hiptriage quarantine list shows them")
    return found["batch"], int(found["number"] or 0)


def _name(text: str) -> str:
    """A name as it goes into the audit: one line of signs that can be read."""
    plain = " ".join(text.split())
    if not plain or not plain.isprintable() or len(plain) > LONGEST_NAME:
        raise Ended(USAGE, f"--by takes a name of 1 to {LONGEST_NAME} readable signs")
    return plain
