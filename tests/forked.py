"""Real ``hiptriage`` commands in children of one process that has imported everything once.

A process of its own for each command would spend most of its time importing. Run as ``python -m tests.forked`` it takes
one JSON request a line and answers with the exit code, or with that of SIGKILL where the command reached the step at
which it was to be killed. A step is a function, as ``module:name:before`` or ``module:name:after``.
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
from typing import Any

from tests.commands import Done

KILLED = -signal.SIGKILL
PRELOADED = (
    "pipelines.cli",
    "pipelines.commands.model",
    "pipelines.commands.run",
    "pipelines.materialise",
    "pipelines.promotion",
    "pipelines.proposal",
    "models.training",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.sqlite_storage",
    "hypothesis.strategies",  # pandera imports it, where it is installed, when it first checks a frame
    "pyarrow.dataset",
    "skops.io",
    "sklearn.linear_model",
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

    def __call__(self, *arguments: str | Path, home: Path, step: str = "", with_dagster: bool = True) -> Done:
        """Run one command; its code is KILLED where it was killed at ``step``.

        Without Dagster, what it would have run is called in turn (``tests.assets_in_turn``).
        """
        assert self.process.stdin and self.process.stdout
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            request = {"arguments": [*map(str, arguments)], "home": str(home), "step": step, "dagster": with_dagster}
            self.process.stdin.write(json.dumps(request | {"out": str(out), "err": str(err)}) + "\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            return Done(code, out.read_text(), err.read_text())


def _dies(function: Any, when: str) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> None:
        if when == "after":
            function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return wrapped


def _child(request: dict[str, Any]) -> None:
    from pipelines import materialise
    from pipelines.cli import main
    from tests.assets_in_turn import loaded_scored_and_published

    os.environ |= {"HIPTRIAGE_HOME": request["home"], "COLUMNS": "100"}
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT), stream)
    if not request["dagster"]:
        materialise.materialise = loaded_scored_and_published
    if request["step"]:
        module, name, when = request["step"].split(":")
        owner = importlib.import_module(module)
        setattr(owner, name, _dies(getattr(owner, name), when))
    try:
        main([*request["arguments"]])
    except SystemExit as ended:
        # Without the interpreter's own end: it would wait for threads that only the parent has.
        os._exit(int(ended.code or 0))


def serve() -> None:
    """Answer requests until the input ends."""
    for name in PRELOADED:
        importlib.import_module(name)
    from models.basis import load_basis
    from models.model_file import default_locked_folder
    from pipelines import materialise
    from schemas import contract

    definitions = materialise.hiptriage()
    materialise.hiptriage = lambda: definitions
    load_basis(default_locked_folder())
    contract.stored_schema()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
