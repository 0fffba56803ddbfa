"""``hiptriage withdraw``: take a record back, hidden or erased.

Belongs here: options, exit codes. Does not belong here: the steps (``pipelines.changes.withdrawal``), imported late
because they load the readers of every format.
"""

import click

from pipelines.instance import use_instance_of
from pipelines.outcomes import REFUSED, UNEXPECTED, USAGE, Ended, plain_ends
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.snapshot_reading import current_snapshot
from warehouse.withdrawing.terms import REASONS, How, Reason

PURPOSE = "hiptriage withdraw"
NOTHING_CHANGED = "nothing changed: add --yes"


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
        from pipelines.changes import withdrawal
        from warehouse.withdrawing import erasure

        agreed = withdrawal.agree(by, reason)
        wish = withdrawal.Wish(how, even_decided, lifted)
        if lifted and (how or refused or even_decided):
            raise Ended(USAGE, "--lift goes with a record or --patient-key alone")
        named = withdrawal.named_by(*_clinic_and_record(record), patient_key, refused)
        with holding(home, PURPOSE):
            if erasure.unfinished(home):
                click.echo("an earlier withdrawal was cut off: going on with it")
                _carry_out(home)
            came = withdrawal.withdraw(home, named, agreed, wish, confirmed=yes, say=click.echo)
            if came == "changed":
                _carry_out(home)
                withdrawal.tell_what_is_left(home, click.echo)
            elif came == "not confirmed":
                click.echo(NOTHING_CHANGED)


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


def _clinic_and_record(record: str) -> tuple[str, str | None]:
    clinic, slash, record_id = record.partition("/")
    if slash and not record_id.strip():
        raise Ended(USAGE, "name the record as CLINIC/RECORD")
    return clinic, record_id.strip() or None
