"""Watching the landing folder: which files have come to rest since the last look, at the cost of a listing.

Belongs here: telling files apart by what the file system says of them, and reading only those that are new and at
rest. Does not belong here: taking them in (``warehouse.landing``). What one look tells the next holds digests only:
no name of a file, for names hold patients' names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b, file_digest, sha256
from os import stat_result
from pathlib import Path

from warehouse.home import Home
from warehouse.landing import files_in

# A look reads at most about this much; the rest waits for the next look.
BYTES_A_LOOK = 512 * 1024 * 1024
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Look:
    """One look: digests of what settled and is new, how many files are not at rest yet, and what to give the next look.

    A digest stands for a clinic folder and the bytes of a file, as a source does (``warehouse.sources``).
    """

    settled: tuple[str, ...]
    moving: int
    memory: str


def look(home: Home, memory: str) -> Look:
    """Look at the landing folder once; ``memory`` is what the last look gave, or '' for the first.

    A file has settled when two looks in a row find it unchanged in size, time and identity. One that cannot be read
    stays among the moving ones and is tried again.
    """
    home.ensure()
    known = _remembered(memory)
    contents = set(known.values())
    files: dict[str, str] = {}
    settled: list[str] = []
    budget = BYTES_A_LOOK
    for clinic, file in files_in(home.landing):
        try:
            stat = file.stat()
            signature = _signature(file.parent.stat(), stat)
            content = known.get(signature, "")
            if signature in known and not content and budget > 0:
                budget -= stat.st_size
                content = _content(clinic, file)
        except OSError:
            continue  # gone meanwhile, or not ours to read: the next look sees
        files[signature] = content
        if content and content not in contents:
            settled.append(content)
            contents.add(content)
    moving = sum(not content for content in files.values())
    return Look(tuple(sorted(settled)), moving, json.dumps(files, separators=(",", ":")))


def _remembered(memory: str) -> dict[str, str]:
    """What the last look gave; nothing where somebody has written something else into it."""
    try:
        said = json.loads(memory) if memory else {}
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in said.items()} if isinstance(said, dict) else {}


def _signature(folder: stat_result, file: stat_result) -> str:
    facts = (folder.st_ino, file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
    return blake2b(repr(facts).encode(), digest_size=_DIGITS // 2).hexdigest()


def _content(clinic: str, file: Path) -> str:
    with file.open("rb") as opened:
        return sha256(f"{clinic}\0{file_digest(opened, 'sha256').hexdigest()}".encode()).hexdigest()[:_DIGITS]
