"""Real ``hiptriage`` commands in children of one process that has imported everything once.

A process of its own for each command would spend most of its time importing. Run as ``python -m tests.forked`` it takes
one JSON request a line and answers with the exit code, or ``killed`` where the command reached the step at which it
was to be killed (as in ``tests.killed_run``).
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.commands import Done
from tests.killed_run import PRELOADED, patch

KILLED = -9
ALSO = (
    "pipelines.proposal",
    "pipelines.promotion",
    "pipelines.commands.model",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
)


class Commands:
    """The forking process. Use as a context."""

    def __enter__(self) -> Commands:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def __call__(self, *arguments: str | Path, home: Path, step: str = "") -> Done:
        """Run one command; its code is KILLED where it was killed at ``step`` (module:function:before or after)."""
        assert self.process.stdin and self.process.stdout
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            request = {"arguments": [*map(str, arguments)], "home": str(home), "step": step}
            self.process.stdin.write(json.dumps(request | {"out": str(out), "err": str(err)}) + "\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            return Done(code, out.read_text(), err.read_text())


def _child(request: dict[str, str]) -> None:
    from pipelines.cli import main

    os.environ |= {"HIPTRIAGE_HOME": request["home"], "COLUMNS": "100"}
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT), stream)
    if request["step"]:
        patch(request["step"])
    try:
        main([*request["arguments"]])
    except SystemExit as ended:
        # Without the interpreter's own end: it would wait for threads that only the parent has.
        os._exit(int(ended.code or 0))


def serve() -> None:
    """Answer requests until the input ends."""
    for name in (*PRELOADED, *ALSO):
        importlib.import_module(name)
    from models.basis import load_basis
    from models.model_file import default_locked_folder
    from pipelines.definitions import hiptriage
    from schemas import contract

    hiptriage()
    load_basis(default_locked_folder())
    contract.readable_schema(), contract.plausible_schema(), contract.stored_schema()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(KILLED if killed else os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
