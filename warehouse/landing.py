"""The landing folder: ``landing/<clinic>/`` for files of one clinic, ``landing/`` for files that name their clinics.

Belongs here: finding files and entering each as a batch. Nothing is moved, changed or deleted there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.answers import KEY_PATTERNS
from warehouse.archive import NotReadable, StillBeingWritten, sweep
from warehouse.home import Home
from warehouse.sources import ClinicNotNamed, register


@dataclass(frozen=True, slots=True)
class TakenIn:
    """Counts over the landing folder: new files, files whose bytes came before, files left for the next run."""

    new: int
    known: int
    left: int


def take_in(home: Home) -> TakenIn:
    """Archive and register every file of the landing folder; files that cannot be read yet are left and counted."""
    home.ensure()
    sweep(home.archive)
    new = known = left = 0
    for clinic, file in files_in(home.landing):
        try:
            _, is_new = register(home, file, clinic=clinic, data_kind=home.settings().data_kind)
        except (ClinicNotNamed, NotReadable, StillBeingWritten):
            left += 1
            continue
        new, known = new + is_new, known + (not is_new)
    return TakenIn(new, known, left)


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Clinic ('' where unnamed) and path of every plain file in ``folder`` and in its sub-folders named as clinics."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and re.match(KEY_PATTERNS["clinic_id"], entry.name):
            yield from ((entry.name, file) for file in sorted(entry.iterdir()) if _is_plain(file))
        elif _is_plain(entry):
            yield "", entry


def _is_plain(file: Path) -> bool:
    return file.is_file() and not file.is_symlink() and not file.name.startswith(".")
