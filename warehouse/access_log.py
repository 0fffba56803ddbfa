"""The access log: who opened which record, one entry a line that begins with its time (UTC, ISO 8601).

Belongs here: writing one entry whole, or saying that it cannot be written. Does not belong here: what is entered
(``pipelines.page.security.access``), dropping old lines (``warehouse.retention``).
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

WAIT_SECONDS = 5.0  # a purge holds the lock while it copies the file
ASK_AGAIN_SECONDS = 0.02


class AccessLogClosed(Exception):
    """An entry cannot be written; the message is one plain sentence."""


@contextmanager
def locked(log: Path, *, alone: bool, wait_seconds: float) -> Iterator[None]:
    """Hold the lock beside the log: ``alone`` to put another file in its place, else together with other writers.

    Writers need not wait for each other: each adds its line by one write at the end. ``wait_seconds``: how long to wait
    for it. Raises OSError, TimeoutError among them.
    """
    handle = os.open(log.with_name(f"{log.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + wait_seconds
        while not _taken(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            if time.monotonic() >= until:
                raise TimeoutError
            time.sleep(ASK_AGAIN_SECONDS)
        yield
    finally:
        os.close(handle)


def _taken(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def append(log: Path, entry: Mapping[str, object]) -> None:
    """Write one entry as a line of time and JSON; the file is opened anew, because a purge puts another in its place.

    It is not forced to the disk: a machine that loses its power may lose the last ones. Raises AccessLogClosed.
    """
    try:
        with locked(log, alone=False, wait_seconds=WAIT_SECONDS):
            is_written = _write(log, entry)
        if not is_written:
            with locked(log, alone=True, wait_seconds=WAIT_SECONDS):
                _write(log, entry, after_cut=True)
    except OSError:
        raise AccessLogClosed("the access log cannot be written, so no record is shown") from None


def _write(log: Path, entry: Mapping[str, object], *, after_cut: bool = False) -> bool:
    """Write an entry; gives whether it was.

    After one that was cut short it is, on a new line, only with ``after_cut``: of several writers one may do that.
    """
    line = f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {json.dumps(entry)}\n".encode()
    handle = os.open(log, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":  # an entry that was cut short stays a line of its own
            if not after_cut:
                return False
            line = b"\n" + line
        if os.write(handle, line) != len(line):
            raise OSError("cut short")
        return True
    finally:
        os.close(handle)
