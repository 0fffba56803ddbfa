"""The boundary between our errors and Dagster, which stores every traceback it sees.

Belongs here: turning an error into one that carries no patient value. An error raised inside an asset would be kept in
the run storage and the console with its message and its causes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from models.model_file import ModelRefused
from pipelines.changes.proposal import ChangeRefused
from pipelines.model_store import StoreRefused, VersionMissing
from pipelines.outcomes import Ended
from schemas.problems import FileRefused
from warehouse.archive import NotReadable, StillBeingWritten
from warehouse.faults import is_panic, place_of, wants_room
from warehouse.home import SettingsRefused
from warehouse.lock import WarehouseBusy
from warehouse.replay import NothingQuarantined
from warehouse.store import NoRoom, WarehouseRefused

# Errors of ours whose message is a plain sentence without any value of a file or record.
SPOKEN = (
    FileRefused, NotReadable, StillBeingWritten, SettingsRefused, WarehouseRefused, ChangeRefused, VersionMissing,
    StoreRefused, ModelRefused, NothingQuarantined, Ended,
)  # fmt: skip
# How often a step that waited in vain for the warehouse is tried again, each time after this pause.
BUSY_RETRIES, BUSY_PAUSE_SECONDS = 2, 10.0

UNEXPECTED = "unexpected"


@contextmanager
def without_patient_values(stage: str) -> Iterator[None]:
    """Raise ``dagster.Failure`` for any error: our own sentences as they are, others by the kind of error alone.

    Who waited in vain for the warehouse is tried again as a step: ``dagster.RetryRequested``, a bounded number of
    times.
    """
    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except WarehouseBusy as busy:
        # The step is tried again, and fails with the sentence when that was in vain too.
        raise dg.RetryRequested(BUSY_RETRIES, BUSY_PAUSE_SECONDS) from dg.Failure(f"{stage}: {busy}")
    except SPOKEN as spoken:
        raise dg.Failure(f"{stage}: {spoken}", allow_retries=False) from None
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise  # the run is being ended
        if wants_room(error):
            raise dg.Failure(f"{stage}: {NoRoom('go on')}", allow_retries=False) from None
        raise dg.Failure(
            f"{stage}: unexpected {type(error).__name__} at {place_of(error)}",
            metadata={UNEXPECTED: True},
            allow_retries=False,
        ) from None
