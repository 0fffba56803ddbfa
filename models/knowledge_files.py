"""Reading knowledge files: strict YAML, digests, and the ids of the catalogue.

Belongs here: what every loader of a knowledge file needs. Does not belong here: what a file means (each loader's
own module), and the catalogue's content (``models.catalogue``); only its file names are looked at, because the
rules and the advice have to name conditions that exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import yaml

KNOWLEDGE = Path(__file__).with_name("knowledge")

# One file of the catalogue holds about 300 figures: libyaml reads them several times faster than PyYAML alone.
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class KnowledgeError(ValueError):
    """A knowledge file that does not hold together; the message names the file and the entry."""


class _StrictLoader(_BASE):  # type: ignore[misc]
    """A safe YAML loader that refuses a key written twice, which YAML itself would silently overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping as the safe loader does, after checking that its keys differ."""
        keys = [str(key.value) for key, _ in node.value]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} stands twice", node.start_mark)
        return dict(super().construct_mapping(node, deep=deep))


def read_yaml(path: Path) -> Any:
    """The content of one YAML file. Raises ``KnowledgeError`` naming the file if it cannot be read or is not valid."""
    try:
        return parse_yaml(path.name, path.read_bytes())
    except OSError as error:
        raise KnowledgeError(f"{path.name}: the file cannot be read ({error.strerror})") from error


def parse_yaml(name: str, content: bytes) -> Any:
    """What the YAML of the file ``name`` says. Raises ``KnowledgeError`` naming it if it is not valid."""
    try:
        return yaml.load(content, Loader=_StrictLoader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{name}: not valid YAML: {error}") from error


def digest_of(paths: Iterable[Path]) -> str:
    """SHA-256 (first 12 hex signs) over the names and bytes of ``paths``, in order of their names."""
    total = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:12]


_NOT_IN_A_SCORE = (
    "worlds.yaml",
    "promotion_gates.yaml",
    "condition_groups.yaml",
    "outcome_learning.yaml",
    "monitoring_limits.yaml",
    "publish_limits.yaml",
)


@cache
def catalogue_version() -> str:
    """The version that scores carry for the catalogue of this release: ``knowledge_version`` of its folder."""
    return knowledge_version(KNOWLEDGE)


def knowledge_version(folder: Path) -> str:
    """A digest of every file of the knowledge in ``folder`` but the rules, and of the tiers.

    Rules have a version of their own; what only judges or teaches models reaches no score directly.
    """
    apart = {folder / name for name in _NOT_IN_A_SCORE} | set((folder / "rules").glob("*"))
    files = [path for path in folder.rglob("*.yaml") if path not in apart]
    return digest_of([*files, KNOWLEDGE.parent.parent / "schemas" / "tiers.csv"])


@cache
def condition_ids() -> frozenset[str]:
    """The ids of the catalogue's conditions: the names of their files."""
    return frozenset(path.stem for path in (KNOWLEDGE / "conditions").glob("*.yaml"))


@cache
def factor_ids() -> frozenset[str]:
    """The ids of the catalogue's contributing factors: the names of their files."""
    return frozenset(path.stem for path in (KNOWLEDGE / "contributing_factors").glob("*.yaml"))


def lists_of(
    marks: np.ndarray, names: Iterable[str], at: np.ndarray | None = None, height: int | None = None
) -> pl.Series:
    """For each row of the boolean matrix ``marks`` (m x len(names)) the list of names whose mark is true, in order.

    Gives a ``List(String)`` series with empty lists, never nulls, without a loop over the rows. With ``at`` (m row
    numbers, rising) and ``height`` the lists stand at those rows of a longer series; else it is as long as ``marks``.
    """
    rows, columns = np.nonzero(marks)
    counts = np.bincount(rows if at is None else at[rows], minlength=marks.shape[0] if height is None else height)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    values = pa.array(list(names), pa.large_string()).take(pa.array(columns))
    return pl.Series(pa.LargeListArray.from_arrays(pa.array(offsets), values), dtype=pl.List(pl.String))
