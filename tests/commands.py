"""Running the real ``hiptriage`` command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("hiptriage")


@dataclass(frozen=True)
class Done:
    """Exit code and what was printed; of a forked command with counted calls, how many it made."""

    code: int
    out: str
    err: str
    calls: int = 0


def hiptriage(*arguments: str | Path, home: Path, cwd: Path | None = None, **environment: str) -> Done:
    """Run the command with ``HIPTRIAGE_HOME`` set to ``home``."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        env=os.environ | {"HIPTRIAGE_HOME": str(home), "COLUMNS": "100"} | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
