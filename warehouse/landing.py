"""The landing folder: ``landing/<clinic>/`` for files of one clinic, ``landing/`` for files that name their clinics.

Belongs here: finding files, telling which of them have settled, and entering each as a batch. Nothing is moved, changed
or deleted there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.answers import KEY_PATTERNS
from warehouse.archive import NotReadable, StillBeingWritten, is_whole, sweep
from warehouse.disk import sha256_of
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.sources import ClinicNotNamed, known_sources, register

_NANOSECONDS = 1_000_000_000
_AS_EFFECTIVE = {"effective_ids": os.access in os.supports_effective_ids}


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it lay there: its clinic folder ('' where it names its clinics) and what changes when it does.

    ``changed_ns``: the later of the times of change of content and of entry, nanoseconds since 1970.
    """

    clinic: str
    inode: int
    size: int
    changed_ns: int

    def age_seconds(self, now: float) -> float:
        """How long ago the file changed, at ``now`` (seconds since 1970); negative where a clock went back."""
        return now - self.changed_ns / _NANOSECONDS


@dataclass(frozen=True, slots=True)
class TakenIn:
    """Counts over the landing folder: new files, files whose bytes came before, files left for the next run.

    ``passed_over``: entries that are never read: links, folders that are not named as a clinic, lie deeper or may not
    be looked into, and what is no plain file. ``long_left``: of the files left, those that have not changed for longer
    than ``waiting_minutes`` of the settings.
    """

    new: int
    known: int
    left: int
    passed_over: int = 0
    long_left: int = 0


def take_in(home: Home) -> TakenIn:
    """Archive and register every settled file of the landing folder; the others are left and counted.

    Waits once, ``landing_settle_seconds`` at most, where a file changed a moment ago. Raises WarehouseBusy, NoRoom,
    WarehouseRefused where live records would meet others.
    """
    home.ensure()
    settings = home.settings()
    found, moving = _settled(home.landing, settings.landing_settle_seconds)
    new = known = 0
    left = list(moving)
    with holding(home, "take in the landing folder"):
        sweep(home.archive)
        sources = known_sources(home)
        for file, seen in found.items():
            try:
                is_new = not _came_before(home, file, seen, sources)
                if is_new:
                    _, is_new = register(home, file, clinic=seen.clinic, data_kind=settings.data_kind)
            except (ClinicNotNamed, NotReadable, StillBeingWritten):
                left.append(seen)
                continue
            new, known = new + is_new, known + (not is_new)
    longest, now = 60 * settings.automation.waiting_minutes, time.time()
    long_left = sum(abs(seen.age_seconds(now)) > longest for seen in left)
    return TakenIn(new, known, len(left), passed_over(home.landing), long_left)


def _came_before(home: Home, file: Path, seen: _Seen, sources: Mapping[tuple[str, int], set[str]]) -> bool:
    """Whether a file's bytes were registered before and the archive still holds them.

    Files stay in the landing folder, so that most of them came before: the warehouse is not opened for each.
    """
    alike = sources.get((seen.clinic, seen.size), set())
    try:
        sha256 = sha256_of(file) if alike else ""
    except OSError:
        return False  # what is wrong with it is for ``register`` to say
    return sha256 in alike and is_whole(home.archive / sha256, sha256)


def _settled(folder: Path, settle: float) -> tuple[dict[Path, _Seen], list[_Seen]]:
    """The files that nobody is writing to, in order, and those that changed while this waited."""
    now = time.time()
    files = _seen_files(folder)
    young = {file for file, seen in files.items() if seen.age_seconds(now) < settle}
    if not young:
        return files, []
    # A file dated ahead of the clock gives no age: it is looked at twice, the whole time apart.
    time.sleep(min(settle, settle - min(files[file].age_seconds(now) for file in young)))
    again = _seen_files(folder)
    moving = [again[file] for file in young if file in again and again[file] != files[file]]
    return {file: seen for file, seen in files.items() if again.get(file) == seen}, moving


def _seen_files(folder: Path) -> dict[Path, _Seen]:
    seen = {}
    for clinic, file in files_in(folder):
        try:
            status = file.lstat()
        except OSError:
            continue  # it went while this looked
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        seen[file] = _Seen(clinic, status.st_ino, status.st_size, changed)
    return seen


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
    may_look = entry.is_dir() and not entry.is_symlink() and os.access(entry, os.R_OK | os.X_OK, **_AS_EFFECTIVE)
    return may_look and re.fullmatch(KEY_PATTERNS["clinic_id"], entry.name) is not None


def _is_plain(file: Path) -> bool:
    return file.is_file() and not file.is_symlink()
