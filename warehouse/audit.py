"""The audit: every change of the warehouse, append-only, each entry chained to the one before by its hash.

Belongs here: entering a change inside the transaction that makes it, and verifying the chain. Does not belong here:
what a change is about (the tables that it changes say that). An entry holds no identity of a patient: who did it,
what, when, versions and counts. Whoever can write the warehouse could write the whole chain anew; that is why each
snapshot's manifest carries the head of the chain, which copies of the snapshots then hold against it.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

import duckdb

Event = Literal[
    "arrival",
    "refused",
    "replay",
    "dismissal",
    "promote",
    "rollback",
    "suspend",
    "resume",
    "shadow",
    "withdrawal",
    "publication",
    "override",
    "purge",
    "restore",
]
BEGINNING = "0" * 64  # stands for the entry before the first
# After these a published table may lack something. A change of model is asked for by itself (warehouse.model_history).
_NEWS: tuple[Event, ...] = ("arrival", "refused", "replay", "dismissal", "withdrawal", "restore")
_COLUMNS = (
    "entry_number, happened_at, event, subject, by_name, second_name, reason, versions, counts, previous_hash, "
    "entry_hash"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change: ``subject`` is the batch, model version, snapshot or number of a withdrawal that it is about.

    ``happened_at``: ISO 8601, UTC. ``versions`` and ``counts``: JSON with sorted keys. ``previous_hash`` and
    ``entry_hash``: SHA-256, hex.
    """

    entry_number: int
    happened_at: str
    event: str
    subject: str
    by_name: str
    second_name: str | None
    reason: str
    versions: str
    counts: str
    previous_hash: str
    entry_hash: str

    @property
    def hash_of_content(self) -> str:
        """What ``entry_hash`` has to be: over everything else that the entry says."""
        said = {name: value for name, value in asdict(self).items() if name != "entry_hash"}
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of the chain: its number (0 where there is none) and hash."""

    entries: int
    hash: str


def account() -> str:
    """Who does what nobody put a name to: the operating system's account."""
    try:
        return f"account {getpass.getuser()}"
    except (KeyError, OSError):
        return f"account {os.getuid()}"


def enter(
    connection: duckdb.DuckDBPyConnection,
    event: Event,
    *,
    subject: str,
    by: str | None = None,
    second: str | None = None,
    reason: str = "",
    versions: Mapping[str, str] | None = None,
    counts: Mapping[str, int] | None = None,
) -> Head:
    """Append one entry; it is kept if the transaction of ``connection`` is. Gives the new head.

    ``by``: who did it, by default this account. Nothing of it may name a patient, a record or a file.
    """
    before = head(connection)
    unhashed = Entry(
        entry_number=before.entries + 1,
        happened_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        event=event,
        subject=subject,
        by_name=by or account(),
        second_name=second,
        reason=reason,
        versions=json.dumps(dict(versions or {}), sort_keys=True),
        counts=json.dumps(dict(counts or {}), sort_keys=True),
        previous_hash=before.hash,
        entry_hash="",
    )
    row = asdict(unhashed) | {"entry_hash": unhashed.hash_of_content}
    marks = ", ".join(f"${name}" for name in row)
    connection.execute(f"INSERT INTO audit ({_COLUMNS}) VALUES ({marks})", row)
    return Head(unhashed.entry_number, row["entry_hash"])


def head(connection: duckdb.DuckDBPyConnection) -> Head:
    """The last entry of the chain."""
    row = connection.execute("SELECT entry_number, entry_hash FROM audit ORDER BY entry_number DESC LIMIT 1").fetchone()
    return Head(*row) if row else Head(0, BEGINNING)


def news_since(connection: duckdb.DuckDBPyConnection, held: int) -> list[str]:
    """Which events after entry ``held`` changed what a table would show, without repetition, in order of the alphabet.

    Numbers are compared and not times: a clock may go back.
    """
    rows = connection.execute(
        "SELECT DISTINCT event FROM audit WHERE entry_number > $held AND list_contains($news, event) ORDER BY event",
        {"held": held, "news": list(_NEWS)},
    ).fetchall()
    return [event for (event,) in rows]


def entries(connection: duckdb.DuckDBPyConnection, after: int = 0) -> Iterator[Entry]:
    """Every entry with a number above ``after``, oldest first."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM audit WHERE entry_number > ? ORDER BY entry_number", [after])
    names = [name for name, *_ in found.description or []]
    while rows := found.fetchmany(1000):
        for row in rows:
            yield Entry(**dict(zip(names, row, strict=True)))


def last_entries(connection: duckdb.DuckDBPyConnection, number: int | None) -> list[Entry]:
    """The last ``number`` entries, or all, oldest first."""
    return list(entries(connection, after=0 if number is None else max(0, head(connection).entries - number)))


def first_broken(connection: duckdb.DuckDBPyConnection, anchors: Mapping[int, str]) -> int | None:
    """Number of the first entry that is missing, changed or out of its place; None where the chain is whole.

    ``anchors``: hashes that entries of these numbers had when a snapshot was published.
    """
    previous, expected = BEGINNING, 1
    for entry in entries(connection):
        chained = entry.entry_number == expected and entry.previous_hash == previous
        anchored = anchors.get(entry.entry_number, entry.entry_hash) == entry.entry_hash
        if not chained or not anchored or entry.entry_hash != entry.hash_of_content:
            return expected
        previous, expected = entry.entry_hash, expected + 1
    return expected if any(number >= expected for number in anchors) else None
