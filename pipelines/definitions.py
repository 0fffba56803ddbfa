"""Dagster's entry point: everything under ``defs`` and the executor.

In-process execution, because the warehouse has one writer and a process for each step costs seconds and gains nothing.
"""

from pathlib import Path

import dagster as dg


@dg.definitions
def hiptriage() -> dg.Definitions:
    """All assets, checks and jobs of the project."""
    found = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(found, dg.Definitions(executor=dg.in_process_executor))
