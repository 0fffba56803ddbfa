"""Which batches a run is about to load, and which stretches of partitions a run can take at once.

Belongs here: reading the tags with which Dagster marks the partitions of a run. Does not belong here: which batches
wait (``warehouse.sources``), when one is tried again (``pipelines.defs.automation``).
"""

from collections.abc import Collection, Sequence

import dagster as dg

FIRST_OF_RANGE, LAST_OF_RANGE = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_ONE = "dagster/partition"
IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def under_way(instance: dg.DagsterInstance, partitions: Sequence[str]) -> set[str]:
    """Those of ``partitions`` (all batches, in Dagster's order) that a run in progress or in the queue will load."""
    found: set[str] = set()
    place = {key: index for index, key in enumerate(partitions)}
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
        first = run.tags.get(FIRST_OF_RANGE, run.tags.get(_ONE))
        last = run.tags.get(LAST_OF_RANGE, run.tags.get(_ONE))
        if first in place and last in place:
            found.update(partitions[place[first] : place[last] + 1])
    return found


def stretches(batches: Collection[str], partitions: Sequence[str]) -> list[list[str]]:
    """``batches`` in Dagster's order, cut wherever a partition stands between two that is not among them."""
    found: list[list[str]] = []
    wanted, follows = set(batches), False
    for key in partitions:
        if key in wanted:
            if follows:
                found[-1].append(key)
            else:
                found.append([key])
        follows = key in wanted
    return found


def tags_of(stretch: Sequence[str]) -> dict[str, str]:
    """The tags of one run over a stretch of batches."""
    return {FIRST_OF_RANGE: stretch[0], LAST_OF_RANGE: stretch[-1]}
