"""The archive: the bytes of every file taken in, once each, under the name of their SHA-256.

Belongs here: copying a file in without touching the original. Does not belong here: reading what it says.
A file's own name may hold a patient's name, so it appears in no path, message or log.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 20


class StillBeingWritten(Exception):
    """The file changed while it was copied; it is left for the next run."""


class NotReadable(Exception):
    """The file is not there, is no plain file, or cannot be opened."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A file in the archive: SHA-256 (hex) of its bytes and their number."""

    sha256: str
    size_bytes: int


def put(source: Path, archive: Path) -> Archived:
    """Copy ``source`` into the folder ``archive`` and give its hash; the same bytes twice are kept once.

    Raises StillBeingWritten if size or time of change differ before and after, NotReadable if it cannot be opened.
    Symbolic links are not followed.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise NotReadable("the file cannot be opened for reading") from None
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        os.close(descriptor)
        raise NotReadable("it is not a plain file")
    with os.fdopen(descriptor, "rb") as file:
        sha256 = _copy(file, before, archive)
    return Archived(sha256, before.st_size)


def _copy(file: BinaryIO, before: os.stat_result, archive: Path) -> str:
    with tempfile.NamedTemporaryFile(dir=archive, prefix="incoming-", delete=False) as copy:
        kept = Path(copy.name)
        try:
            digest, copied = hashlib.sha256(), 0
            # Bounded by the size at the start: a file that keeps growing must not keep us reading.
            while copied <= before.st_size and (block := file.read(BLOCK_BYTES)):
                digest.update(block)
                copy.write(block)
                copied += len(block)
            copy.flush()
            os.fsync(copy.fileno())
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise StillBeingWritten("the file is still being written")
            kept.chmod(0o400)
            kept.replace(archive / digest.hexdigest())
        finally:
            kept.unlink(missing_ok=True)
    return digest.hexdigest()


def sweep(archive: Path) -> None:
    """Remove copies that a killed run left half done."""
    for half in archive.glob("incoming-*"):
        half.unlink(missing_ok=True)
