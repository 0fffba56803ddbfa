"""A withdrawal asked for in the UI: a file names the record, because what stands in a launch form is kept by Dagster.

Belongs here: reading such a file from the home's folder ``withdrawals`` and removing it. Does not belong here: what is
done with it (``pipelines.changes.withdrawal``). Nothing of what it says goes into a message.
"""

import csv
import os
import stat
from pathlib import Path

from pipelines.changes.withdrawal import named_by
from pipelines.outcomes import USAGE, Ended
from warehouse.home import Home
from warehouse.withdrawing.search import Named

COLUMNS = ("clinic_id", "record_id", "patient_key", "refused")
LONGEST_BYTES = 64_000
_OTHERS_MAY = 0o077


def file_of(home: Home, request: str) -> Path:
    """Where the file of a request lies."""
    return home.withdrawals / f"{request}.csv"


def read(home: Home, request: str) -> Named:
    """What the request names: one row of clinic_id, record_id, patient_key and refused (BATCH:NUMBER, several with
    blanks between); cells that do not apply are left blank.

    Raises Ended where there is no such file, others may read it, or it is not one row of these columns.
    """
    where = f"withdrawals/{request}.csv"
    try:
        descriptor = os.open(file_of(home, request), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise Ended(USAGE, f"there is no file {where} in the home that can be read") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LONGEST_BYTES:
            raise Ended(USAGE, f"{where} is no plain file of at most {LONGEST_BYTES:,} bytes")
        if found.st_mode & _OTHERS_MAY:
            raise Ended(USAGE, f"others on this machine may read {where}: chmod 600 it")
        content = file.read(LONGEST_BYTES)
    said = f"{where} has to be one row under the columns {', '.join(COLUMNS)}"
    try:
        rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise Ended(USAGE, said) from None
    if len(rows) != 1 or not set(rows[0]) <= set(COLUMNS) or "clinic_id" not in rows[0] or None in rows[0].values():
        raise Ended(USAGE, said)
    cells = {column: (rows[0].get(column) or "").strip() for column in COLUMNS}
    return named_by(
        cells["clinic_id"], cells["record_id"] or None, cells["patient_key"] or None, tuple(cells["refused"].split())
    )


def remove(home: Home, request: str) -> None:
    """Unlink the file of a request that is carried out, so that nothing says any more whose record it was."""
    file_of(home, request).unlink(missing_ok=True)
