"""Two things done with files wherever they lie: the hash of one, and waiting until it is on the disk.

Belongs here: what knows nothing of what a file holds. Light: reading commands import it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, hex. Raises OSError."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
