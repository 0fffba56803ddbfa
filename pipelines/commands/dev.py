"""``hiptriage dev``: the services on this installation, the Dagster UI and the daemon that runs what has a switch."""

import os
import signal
import sys
from pathlib import Path

import click

from pipelines.instance import use_instance_of
from pipelines.outcomes import plain_ends
from warehouse.home import Home

PROJECT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
def dev(port: int) -> None:
    """Start the Dagster UI and the daemon on this installation, on this machine alone (127.0.0.1).

    Files dropped into the landing folder are then taken in, scored and published by themselves.
    """
    with plain_ends():
        use_instance_of(Home.from_environment())
    os.chdir(PROJECT)
    os.environ["VIRTUAL_ENV"] = sys.prefix  # as if activated: dg looks whether it runs in the project's own
    # A shell that starts it in the background has it ignore interrupts, and dg then ignores requests to end as well.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    program = str(Path(sys.executable).with_name("dg"))
    # There are no components in YAML to check, and looking for them takes seconds.
    os.execv(program, [program, "dev", "--host", "127.0.0.1", "--port", str(port), "--no-check-yaml"])  # noqa: S606
