"""Launch forms of jobs: named and bounded fields, and what an analyst reads when one of them cannot be used.

Belongs here: what the forms have in common. Does not belong here: the forms themselves (``pipelines.defs.jobs``).

What stands in a form is kept in Dagster's run storage for as long as the run is: a form asks for no record id and no
key of a person. Dagster checks names, kinds and choices before a run starts; lengths, ranges and patterns are checked
when the step begins, before it has done anything.
"""

from typing import Annotated, Any

import dagster as dg
from pydantic import Field, ValidationError

from warehouse.withdrawing.terms import LONGEST_NAME

LONGEST_REASON = 500
NOT_CONFIRMED = "nothing was changed: look at the preview, then launch again with confirm: true"

By = Annotated[
    str, Field(min_length=1, max_length=LONGEST_NAME, description="Who does this: your name, for the audit.")
]
Second = Annotated[
    str, Field(min_length=1, max_length=LONGEST_NAME, description="Who else agrees: the name of another person.")
]
Why = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_REASON,
        description="Why, for the audit: one line. It is kept for good, so it names no patient and no record.",
    ),
]
Confirm = Annotated[bool, Field(description="Do it. Without it the run only shows what would change.")]


class LaunchForm(dg.Config):
    """Fields of one job. A field out of its bounds ends the step with one sentence for each, without the value."""

    def __init__(self, **fields: Any) -> None:
        """Take the fields as Dagster read them. Raises dagster.Failure."""
        try:
            super().__init__(**fields)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
            raise dg.Failure(
                f"the launch form cannot be used: {'; '.join(wrong)}; nothing was changed", allow_retries=False
            ) from None
