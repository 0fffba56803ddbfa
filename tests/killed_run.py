"""Forks a real ``hiptriage run`` for each line of standard input and kills it with SIGKILL at the step the line names.

Imports once and forks, because a process of its own would spend most of its time importing. The step is a function,
as ``module:name:before`` or ``module:name:after``; an empty line lets the run go to its end. Prints the exit code, or
``killed`` where the step was reached.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

PRELOADED = (
    "pipelines.cli",
    "pipelines.commands.run",
    "pipelines.materialise",
    "models.training",
    "skops.io",
    "sklearn.linear_model",
)


def dies(function: Any, when: str) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def patch(step: str) -> None:
    module_name, path, when = step.split(":")
    owner: Any = importlib.import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, dies(getattr(owner, name), when))


def main(arguments: list[str]) -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    from models.basis import load_basis
    from models.model_file import default_locked_folder
    from pipelines.cli import main as command
    from schemas import contract

    load_basis(default_locked_folder())
    contract.readable_schema(), contract.plausible_schema(), contract.stored_schema()

    for line in sys.stdin:
        step = line.strip()
        child = os.fork()
        if child == 0:
            if step:
                patch(step)
            os.dup2(2, 1)
            try:
                command(arguments)
            except SystemExit as ended:
                # Without the interpreter's own end: it would wait for threads that only the parent has.
                os._exit(int(ended.code or 0))
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print("killed" if killed else os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
