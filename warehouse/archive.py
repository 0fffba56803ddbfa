"""The archive: the bytes of every file taken in, once each, under the name of their SHA-256.

Belongs here: copying a file in without touching the original. Does not belong here: reading what it says.
A file's own name may hold a patient's name, so it appears in no path, message or log.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from warehouse.disk import sha256_of
from warehouse.faults import wants_room
from warehouse.store import NoRoom

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
    """Copy ``source`` into the folder ``archive`` and give its hash; bytes that are there already are not written.

    Raises StillBeingWritten if size or time of change differ before and after, NotReadable if it cannot be opened or
    read, NoRoom if the disk is full. Symbolic links are not followed.
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
        digest = hashlib.sha256()
        for block in _blocks(file, before):
            digest.update(block)
        # What a landing folder holds is looked at again and again: only what is new is written.
        if is_whole(archive / digest.hexdigest(), digest.hexdigest()):
            _unchanged(file, before)
            return Archived(digest.hexdigest(), before.st_size)
        file.seek(0)
        try:
            return Archived(_copy(file, before, archive), before.st_size)
        except OSError as error:
            if wants_room(error):
                raise NoRoom("keep a copy of a file") from None
            raise


def is_whole(file: Path, sha256: str) -> bool:
    """Whether an archived file is there, can be read and still holds the bytes of its name."""
    try:
        return sha256_of(file) == sha256
    except OSError:
        return False


def _copy(file: BinaryIO, before: os.stat_result, archive: Path) -> str:
    with tempfile.NamedTemporaryFile(dir=archive, prefix="incoming-", delete=False) as copy:
        kept = Path(copy.name)
        try:
            digest = hashlib.sha256()
            for block in _blocks(file, before):
                digest.update(block)
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
            _unchanged(file, before)
            kept.chmod(0o400)
            kept.replace(archive / digest.hexdigest())
        finally:
            kept.unlink(missing_ok=True)
    return digest.hexdigest()


def _blocks(file: BinaryIO, before: os.stat_result) -> Iterator[bytes]:
    """The content, bounded by the size at the start: a file that keeps growing must not keep us reading."""
    read = 0
    try:
        while read <= before.st_size and (block := file.read(BLOCK_BYTES)):
            read += len(block)
            yield block
    except OSError:
        raise NotReadable("the file cannot be read to its end") from None


def _unchanged(file: BinaryIO, before: os.stat_result) -> None:
    after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise StillBeingWritten("the file is still being written")


def sweep(archive: Path) -> None:
    """Remove copies that a killed run left half done."""
    for half in archive.glob("incoming-*"):
        half.unlink(missing_ok=True)
