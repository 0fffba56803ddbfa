"""Changed files of knowledge that stand in place of the release's own, for scores that are compared and not published.

Belongs here: which files may be changed that way, reading them from a folder, putting them over the release's. Does not
belong here: what the files mean (their loaders check them as strictly as the release's own), where they are kept
(``warehouse.shadow``), what is done with scores by them (``pipelines.changes.shadow``).

Rules, catalogue and advice may be changed. The form's bins, the written costs and the generator's figures may not: the
program takes them from one place, and a model rests on them. A condition cannot be added or left out: no model knows
it. To take a rule away, give its file without it. What a clinician wants to keep becomes a release of the program.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from models.knowledge_files import KNOWLEDGE, KnowledgeError, condition_ids

# (path below the knowledge folder, content), sorted by path: may be the key of a cache
KnowledgeChanges = tuple[tuple[str, bytes], ...]
NO_CHANGES: KnowledgeChanges = ()

_FOLDERS = ("rules", "conditions", "contributing_factors")
_FILES = ("advice.yaml", "articles.yaml", "comorbid_pairs.yaml", "safety_net.yaml", "sources.yaml")
LARGEST_FILE = 2_000_000  # bytes; the release's largest has a tenth of that


def read_changes(folder: Path) -> KnowledgeChanges:
    """The files of ``folder``, a whole or partial copy of the knowledge, that differ from the release's own.

    Raises ``KnowledgeError`` where the folder is missing, holds anything that may not be changed, a file that is too
    large or no plain file, or nothing that differs.
    """
    if not folder.is_dir():
        raise KnowledgeError("the folder of changed knowledge is missing")
    changed: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_FILE:
            raise KnowledgeError(f"{name}: not a plain file of at most {LARGEST_FILE:,} bytes")
        content = path.read_bytes()
        if not _as_released(name, content):
            changed[name] = content
    _check(changed)
    if not changed:
        raise KnowledgeError("the folder of changed knowledge says what this release says")
    return tuple(sorted(changed.items()))


def _as_released(name: str, content: bytes) -> bool:
    own = KNOWLEDGE / name
    return own.is_file() and own.read_bytes() == content


def _check(names: Iterable[str]) -> None:
    for name in names:
        path = PurePosixPath(name)
        in_folder = len(path.parts) == 2 and path.parts[0] in _FOLDERS and path.suffix == ".yaml"
        if not in_folder and name not in _FILES:
            raise KnowledgeError(f"{name}: only rules, catalogue and advice may be changed")
        if path.parts[0] == "conditions" and path.stem not in condition_ids():
            raise KnowledgeError(f"{name}: a new condition needs a new model, and with it a release")


@contextmanager
def whole_knowledge(changed: KnowledgeChanges) -> Iterator[Path]:
    """A folder with all knowledge: that of this release, and ``changed`` in place of its files.

    Gone afterwards where anything was changed: what is loaded from it is kept in memory. Raises ``KnowledgeError`` for
    a file that may not be changed.
    """
    if not changed:
        yield KNOWLEDGE
        return
    _check(name for name, _ in changed)
    with tempfile.TemporaryDirectory(prefix="hiptriage-") as made:
        folder = Path(made, "knowledge")
        shutil.copytree(KNOWLEDGE, folder)
        for name, content in changed:
            (folder / name).write_bytes(content)
        yield folder
