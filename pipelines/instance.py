"""Where Dagster keeps its runs: one instance folder in each home, set up by one function.

Belongs here: the instance folder. Does not import dagster, so that commands can decide first whether they need it.
"""

import os
from pathlib import Path

from warehouse.home import Home

INSTANCE_SETTINGS = Path(__file__).resolve().parent.parent / "dagster.yaml"


def use_instance_of(home: Home) -> Path:
    """Point this process and its children to the Dagster instance of ``home``; gives its folder.

    Copies the project's ``dagster.yaml`` into it and sets ``DAGSTER_HOME`` and ``HIPTRIAGE_HOME``.
    """
    home.ensure()
    settings = home.dagster / "dagster.yaml"
    wanted = INSTANCE_SETTINGS.read_text("utf-8")
    if not settings.exists() or settings.read_text("utf-8") != wanted:
        settings.write_text(wanted, "utf-8")
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    os.environ["HIPTRIAGE_HOME"] = str(home.root)
    return home.dagster
