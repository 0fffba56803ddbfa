"""Reading a published snapshot: which one is current, how old it is, and a connection that can only read it.

Belongs here: the pointer, the manifest's facts, and the hardened connection. Readers never take the warehouse lock
and never open the warehouse, so they block nobody and nobody blocks them. Does not belong here: making a snapshot
(``warehouse.snapshots``), showing it (``pipelines.commands``).

This module stays light: every read command imports it (no polars, no pyarrow, no dagster).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from schemas.added_tables import ADDED_TABLES
from schemas.tiers import tiers
from warehouse.damage import is_damage
from warehouse.home import Home
from warehouse.snapshot_files import is_whole

FORMAT = 1
POINTER = "current"
CLOCKS_DIFFER = timedelta(minutes=5)  # clocks of two machines, or of one that was set
DAMAGED = "the current snapshot is damaged and cannot be read: hiptriage run publishes a new one"
TOO_LARGE = "the statement needs more memory than a reader gets: ask for less at once"
UNASSIGNED = "_unassigned"  # forms that could not be read and name no clinic; no clinic id may start with this sign
TABLES = (
    "referrals",
    "unread_forms",
    "referral_history",
    "lineage",
    "publication",
    "conditions",
    "form",
    *ADDED_TABLES,
)
_SAME_EVERYWHERE = ("conditions", "form", "rules", "advice")  # in the file of every clinic alike
_ID = re.compile(r"[0-9]{8}T[0-9]{12}Z-[0-9a-f]{6}")
_LIMITS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "1GB",
    "threads": 2,
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}


class SnapshotMissing(Exception):
    """There is no snapshot that can be read; the message is one plain sentence."""


class ClinicUnknown(Exception):
    """The snapshot holds no such clinic; the message names those it holds."""


class QueryRefused(Exception):
    """A query that cannot be answered; the message is one plain sentence and quotes no row."""


@dataclass(frozen=True)
class Snapshot:
    """One snapshot, resolved once: its folder and what its manifest says.

    ``stale``: older than the hours that the settings allow, at the moment it was resolved.
    """

    id: str
    path: Path
    published_at: datetime
    stale: bool
    manifest: Mapping[str, Any]

    @property
    def clinics(self) -> tuple[str, ...]:
        """The clinics it holds, in order."""
        return tuple(clinic for clinic in self.manifest["clinics"] if clinic != UNASSIGNED)

    @property
    def banner(self) -> str | None:
        """A sentence that stands above everything else, or None."""
        return self.manifest["banner"] or None

    @property
    def training(self) -> str:
        """One sentence on what trained the model behind this snapshot."""
        return str(self.manifest["training"])

    @property
    def evidence_basis(self) -> str:
        """``literature`` or ``literature+outcomes(n)``."""
        return str(self.manifest["evidence_basis"])

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of code, model, catalogue, rules and contract by name."""
        return dict(self.manifest["versions"])

    def unread(self, clinic: str | None = None) -> tuple[int, int]:
        """Forms that could not be read, and how many of them hold an emergency answer; of one clinic or of all."""
        counts = [
            (of["unread"], of["unread_emergency"])
            for name, of in self.manifest["clinics"].items()
            if clinic in (None, name)
        ]
        return sum(unread for unread, _ in counts), sum(emergency for _, emergency in counts)

    def refused_files(self, clinic: str | None = None) -> int:
        """Files of which nothing could be read, of one clinic or of all: nobody knows how many forms are in them."""
        entries = self.manifest["clinics"].items()
        return sum(of.get("refused_files", 0) for name, of in entries if clinic in (None, name))

    def kept(self, clinic: str | None = None) -> int:
        """How many referrals keep an earlier, more urgent tier because nobody let the lower one pass."""
        return sum(of.get("kept", 0) for name, of in self.manifest["clinics"].items() if clinic in (None, name))

    def data_kinds(self, clinic: str | None = None) -> tuple[str, ...]:
        """Which kinds of records it holds (live, sample, published_case), of one clinic or of all."""
        named = [of["data_kinds"] for name, of in self.manifest["clinics"].items() if clinic in (None, name)]
        return tuple(sorted({kind for kinds in named for kind in kinds}))

    @cached_property
    def files(self) -> dict[str, Path]:
        """The DuckDB file of each clinic, and of the forms that name none."""
        return {clinic: self.path / f"{clinic}.duckdb" for clinic in self.manifest["clinics"]}


def current_snapshot(home: Home, *, now: datetime | None = None) -> Snapshot:
    """The snapshot that the pointer names. Raises SnapshotMissing if there is none, SettingsRefused.

    ``now``: the time to judge staleness by (UTC), the present one if not given.
    """
    named = named_by_pointer(home)
    if not named:
        raise SnapshotMissing("nothing has been published yet: take in a file first with hiptriage run FILE")
    if not _ID.fullmatch(named):
        raise SnapshotMissing("the pointer to the current snapshot cannot be read: publish again with hiptriage run")
    manifest = read_manifest(home.snapshots / named)
    published_at = datetime.fromisoformat(manifest["published_at"])
    limit = timedelta(hours=home.settings().stale_hours)
    age = (now or datetime.now(UTC)) - published_at
    # One from the future was published before the clock went back: nobody knows how old it is.
    return Snapshot(named, home.snapshots / named, published_at, not -CLOCKS_DIFFER < age <= limit, manifest)


def named_by_pointer(home: Home) -> str:
    """What the pointer to the current snapshot says, '' where there is none that can be read."""
    try:
        return (home.snapshots / POINTER).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a snapshot folder. Raises SnapshotMissing where it is gone, damaged or of a newer format."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise SnapshotMissing(DAMAGED) from None
    if not isinstance(manifest, dict) or not manifest.keys() >= {"format", "published_at", "clinics", "group"}:
        raise SnapshotMissing(DAMAGED)
    if manifest["format"] != FORMAT:
        raise SnapshotMissing("the current snapshot was written by another version of hiptriage: update the program")
    return manifest


def worklist_view() -> str:
    """The SQL that makes the view ``worklist`` over a table or view ``referrals``."""
    order = ", ".join(f"'{tier}'" for tier in tiers())
    sql = resources.files("warehouse").joinpath("worklist.sql").read_text("utf-8")
    return sql.replace("{tier_order}", f"[{order}]")


@contextmanager
def connect(
    snapshot: Snapshot, clinic: str | Collection[str] | None = None, *, every_byte: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection over the tables of one clinic, of several or of all (None) as one; it reads the snapshot alone.

    Views: those of TABLES, and worklist. No file outside the attached ones can be read or written, nothing can be
    installed or set, and answers that do not fit into memory fail instead of lying on the disk. ``every_byte``: files
    are compared with their hashes first, for whoever passes rows on while they are read. Raises ClinicUnknown, and
    SnapshotMissing where a file is damaged, also while it is read.
    """
    with damage_told():
        connection = connected(snapshot, clinic, every_byte=every_byte)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def damage_told() -> Iterator[None]:
    """Around reading a snapshot: what DuckDB says of a damaged file becomes SnapshotMissing."""
    try:
        yield
    except duckdb.Error as error:
        if not is_damage(error):
            raise
        raise SnapshotMissing(DAMAGED) from None


def connected(
    snapshot: Snapshot, clinic: str | Collection[str] | None = None, *, every_byte: bool = False
) -> duckdb.DuckDBPyConnection:
    """The connection of ``connect``, for whoever closes it. Use inside ``damage_told``; raises what that does."""
    asked = snapshot.files if clinic is None else [clinic] if isinstance(clinic, str) else clinic
    chosen = {name: file for name, file in snapshot.files.items() if name in asked}
    if not chosen or len(chosen) < len(set(asked)):
        known = ", ".join(snapshot.clinics) or "none"
        raise ClinicUnknown(f"this installation has no such clinic; it has: {known}")
    for name, file in chosen.items():
        if not _is_whole(snapshot, name, file, every_byte):
            raise SnapshotMissing(DAMAGED)
    connection = duckdb.connect(":memory:", config=_LIMITS)
    try:
        connection.execute("SET GLOBAL TimeZone = 'UTC'")  # global: also for the cursors of this connection
        connection.execute("SET enable_progress_bar = false")
        for name, file in chosen.items():
            path = str(file).replace("'", "''")
            connection.execute(f"ATTACH '{path}' AS \"clinic {name}\" (READ_ONLY)")
        for table in TABLES:
            parts = " UNION ALL BY NAME ".join(_rows(snapshot, name, table) for name in chosen)
            distinct = "SELECT DISTINCT * FROM" if table in _SAME_EVERYWHERE and len(chosen) > 1 else "FROM"
            connection.execute(f"CREATE VIEW {table} AS {distinct} ({parts})")
        connection.execute(worklist_view())
        # The attached files stay readable; nothing else is. The order matters: the lock comes last.
        connection.execute("SET temp_directory = ''")
        connection.execute("SET allowed_directories = []")
        connection.execute("SET allow_persistent_secrets = false")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def _rows(snapshot: Snapshot, clinic: str, table: str) -> str:
    """A clinic's rows of a table; none where the snapshot was made before there was such a table."""
    if table in snapshot.manifest["clinics"][clinic]["rows"] or table not in ADDED_TABLES:
        return f'SELECT * FROM "clinic {clinic}".{table}'
    columns = ", ".join(f"NULL::{kind} AS {column}" for column, kind in ADDED_TABLES[table].items())
    return f"SELECT {columns} WHERE false"


def _is_whole(snapshot: Snapshot, clinic: str, file: Path, every_byte: bool) -> bool:
    facts = snapshot.manifest["clinics"][clinic]["files"][file.name]
    if every_byte:
        return is_whole(file, facts)
    return file.is_file() and file.stat().st_size == facts["bytes"]


@contextmanager
def answering() -> Iterator[None]:
    """Around running a query and fetching its rows: DuckDB's errors become QueryRefused.

    What is wrong with the statement itself is told in DuckDB's words, which quote the statement only; an error over
    rows is told by its kind alone, because DuckDB quotes the value.
    """
    try:
        yield
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as wrong:
        refused = f"the statement cannot be run: {_first_line(wrong)}"
    except duckdb.PermissionException:
        refused = "the statement cannot be run: only the current snapshot can be read"
    except duckdb.OutOfMemoryException:
        refused = TOO_LARGE
    except duckdb.Error as wrong:
        if is_damage(wrong):
            raise SnapshotMissing(DAMAGED) from None
        refused = f"the statement cannot be run ({type(wrong).__name__})"
    else:
        return
    raise QueryRefused(refused)


def _first_line(wrong: duckdb.Error) -> str:
    kind, _, message = str(wrong).partition(": ")
    return (message or kind).strip().split("\n")[0]
