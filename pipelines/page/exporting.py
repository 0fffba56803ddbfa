"""Downloads: the table of one clinic as a file for another program.

Belongs here: which files there are, and sending one. Does not belong here: what a file holds (``pipelines.exported``).

A file is written whole into a nameless temporary file before its first byte is sent: one that breaks off is told by its
length, and an error is an error page instead of half a table.
"""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pipelines.console import zone
from pipelines.exported import FORMATS, LEFT_OUT, TABLES, about, heading, leave_out_sensitive, write_all
from pipelines.page.rendering import page
from pipelines.page.security.access import note
from pipelines.page.security.caller import Refused
from pipelines.page.visit import Visit, shown_to
from warehouse.snapshot_reading import connect

AT_ONCE = 2  # files written at the same time: each may take as much memory as a reader of the snapshot gets
# A workbook takes about 2 ms a row of the processor that answers everybody else.
EXCEL_ROWS_AT_MOST = 10_000
TOO_LONG = (
    f"This page writes Excel files of at most {EXCEL_ROWS_AT_MOST:,} rows. Take CSV, or ask the analyst for "
    "hiptriage worklist --format xlsx."
)
BUSY = "Other files are being written just now. Try again in 10 seconds."
BYTES_AT_ONCE = 1 << 16
_WRITING = threading.BoundedSemaphore(AT_ONCE)
_SAID = {
    "worklist": "Open referrals in order of tier, overdue and score, in plain columns.",
    "referrals": "Every referral with everything it rests on; in CSV and Excel nested columns are JSON.",
    "unread_forms": "Forms that could not be read, with what their readable answers may mean.",
}
_TITLES = {"csv": "CSV", "xlsx": "Excel", "json": "JSON", "parquet": "Parquet"}


@shown_to("export")
def exports(visit: Visit) -> Response:
    """Which files can be had of which clinic."""
    chosen = (visit.clinic,) if visit.clinic else visit.clinics
    return page(visit, "exports.html", chosen=chosen, tables=_SAID, formats=_TITLES, left_out=LEFT_OUT)


@shown_to("export")
def export(visit: Visit) -> Response:
    """One table of one clinic in one format, without what tells of sensitive answers. 400 for any other."""
    clinic, table, form = visit.clinic, visit.query.get("table", "worklist"), visit.query.get("format", "csv")
    if clinic is None or table not in TABLES or form not in FORMATS:
        raise HTTPException(400)
    note(visit, "export", clinic=clinic)
    with _a_place():
        file = _written(visit, clinic, table, form)
    headers = {
        "Content-Length": str(file.seek(0, 2)),
        # clinic ids and ids of snapshots are letters, digits and hyphens
        "Content-Disposition": f'attachment; filename="hiptriage-{table}-{clinic}-{visit.snapshot.id}.{form}"',
    }
    return StreamingResponse(_pieces(file), media_type=FORMATS[form], headers=headers)


@contextmanager
def _a_place() -> Iterator[None]:
    if not _WRITING.acquire(blocking=False):
        raise Refused(503, BUSY, {"Retry-After": "10"})
    try:
        yield
    finally:
        _WRITING.release()


def _written(visit: Visit, clinic: str, table: str, form: str) -> BinaryIO:
    """The file, open and nameless."""
    said = about(visit.snapshot, visit.home, clinic, without_sensitive=True)
    above = heading(visit.snapshot, visit.home, clinic, table)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when its last byte is sent
    try:
        with connect(visit.snapshot, clinic, every_byte=True) as connection:
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            if form == "xlsx" and count > EXCEL_ROWS_AT_MOST:
                raise Refused(413, TOO_LONG)
            leave_out_sensitive(connection)
            write_all(connection, table, form, file, said, above, zone(visit.home, clinic))
    except BaseException:
        file.close()
        raise
    return file


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(BYTES_AT_ONCE):
            yield piece


routes = [Route("/exports", exports), Route("/export", export)]
