"""Connections to the current snapshot that a server keeps open, so that no request pays for opening its files.

Belongs here: opening once for all requests over the same clinics, closing when a newer snapshot is current, and the
places of the worklist, worked out once until the next row becomes overdue. Does not belong here: which snapshot is
current and what a connection may do (``warehouse.snapshot_reading``).

Whoever asks brings the snapshot that the pointer named for that request. One that is not current any more is opened for
that request alone: an erasure removes old snapshots, and nothing may keep their files open.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import duckdb

from warehouse.home import Home
from warehouse.snapshot_reading import Snapshot, connected, damage_told, named_by_pointer

KEPT_OPEN = 8  # sets of clinics; each has the memory limit of a reader
_BEFORE_ANY, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass
class _Open:
    """One open connection. ``users``: requests that read through it now. ``places_until``: when the next row becomes
    overdue, once places are worked out. ``has_likely``: whether the table ``likely`` is there."""

    connection: duckdb.DuckDBPyConnection
    users: int = 0
    is_outdated: bool = False
    places_until: datetime = _BEFORE_ANY
    times_worked_out: int = 0
    has_likely: bool = False
    working: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[str, Any] = field(default_factory=dict)
    kept_of_places: dict[int, dict[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What one request reads through: a cursor in a transaction of its own, so that all it asks agrees.

    ``kept``: what requests leave for the next ones over the same snapshot and clinics, of rows that never change.
    ``kept_of_places``: the same of the table ``place`` as this request sees it. Both go with the connection.
    """

    cursor: duckdb.DuckDBPyConnection
    kept: dict[str, Any]
    kept_of_places: dict[Any, Any]


class OpenSnapshots:
    """The connections of one server. Safe to use from many threads."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._opening: dict[tuple[str, ...], threading.Lock] = {}
        self._current = ""
        self._open: dict[tuple[str, ...], _Open] = {}

    @contextmanager
    def reading(
        self, snapshot: Snapshot, clinics: tuple[str, ...], *, places: datetime | None = None, likely: bool = False
    ) -> Iterator[Reading]:
        """Read these clinics' tables as one.

        ``places``: with the table ``place`` as it is at that time (UTC). ``likely``: with the table of that name too.
        Raises ClinicUnknown, SnapshotMissing as ``warehouse.snapshot_reading.connect`` does.
        """
        with damage_told():
            opened = self._taken(snapshot, clinics)
            try:
                if places:
                    _work_out_places(opened, places)
                if likely:
                    _work_out_likely(opened)
                cursor = opened.connection.cursor()
                try:
                    cursor.execute("BEGIN TRANSACTION")
                    yield Reading(cursor, opened.kept, _kept_of_places(opened, cursor) if places else {})
                finally:
                    cursor.close()
            finally:
                self._given_back(opened)

    def close_outdated(self) -> None:
        """Close what is not current any more, for a server that nobody asks."""
        current = named_by_pointer(self._home)
        with self._lock:
            self._turn_to(current)

    def close(self) -> None:
        """Close everything; what is being read through closes when its request ends."""
        with self._lock:
            self._turn_to("")

    def _taken(self, snapshot: Snapshot, clinics: tuple[str, ...]) -> _Open:
        if snapshot.id != self._current:
            current = named_by_pointer(self._home)
            with self._lock:
                self._turn_to(current)
        with self._lock:
            opening = self._opening.setdefault(clinics, threading.Lock())
        with opening:  # of many requests that come at once, one opens
            with self._lock:
                found = self._open.get(clinics) if snapshot.id == self._current else None
                if found:
                    found.users += 1
                    return found
            new = _Open(connected(snapshot, clinics), users=1, is_outdated=True)
            with self._lock:
                if snapshot.id == self._current:
                    new.is_outdated = False
                    self._open[clinics] = new
                    self._outdate(len(self._open) - KEPT_OPEN)
            return new

    def _given_back(self, opened: _Open) -> None:
        with self._lock:
            opened.users -= 1
            is_over = opened.is_outdated and opened.users == 0
        if is_over:
            opened.connection.close()

    def _turn_to(self, current: str) -> None:
        """Under the lock: from now on this snapshot is the current one."""
        if current != self._current:
            self._current = current
            self._outdate(len(self._open))

    def _outdate(self, count: int) -> None:
        """Under the lock: give up the ``count`` longest open; those that nobody reads through close at once."""
        for clinics in list(self._open)[: max(count, 0)]:
            opened = self._open.pop(clinics)
            opened.is_outdated = True
            if opened.users == 0:
                opened.connection.close()


def _work_out_places(opened: _Open, now: datetime) -> None:
    """Write ``place`` anew where a row has become overdue since; readers from before keep the one they began with."""
    with opened.working:
        if now < opened.places_until:
            return
        with opened.connection.cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION")
            cursor.execute(_statement("worklist_places.sql"))
            cursor.execute(
                "CREATE OR REPLACE TABLE worked_out AS SELECT ?::INTEGER AS times", [opened.times_worked_out + 1]
            )
            cursor.execute("COMMIT")
            found = cursor.execute("SELECT min(see_by) FROM place WHERE place IS NOT NULL AND NOT overdue").fetchone()
        opened.times_worked_out += 1
        opened.kept_of_places = {opened.times_worked_out: {}}
        opened.places_until = (found and found[0]) or _NEVER


def _kept_of_places(opened: _Open, cursor: duckdb.DuckDBPyConnection) -> dict[Any, Any]:
    """What was left of exactly the places that this cursor's transaction sees; nothing where newer ones came."""
    (times,) = cursor.execute("SELECT times FROM worked_out").fetchone() or (0,)
    return opened.kept_of_places.get(times, {})


def _work_out_likely(opened: _Open) -> None:
    with opened.working:
        if not opened.has_likely:
            with opened.connection.cursor() as cursor:
                cursor.execute(_statement("worklist_likely.sql"))
            opened.has_likely = True


def _statement(name: str) -> str:
    return resources.files("warehouse").joinpath(name).read_text("utf-8")
