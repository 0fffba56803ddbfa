"""The boundary between our errors and Dagster, which stores every traceback it sees.

Belongs here: turning an error into one that carries no patient value. An error raised inside an asset would be kept in
the run storage and the console with its message and its causes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from schemas.problems import FileRefused
from warehouse.archive import NotReadable, StillBeingWritten
from warehouse.home import SettingsRefused
from warehouse.lock import WarehouseBusy
from warehouse.store import WarehouseRefused

# Errors of ours whose message is a plain sentence without any value of a file or record.
SPOKEN = (FileRefused, NotReadable, StillBeingWritten, SettingsRefused, WarehouseBusy, WarehouseRefused)


UNEXPECTED = "unexpected"


@contextmanager
def without_patient_values(stage: str) -> Iterator[None]:
    """Raise ``dagster.Failure`` for any error: our own sentences as they are, others by the kind of error alone."""
    try:
        yield
    except dg.Failure:
        raise
    except SPOKEN as spoken:
        raise dg.Failure(f"{stage}: {spoken}", allow_retries=False) from None
    except Exception as error:
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        place = f"{where.tb_frame.f_globals.get('__name__')}:{where.tb_lineno}" if where else "unknown place"
        raise dg.Failure(
            f"{stage}: unexpected {type(error).__name__} at {place}", metadata={UNEXPECTED: True}, allow_retries=False
        ) from None
