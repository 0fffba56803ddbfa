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
    """Counts over the landing folder: new files, files whose bytes came before, files left for the next run.

    ``passed_over``: entries that are never read: links, folders that are not named as a clinic or lie deeper, and what
    is no plain file.
    """

    new: int
    known: int
    left: int
    passed_over: int = 0


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
    return TakenIn(new, known, left, passed_over(home.landing))


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Clinic ('' where unnamed) and path of every plain file in ``folder`` and in its sub-folders named as clinics."""
    for entry in _seen(folder):
        if _is_clinic(entry):
            yield from ((entry.name, file) for file in _seen(entry) if _is_plain(file))
        elif _is_plain(entry):
            yield "", entry


def passed_over(folder: Path) -> int:
    """How many entries ``files_in`` gives no file for, and never will."""
    top = [entry for entry in _seen(folder) if not _is_clinic(entry)]
    inside = [file for entry in _seen(folder) if _is_clinic(entry) for file in _seen(entry)]
    return sum(not _is_plain(entry) for entry in (*top, *inside))


def _seen(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _is_clinic(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink() and re.fullmatch(KEY_PATTERNS["clinic_id"], entry.name) is not None


def _is_plain(file: Path) -> bool:
    return file.is_file() and not file.is_symlink()
