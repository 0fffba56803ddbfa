"""``hiptriage dev``: the Dagster UI on this installation."""

import os
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
    """Open the Dagster UI on this installation, on this machine alone (127.0.0.1)."""
    with plain_ends():
        use_instance_of(Home.from_environment())
    os.chdir(PROJECT)
    program = str(Path(sys.executable).with_name("dg"))
    os.execv(program, [program, "dev", "--host", "127.0.0.1", "--port", str(port)])  # noqa: S606
