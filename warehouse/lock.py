"""The one lock on the warehouse: an operating-system lock (flock) that dies with its process.

Belongs here: taking the lock, waiting a bounded time, and saying who holds it. Nothing else guards the warehouse:
an orchestrator's pool keeps its slot when a run is killed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from warehouse.home import Home


class WarehouseBusy(Exception):
    """Another process holds the lock and did not let go in time."""


@contextmanager
def holding(home: Home, purpose: str) -> Iterator[None]:
    """Hold the warehouse lock of ``home``; taking it again inside the same process is fine.

    ``purpose``: a few words for whoever waits ("run", "publish"). Waits ``lock_wait_seconds`` of the settings.
    Raises WarehouseBusy naming the holder's process, purpose and start.
    """
    home.ensure()
    holder = home.root / "warehouse.holder"
    lock = FileLock(home.root / "warehouse.lock", is_singleton=True, thread_local=False)
    try:
        lock.acquire(timeout=home.settings().lock_wait_seconds)
    except Timeout:
        raise WarehouseBusy(f"the warehouse is busy: {_held_by(home)}") from None
    try:
        if lock.lock_counter == 1:
            # What a killed process had moved out of memory is patients' data and no use to anybody.
            shutil.rmtree(home.root / f"{home.warehouse.name}.tmp", ignore_errors=True)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            holder.write_text(json.dumps({"process": os.getpid(), "purpose": purpose, "since": now}), "utf-8")
        yield
    finally:
        lock.release()


def _held_by(home: Home) -> str:
    try:
        held = json.loads((home.root / "warehouse.holder").read_text("utf-8"))
        return f"process {held['process']} has held it since {held['since']} ({held['purpose']})"
    except (OSError, ValueError, KeyError):
        return "another process holds it"
