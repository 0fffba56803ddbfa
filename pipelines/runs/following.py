"""When an asset follows what came in before it: the one condition of declarative automation, and what goes first.

Belongs here: the condition, and the tags that go with it. Which assets carry it stands beside each of them
(``pipelines.defs``).

Not Dagster's ``eager``, which waits until no partition before it is missing or running: one batch that cannot be loaded
would then keep every other batch from clinicians. And each half compares times of events one by one, which
``since_last_handled`` does not: a batch that is loaded just after a scoring, in the same tick, would be passed over.
"""

import dagster as dg

# What leads to the worklist goes before training and cleaning up where runs queue.
FIRST = {"dagster/priority": "10"}

_condition = dg.AutomationCondition
_before_it_updated = _condition.any_deps_match(_condition.newly_updated())
# Something before the asset was brought up to date after the asset itself was (a run of all stages, or a job that
# scores and publishes what it changed, leaves nothing to follow), and that was not answered by a request yet (a run
# that failed is not repeated without end). While a run is at the asset, it waits for that one.
FOLLOWS = (
    (
        (_before_it_updated.since(_condition.newly_updated()) & _before_it_updated.since(_condition.newly_requested()))
        | _condition.any_deps_match(_condition.will_be_requested())
    )
    & ~_condition.in_progress()
).with_label("what comes before it was brought up to date")
