"""The files of a published snapshot on the disk: their hashes, whether they are whole, linking and settling them.

Belongs here: bytes. Does not belong here: what the files hold (``warehouse.clinic_files``), the order in which a
snapshot is made (``warehouse.snapshots``). Light: reading commands import it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from warehouse.disk import sha256_of, sync


def facts_of(file: Path) -> dict[str, Any]:
    """What a manifest says of a file: ``sha256`` and ``bytes``."""
    return {"sha256": sha256_of(file), "bytes": file.stat().st_size}


def is_whole(file: Path, facts: Mapping[str, Any]) -> bool:
    """Whether the file is there with the size and the hash that its manifest says; the size is looked at first."""
    try:
        return file.stat().st_size == facts["bytes"] and sha256_of(file) == facts["sha256"]
    except OSError:
        return False


def files_of(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and facts of every file that a manifest names."""
    for entry in manifest["clinics"].values():
        yield from entry["files"].items()
    yield from manifest["group"].items()


def damaged(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Names of the files of a snapshot that are gone or changed. Reads every byte of it."""
    return [name for name, facts in files_of(manifest) if not is_whole(folder / name, facts)]


def link_or_copy(source: Path, target: Path) -> None:
    """Give ``target`` the content of ``source``, as another name of the same file where the file system can."""
    try:
        os.link(source, target)
    except OSError as error:
        # some file systems cannot link, or not as often
        if error.errno not in (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EXDEV, errno.ENOSYS):
            raise
        shutil.copyfile(source, target)
        settle(target)


def settle(file: Path) -> None:
    """A finished file: on the disk, and nobody's to write."""
    file.chmod(0o400)
    sync(file)
