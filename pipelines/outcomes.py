"""How a command ends: its exit code, and one plain sentence on stderr instead of a traceback.

0 done, 1 unexpected, 2 usage, 3 done but rows of this run were quarantined, 4 refused.

Belongs here: turning errors of the layers below into a sentence. The errors are known by name, so that a command that
only reads does not load the modules of the way in to name what they raise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import click

UNEXPECTED, USAGE, QUARANTINED, REFUSED = 1, 2, 3, 4

# Errors of ours whose message is a plain sentence without any value of a file or record.
_SPOKEN = {
    "WarehouseBusy": REFUSED,
    "WarehouseRefused": REFUSED,
    "WarehouseFailed": REFUSED,
    "PublicationHeld": REFUSED,
    "NoRoom": REFUSED,
    "SettingsRefused": REFUSED,
    "MappingRefused": REFUSED,
    "QuarantineClosed": REFUSED,
    "NotReadable": USAGE,
    "StillBeingWritten": USAGE,
    "SnapshotMissing": USAGE,
    "ClinicUnknown": USAGE,
    "ClinicNotNamed": USAGE,
    "QuarantineMissing": USAGE,
    "NothingQuarantined": USAGE,
    "QueryRefused": USAGE,
    "SheetFull": USAGE,
}
_PROJECT = Path(__file__).resolve().parent.parent


class Ended(click.ClickException):
    """A command that ends early with ``exit_code`` and one sentence."""

    def __init__(self, exit_code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code

    def show(self, file: object = None) -> None:
        """Print the sentence to stderr."""
        click.echo(f"hiptriage: {self.message}", err=True)


@contextmanager
def plain_ends() -> Iterator[None]:
    """Turn errors into one sentence and an exit code.

    An unexpected one names its kind and its place in the program only: a message or traceback could quote an answer.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except Exception as error:
        raise _ended(error) from None


def _ended(error: Exception) -> Ended:
    name = type(error).__name__
    if name in _SPOKEN and type(error).__module__.startswith(("schemas.", "warehouse.")):
        return Ended(_SPOKEN[name], str(error))
    if isinstance(error, OSError) and error.strerror:
        return Ended(UNEXPECTED, f"a file could not be read or written: {error.strerror.lower()}")
    return Ended(UNEXPECTED, f"{unexpected(error)}; nothing half-done was kept")


def unexpected(error: Exception) -> str:
    """Kind of an error and its place in the program, in words; its message and traceback could quote an answer."""
    return f"unexpected {type(error).__name__}{_place(error.__traceback__)}"


def _place(trace: TracebackType | None) -> str:
    """Where in our own code the error came up."""
    place = ""
    while trace:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(_PROJECT) and ".venv" not in file.parts:
            place = f" at {file.name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
