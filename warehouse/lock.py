"""The one lock on the warehouse: an operating-system lock (flock) that dies with its process.

Belongs here: taking the lock, waiting a bounded time, and saying who holds it. Nothing else guards the warehouse:
an orchestrator's pool keeps its slot when a run is killed. Threads of one process exclude each other too.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, RLock

from filelock import FileLock, Timeout

from warehouse.home import Home

SAY_AFTER_SECONDS, SAY_AGAIN_SECONDS = 1.0, 20.0
_log = logging.getLogger("warehouse.lock")
_of_threads: dict[Path, RLock] = {}
_registry = Lock()


class WarehouseBusy(Exception):
    """Another process, or another thread of this one, holds the lock and did not let go in time."""


@contextmanager
def holding(home: Home, purpose: str, *, wait: float | None = None) -> Iterator[None]:
    """Hold the warehouse lock of ``home``; taking it again inside the same thread is fine.

    ``purpose``: a few words for whoever waits ("run", "publish"). ``wait``: seconds, by default ``lock_wait_seconds``
    of the settings; 0 only tries. Who has to wait says so in the log ``warehouse.lock``, after ``SAY_AFTER_SECONDS``
    and then every ``SAY_AGAIN_SECONDS``: who holds the lock, for what, since when. Raises WarehouseBusy with the same
    words.
    """
    home.ensure()
    seconds = home.settings().lock_wait_seconds if wait is None else wait
    ends = time.monotonic() + seconds
    threads = _thread_lock(home)
    _wait(home, purpose, ends, lambda patience: threads.acquire(timeout=patience))
    try:
        # One object a path, counting how often it was taken: flock itself knows processes, not threads.
        lock = FileLock(home.root / "warehouse.lock", is_singleton=True, thread_local=False)
        _wait(home, purpose, ends, lambda patience: _took(lock, patience))
        try:
            if lock.lock_counter == 1:
                _begin(home, purpose)
            yield
        finally:
            lock.release()
    finally:
        threads.release()


def _thread_lock(home: Home) -> RLock:
    with _registry:
        return _of_threads.setdefault(home.root, RLock())


def _wait(home: Home, purpose: str, ends: float, take: Callable[[float], bool]) -> None:
    if take(0) or take(max(0.0, min(ends - time.monotonic(), SAY_AFTER_SECONDS))):
        return
    while (left := ends - time.monotonic()) > 0:
        _log.info("waiting for the warehouse (%s), at most %.0f s more: %s", purpose, left, held_by(home))
        if take(min(left, SAY_AGAIN_SECONDS)):
            return
    raise WarehouseBusy(f"the warehouse is busy: {held_by(home)}")


def _took(lock: FileLock, patience: float) -> bool:
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        return False
    return True


def _begin(home: Home, purpose: str) -> None:
    # What a killed process had moved out of memory is patients' data and no use to anybody.
    shutil.rmtree(home.root / f"{home.warehouse.name}.tmp", ignore_errors=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    held = json.dumps({"process": os.getpid(), "purpose": purpose, "since": now})
    # On a full disk the lock holds all the same; only nobody can say whose it is.
    with suppress(OSError):
        (home.root / "warehouse.holder").write_text(held, "utf-8")


def held_by(home: Home) -> str:
    """Who took the lock last, for what and since when, in words."""
    try:
        held = json.loads((home.root / "warehouse.holder").read_text("utf-8"))
        return f"process {held['process']} has held it since {held['since']} ({held['purpose']})"
    except (OSError, ValueError, KeyError):
        return "another process holds it"


def _after_fork() -> None:
    # Threads of the parent do not exist in the child, and what they held would stay held for ever.
    global _registry
    _registry = Lock()
    _of_threads.clear()


os.register_at_fork(after_in_child=_after_fork)
