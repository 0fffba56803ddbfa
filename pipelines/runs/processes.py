"""Telling one process from another, also when the system has given its number away again (Linux).

Belongs here: what ``/proc`` says. Knows nothing of Dagster.
"""

import os
import time
from pathlib import Path

_PROC = Path("/proc")
_STATE, _STARTED = 2, 21  # places in /proc/<pid>/stat, counted from 0
_SLACK_SECONDS = 60.0


def identity(pid: int) -> str:
    """Number and start of a living process and the boot it belongs to, in one word; '' where there is none."""
    started = _started(pid)
    return f"{pid}:{started}:{_boot()}" if started else ""


def is_alive(said: str) -> bool:
    """Whether the process of this ``identity`` still lives."""
    pid = said.partition(":")[0]
    return pid.isdecimal() and identity(int(pid)) == said


def may_be(pid: int, *, since: float, settings: tuple[str, str]) -> bool:
    """Whether a process with this number lives that may be the one that was at work at ``since`` (seconds since 1970).

    It is another one only where both say so: it began after that time, and it was not started with the environment
    variable of ``settings`` (name, value). The clock alone is not believed, for it may have been put forward.
    """
    started = _started(pid)
    if not started:
        return False
    uptime = float((_PROC / "uptime").read_text("ascii").split()[0])
    began = time.time() - uptime + int(started) / os.sysconf("SC_CLK_TCK")
    return began <= since + _SLACK_SECONDS or "=".join(settings) in _environment(pid)


def _started(pid: int) -> str:
    """When the process began, in clock ticks after boot; '' where there is none, or it has ended."""
    try:
        # The name of the program, in brackets, may hold anything.
        fields = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[_STATE - 2] in "ZX" else fields[_STARTED - 2]


def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()


def _environment(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "environ").read_text("utf-8", "replace").split("\0")
    except OSError:
        return []
