"""How the model of a referral did on people like this one, as far as anybody measured it.

Belongs here: finding the figures of one record's age band, sex and kind of form in the stored evaluation, and saying
plainly where there are none. Reads JSON alone. Does not belong here: computing figures (``models.evaluation``).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.differential_words import is_child
from pipelines.model_store import StoreRefused, VersionMissing, find
from warehouse.home import Home

# As models.judging draws them; a test holds both against each other.
AGE_BANDS = ((65, "65 and over"), (50, "50 to 64"), (35, "35 to 49"), (18, "18 to 34"), (0, "under 18"))
NOT_STATED = "not stated"
NO_REAL_PEOPLE = (
    "Real people: none. Neither patients of this clinic nor published cases stand in this model's evaluation; how the "
    "release did on published cases is told in docs/model.md."
)
NOT_KEPT = "The model that scored this record is not kept here, so nothing can be said about its evaluation."
RULES_ALONE = "No model scored this record: there is nothing to validate but the rules, which no clinician has signed."
FOR_CHILDREN = "Not validated for anybody under 16, and not built for them: rules decide."


def validated(home: Home, row: Mapping[str, Any]) -> list[str]:
    """Sentences about people of this age and sex; ``row`` is one of ``referrals``."""
    if is_child(row):
        return [FOR_CHILDREN, NO_REAL_PEOPLE]
    if not row["differential"]:
        return [RULES_ALONE]
    try:
        version = find(home, row["model_version"])
        evaluation = json.loads((version.folder / "evaluation.json").read_text("utf-8"))
        return [*_told(evaluation, row), NO_REAL_PEOPLE]
    except (StoreRefused, VersionMissing):
        return [NOT_KEPT]
    except (OSError, ValueError, KeyError, TypeError):
        return ["The evaluation of this model cannot be read.", NO_REAL_PEOPLE]


def _told(evaluation: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    yield f"Tested on {evaluation['n']:,} {evaluation['tested_on']}; these say nothing about patients."
    groups = {"sex": row["sex"] or NOT_STATED, "age": _band(row["age_years"])}
    for grouping, name in groups.items():
        measured = evaluation["subgroups"][grouping]
        if not measured.get(name):
            yield f"{grouping} {name}: too few generated records to say anything."
            continue
        own = measured[name]
        yield (
            f"{grouping} {name} ({own['n']:,} generated records): "
            f"right condition first in {_share(own['top1'])}, among the first three in {_share(own['top3'])}; "
            f"dangerous ones at urgent or faster {_share(own['sensitivity'])}, "
            f"harmless ones at urgent or faster {_share(own['over_triage'])}."
        )


def _band(age: int | None) -> str:
    return NOT_STATED if age is None else next(name for youngest, name in AGE_BANDS if age >= youngest)


def _share(measured: Mapping[str, Any] | None) -> str:
    if not measured:
        return "too few to say"
    if measured["low"] is None:
        return f"{100 * measured['value']:.0f} %"
    return f"{100 * measured['value']:.0f} % ({100 * measured['low']:.0f} to {100 * measured['high']:.0f})"
