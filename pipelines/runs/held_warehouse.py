"""The warehouse held through all steps of a job, as a command holds it through a whole change.

Belongs here: taking the lock in the first step and letting it go when the run ends. Does not belong here: the lock
itself (``warehouse.lock``). Works because the steps of a run share one process (``pipelines.definitions``).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import dagster as dg

WAREHOUSE = "warehouse"


@dg.resource(description="The lock on the warehouse: what a step takes is held until the run ends, however it ends.")
def _held_until_the_end(_: dg.InitResourceContext) -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


# What a job needs to hold the warehouse, and what its steps have to ask for.
HELD = {WAREHOUSE: _held_until_the_end}
NEEDS_IT = {WAREHOUSE}


def take(context: dg.OpExecutionContext, held: AbstractContextManager[None]) -> None:
    """Enter ``held`` for the rest of the run. Raises what it raises: WarehouseBusy."""
    context.resources.warehouse.enter_context(held)
