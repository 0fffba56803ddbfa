"""Real ``hiptriage`` commands in children of one process that has imported everything once.

A process of its own for each command would spend most of its time importing. Run as ``python -m tests.forked`` it takes
one JSON request a line: to begin a command, answered with the number of its process, and to wait for its end, answered
with the exit code, or with that of SIGKILL where the command was killed: at a step
(a function, as ``module:name:before`` or ``module:name:after``), before the n-th of its calls into DuckDB, SQLite and
the file system (which depends on no machine's speed), or after some seconds.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.commands import Done
from warehouse.home import Home

KILLED = -signal.SIGKILL
# Calls that change or may change what another process finds, and the libraries that they are counted in.
COUNTED = {
    "execute", "executemany", "begin", "commit", "rollback", "connect", "close", "register",
    "fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir", "chmod", "open", "write", "ftruncate", "sendfile",
}  # fmt: skip
LIBRARIES = {"_duckdb", "duckdb", "sqlite3", "_sqlite3", "posix"}
PRELOADED = (
    "pipelines.cli",
    "pipelines.commands.model",
    "pipelines.commands.run",
    "pipelines.materialise",
    "pipelines.changes.promotion",
    "pipelines.changes.proposal",
    "models.training",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.sqlite_storage",
    "hypothesis.strategies",  # pandera imports it, where it is installed, when it first checks a frame
    "pyarrow.dataset",
    "skops.io",
    "sklearn.linear_model",
)


Begun = Callable[[], Done]


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

    def __call__(
        self,
        *arguments: str | Path,
        home: Path,
        cwd: Path | None = None,
        step: str = "",
        at_call: int | None = None,
        after_seconds: float | None = None,
        with_dagster: bool = True,
        **environment: str,
    ) -> Done:
        """Run one command; its code is KILLED where it was killed at ``step``, ``at_call`` or ``after_seconds``.

        ``at_call`` is counted from 1; 0 counts the calls and kills nothing. Without Dagster, what the command would
        have run is called in turn (``tests.assets_in_turn``).
        """
        request = {"arguments": [*map(str, arguments)], "home": str(home), "step": step, "dagster": with_dagster}
        request |= {"at_call": at_call, "after_seconds": after_seconds}
        return self._begun(request | {"cwd": str(cwd or Path.cwd()), "environment": environment})()

    def call(self, function: str, *, home: Path, step: str = "") -> Done:
        """Call ``function``, as ``module:name``, with the home instead of a command."""
        return self._begun({"function": function, "home": str(home), "step": step})()

    def begin(self, *arguments: str | Path, home: Path, function: str = "", with_dagster: bool = True) -> Begun:
        """Begin one command, or ``function``, beside others; gives what waits for its end."""
        request = {"arguments": [*map(str, arguments)], "home": str(home), "step": "", "dagster": with_dagster}
        return self._begun(request | ({"function": function} if function else {}))

    def _begun(self, request: dict[str, Any]) -> Begun:
        folder = tempfile.TemporaryDirectory()
        out, err, calls = (Path(folder.name, name) for name in ("out", "err", "calls"))
        child = self._ask(request | {"out": str(out), "err": str(err), "calls": str(calls)})

        def ended() -> Done:
            with folder:
                code = self._ask({"wait": child, "after_seconds": request.get("after_seconds")})
                return Done(code, out.read_text(), err.read_text(), int(calls.read_text()) if calls.exists() else 0)

        return ended

    def _ask(self, request: dict[str, Any]) -> int:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def _dies(function: Any, when: str) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> None:
        if when == "after":
            function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return wrapped


class _Counted:
    """Counts calls by the interpreter's own hook, in every thread, and kills before one of them."""

    def __init__(self, at_call: int) -> None:
        self.at_call, self.calls = at_call, 0

    def __call__(self, frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ in COUNTED and _library(called) in LIBRARIES:
            self.calls += 1
            if self.calls == self.at_call:
                os.kill(os.getpid(), signal.SIGKILL)

    def begin(self) -> _Counted:
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def end(self, file: str) -> None:
        sys.setprofile(None)
        Path(file).write_text(str(self.calls))


def _library(called: Any) -> str:
    return str(getattr(called, "__module__", None) or type(called.__self__).__module__).partition(".")[0]


def _child(request: dict[str, Any]) -> None:
    os.environ |= {"HIPTRIAGE_HOME": request["home"], "COLUMNS": "100"} | request.get("environment", {})
    os.chdir(request.get("cwd", "."))
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT), stream)
    if request["step"]:
        module, name, when = request["step"].split(":")
        owner = importlib.import_module(module)
        setattr(owner, name, _dies(getattr(owner, name), when))
    at_call = request.get("at_call")
    counted = None if at_call is None else _Counted(at_call).begin()
    try:
        if "function" in request:
            module, name = request["function"].split(":")
            getattr(importlib.import_module(module), name)(Home(Path(request["home"])))
        else:
            _command(request)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    if counted:
        counted.end(request["calls"])
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the interpreter's own end: it would wait for threads that only the parent has.
    os._exit(code)


def _command(request: dict[str, Any]) -> None:
    from pipelines import materialise
    from pipelines.cli import main
    from tests.assets_in_turn import loaded_scored_and_published

    if not request["dagster"]:
        materialise.materialise = loaded_scored_and_published
    main([*request["arguments"]])


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
        request = json.loads(line)
        if "wait" in request:
            print(_waited_for(request["wait"], request["after_seconds"]), flush=True)
            continue
        child = os.fork()
        if child == 0:
            _child(request)
        print(child, flush=True)


def _waited_for(child: int, seconds: float | None) -> int:
    """The exit code of ``child``, which is killed after ``seconds``."""
    if seconds is not None:
        timer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
        timer.start()
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # its number is not given to another before it is reaped
        timer.cancel()
        timer.join()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    serve()
