"""Which error belongs to one file, and which to the machine or the program as a whole.

Belongs here: the boundary around the reading of one file. An error of one file refuses that file, with a code, and
stops no other. An error of the machine (no room on the disk, a damaged warehouse, a lost folder) refuses no file: it
would say of a good file that it cannot be read. Does not belong here: what becomes of a refused file
(``warehouse.intake``).

Privacy: messages of errors quote values. Only the kind of an error and its place in the program pass.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from schemas.problems import FileRefused
from warehouse import damage
from warehouse.home import SettingsRefused
from warehouse.lock import WarehouseBusy
from warehouse.store import NoRoom, WarehouseRefused

# With less room than this on the disk of a home, a write that failed says nothing about the file it was for.
ROOM_BYTES = 256 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# The machine as a whole has none of these left, or cannot reach a disk across the network, whatever is being read.
_OF_THE_MACHINE = (
    errno.EMFILE,
    errno.ENFILE,
    errno.EROFS,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
)
# What DuckDB raises about the values that it was given; everything else is about the warehouse or the disk.
_OF_THE_VALUES = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.InternalException,
    duckdb.InvalidInputException,
    duckdb.NotSupportedError,
)


@contextmanager
def of_one_file() -> Iterator[None]:
    """Raise FileRefused for whatever goes wrong because of the one file that is read inside.

    not_loaded: it needs more memory than there is; read_failed: an error of the program, with its kind and place.
    Errors of the machine pass: duckdb.Error as it is (the door to the warehouse words it), NoRoom where a write found
    the disk full, WarehouseRefused.
    """
    try:
        yield
    except (FileRefused, SettingsRefused, WarehouseBusy, WarehouseRefused):
        raise
    except BaseException as error:
        raise _sorted_out(error) from None


def _sorted_out(error: BaseException) -> BaseException:
    """What to raise for an error that is none of ours."""
    if not (isinstance(error, Exception) or is_panic(error)):
        return error  # an interruption
    if wants_room(error):
        return NoRoom("load a batch")
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException) or _number(error) == errno.ENOMEM:
        return FileRefused("not_loaded")
    if isinstance(error, duckdb.Error) and (damage.is_damage(error) or not isinstance(error, _OF_THE_VALUES)):
        return error
    if is_of_the_machine(error):
        return refusal_of_the_machine(error)
    return FileRefused("read_failed", place=f"{type(error).__name__} at {place_of(error)}")


def is_of_the_machine(error: BaseException) -> bool:
    """Whether a read or write failed for a reason that says nothing about the file it was for."""
    return _number(error) in _OF_THE_MACHINE


def refusal_of_the_machine(error: BaseException) -> WarehouseRefused:
    """What to raise for such an error, by its kind alone: the batch waits."""
    return WarehouseRefused(f"the machine refused to load a batch ({errno.errorcode[_number(error)]})")


def is_panic(error: BaseException) -> bool:
    """Whether it is an error of a library written in Rust (polars), which is no Exception and quotes values, too."""
    return type(error).__name__ == "PanicException"


def place_of(error: BaseException) -> str:
    """Module and line in which an error came up."""
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    return f"{where.tb_frame.f_globals.get('__name__')}:{where.tb_lineno}" if where else "unknown place"


def wants_room(error: BaseException) -> bool:
    """Whether a write failed for want of room on the disk."""
    return damage.wants_room(error) if isinstance(error, duckdb.Error) else _number(error) in _NO_ROOM


def has_room(folder: Path) -> bool:
    """Whether a disk that was full has room again, once what could not be written is gone: then that was too large."""
    return shutil.disk_usage(folder).free >= ROOM_BYTES


def _number(error: BaseException) -> int:
    return (error.errno or 0) if isinstance(error, OSError) else 0
