"""Purging by the settings, as the command ``hiptriage purge`` and the job of that name do it.

Belongs here: putting together what the warehouse and what Dagster keep. Does not belong here: what goes of each
(``warehouse.retention``, ``pipelines.runs.run_retention``).
"""

import dagster as dg

from pipelines.runs import run_retention
from warehouse import retention
from warehouse.home import Home


def what_is_due(home: Home, instance: dg.DagsterInstance) -> dict[str, int]:
    """Counts of what a purge would remove now. Raises WarehouseBusy, WarehouseRefused, SettingsRefused."""
    runs = run_retention.old_runs(instance, home.settings().retention.run_days)
    return retention.due(home).counts | {"runs": len(runs)}


def purge_now(home: Home, instance: dg.DagsterInstance, *, by: str | None = None) -> dict[str, int]:
    """Remove it; gives the counts that went into the audit. Raises WarehouseBusy, WarehouseRefused, SettingsRefused.

    ``by``: who asked for it, by default this account.
    """
    runs = run_retention.old_runs(instance, home.settings().retention.run_days)
    gone = {"runs": len(runs)}
    found = retention.purge(home, by=by, others=gone)
    run_retention.remove(instance, runs)
    return found.counts | gone
