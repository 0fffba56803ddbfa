"""The content of a file as it was before it was packed: gzip is peeled off, within limits.

Belongs here: gzip and the limits on size. Does not belong here: archives of several files (refused by
``warehouse.formats.recognise``), what the content is.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from schemas.file_limits import file_limits
from schemas.problems import FileRefused

GZIP = b"\x1f\x8b"
PIECE_BYTES = 1 << 20  # the ratio of smaller contents is not looked at: they can fill no disk


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """The content of the file, seekable and at 0: the file itself, or what it holds if it is a gzip file.

    What a gzip file holds is written to a nameless file in the same folder, of which nothing is left when the process
    ends, however it ends. Raises FileRefused (too_large, packed_too_tightly, packed_twice, broken_file).
    """
    with path.open("rb") as file:
        packed_bytes = os.fstat(file.fileno()).st_size
        if packed_bytes > file_limits()["file_bytes"]:
            raise FileRefused("too_large")
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        with _nameless(path.parent) as content:
            _gunzip(file, content, packed_bytes)
            yield cast(BinaryIO, content)


@contextmanager
def rewritten(pieces: Iterator[bytes], folder: Path) -> Iterator[BinaryIO]:
    """The same bytes as one seekable nameless file at 0."""
    with _nameless(folder) as content:
        for piece in pieces:
            content.write(piece)
        content.seek(0)
        yield cast(BinaryIO, content)


def _nameless(folder: Path) -> IO[bytes]:
    if os.access(folder, os.W_OK):
        return tempfile.TemporaryFile(dir=folder)
    return tempfile.TemporaryFile()


def _gunzip(file: BinaryIO, content: IO[bytes], packed_bytes: int) -> None:
    limits = file_limits()
    written = 0
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            while piece := stream.read(PIECE_BYTES):
                if not written and piece.startswith(GZIP):
                    raise FileRefused("packed_twice")
                written += len(piece)
                if written > limits["file_bytes"]:
                    raise FileRefused("too_large")
                if written > max(PIECE_BYTES, limits["compression_ratio"] * packed_bytes):
                    raise FileRefused("packed_too_tightly")
                content.write(piece)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise FileRefused("broken_file") from None
    content.seek(0)
