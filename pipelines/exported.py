"""What a file with rows of the table holds, and what it says about itself; the same for the command and the page.

Belongs here: tables and formats by name, and the words beside the rows. Does not belong here: how a format is written
(``warehouse.exports``, ``warehouse.workbook_export``), who may have it (``pipelines.page.exporting``).
"""

from collections.abc import Iterator
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from pipelines.console import INTENDED_USE, KIND_WORDS, local, notices, zone
from warehouse import exports
from warehouse.home import Home
from warehouse.snapshot_reading import Snapshot

# By table that can be had as a file: in which order its rows stand.
TABLES = {"worklist": "place", "referrals": "clinic_id, record_id", "unread_forms": "act_by, received_at"}
FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}
# The view writes its times as text; in a workbook they are dates.
WORKLIST_AS_DATES = "SELECT * REPLACE ({}) FROM worklist".format(
    ", ".join(
        f"{column}::TIMESTAMPTZ AS {column}"
        for column in ("see_by", "decided_at", "ask_by", "submitted_at", "episode_started_at")
    )
)
LEFT_OUT = (
    "Findings on sensitive questions, the names of such questions, and the marks pregnancy and safeguarding review are "
    "left out. Rules that fired or that wait for an answer stay, and their text can name what was answered."
)


def leave_out_sensitive(connection: Any) -> None:
    """Take out of the connection's tables what tells of a sensitive answer."""
    # the rules are read for their ids here alone
    from models.sensitive_rules import settled_by_sensitive_answers
    from warehouse.without_sensitive import leave_out

    leave_out(connection, settled_by_sensitive_answers())


def write_all(
    connection: Any, table: str, form: str, target: BinaryIO, about: list[tuple[str, str]], heading: str, at: ZoneInfo
) -> int:
    """Write all rows of a table of TABLES in a format of FORMATS; gives their number.

    ``about``, ``heading`` and ``at`` are for the workbook (``warehouse.workbook_export``). Raises SheetFull.
    """
    order = f"ORDER BY {TABLES[table]}"
    query = f"SELECT * FROM {table} {order}"
    if form == "xlsx":
        from warehouse.workbook_export import write_workbook

        rows = WORKLIST_AS_DATES if table == "worklist" else exports.flat(connection, f"FROM {table}")
        result = connection.execute(f"{rows} {order}")
        return write_workbook(result, target, sheet=table, about=about, heading=heading, at=at)
    if form == "parquet":
        return exports.write_parquet(connection.execute(query), target)
    with exports.as_text(target) as stream:
        if form == "csv":
            rows = exports.flat(connection, f"FROM {table}")
            return exports.write_csv(connection.execute(f"{rows} {order}"), stream)
        return exports.write_array(exports.objects(connection, query, {}), stream)


def about(snapshot: Snapshot, home: Home, clinic: str | None, *, without_sensitive: bool) -> list[tuple[str, str]]:
    """What the second sheet of a workbook says of its rows: what, and the words."""
    from schemas.forms.wording import stop_text  # a reader of rows does without

    return [
        ("snapshot", snapshot.id),
        ("as at", local(snapshot.published_at, zone(home, clinic))),
        ("clinic", clinic or f"all of this installation: {', '.join(snapshot.clinics)}"),
        ("times", f"by the clock of {zone(home, clinic).key}"),
        ("intended use", INTENDED_USE),
        *(("notice", line) for line in notices(snapshot, home, clinic)),
        ("sensitive answers", LEFT_OUT if without_sensitive else "Not left out: for the treating clinic only."),
        ("stop", stop_text().in_full("clinician", None)),
    ]


def heading(snapshot: Snapshot, home: Home, clinic: str | None, table: str) -> str:
    """What stands above each printed page of a workbook; Excel takes 255 characters."""
    return ". ".join(_heading(snapshot, home, clinic, table))


def _heading(snapshot: Snapshot, home: Home, clinic: str | None, table: str) -> Iterator[str]:
    for kind in snapshot.data_kinds(clinic):
        if kind in KIND_WORDS:
            yield KIND_WORDS[kind].partition(":")[0]
    yield f"{table.replace('_', ' ').capitalize()}, {clinic or 'all clinics'}"
    yield f"{'STALE, ' if snapshot.stale else ''}as at {local(snapshot.published_at, zone(home, clinic))}"
    yield "Not for patients to use alone"
