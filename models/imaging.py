"""The first imaging to consider: never one already done, and with radiology where pregnancy is stated or possible.

Belongs here: leaving out what was done from the advised steps. Does not belong here: what is advised (each rule and
each condition says so).
"""

from __future__ import annotations

import re

import polars as pl

MODALITIES = {"imaging__xray": "x-ray", "imaging__mri": "mri", "imaging__ultrasound": "ultrasound"}
MODALITY_NAMES = {"x-ray": "X-ray", "mri": "MRI", "ultrasound": "ultrasound"}
DONE = ["normal", "abnormal", "result_unknown"]
NOTHING_ADVISED = "decide when seen"
ALL_DONE = "already done: read the result first"
RADIOLOGY = "decide with radiology"
PREGNANCY = "pregnancy stated or possible"

# Where one step of an advised imaging ends and the next begins. "X-ray of pelvis, AP and frog-leg view" is one step.
_NEXT_STEP = re.compile(
    r"([;,] )(?=then |if normal|or X-ray|and a |aspirate|blood tests|MRI|X-ray|[Uu]ltrasound)", re.ASCII
)
_LEAD = re.compile(r"^(?:then |if normal(?: and still suspected)? |or |and )")
_ALTERNATIVE = re.compile(r"^[\w-]+,? or (.+)")
_GUIDES = re.compile(r"^ultrasound(?:-guided| to guide)", re.IGNORECASE)  # a needle is still to come
# The form does not ask what was imaged: of the hip, most often. A step that names another place is never left out.
_ELSEWHERE = re.compile(r"spine|leg veins|abdomen|femurs")


def first_imaging(advised: pl.Series, records: pl.DataFrame, pregnancy_possible: pl.Series) -> pl.Series:
    """What remains of the advised steps once imaging already done is left out.

    ``advised``: String (from the fired rule or the likeliest condition), null where nothing is advised. A step is left
    out when the kind of imaging that it begins with was done for this problem, whatever it showed: a normal X-ray never
    clears a stress fracture, so the next step stands. Gives String, as long as ``records``, never null.
    """
    frame = records.select(pl.col(column).is_in(DONE).fill_null(False) for column in MODALITIES).with_columns(
        advised.alias("advised"), pregnancy_possible.fill_null(False).alias("pregnancy")
    )
    distinct = frame.unique(maintain_order=True)
    remaining = pl.Series("first_imaging", [_remaining(row) for row in distinct.iter_rows(named=True)], dtype=pl.String)
    keys = [*MODALITIES, "advised", "pregnancy"]
    joined = frame.join(distinct.with_columns(remaining), on=keys, how="left", nulls_equal=True, maintain_order="left")
    return joined["first_imaging"]


def _remaining(row: dict[str, object]) -> str:
    advised = row["advised"]
    if not isinstance(advised, str):
        return f"{RADIOLOGY} ({PREGNANCY})" if row["pregnancy"] else NOTHING_ADVISED
    text = _without(advised, {word for column, word in MODALITIES.items() if row[column]})
    if not row["pregnancy"] or text == ALL_DONE or RADIOLOGY in text:
        return text
    if text.lower().startswith("none"):
        return f"{text}; before any imaging {RADIOLOGY} ({PREGNANCY})"
    return f"{RADIOLOGY} ({PREGNANCY}): {text}"


def _without(advised: str, done: set[str]) -> str:
    """The text of the steps that are still to do; as it was where nothing was done."""
    steps, joints = _NEXT_STEP.split(advised)[::2], _NEXT_STEP.split(advised)[1::2]
    text = ""
    for step, joint in zip(steps, ["", *joints], strict=True):
        left = _left_of(step, done)
        if left is None:
            continue
        text = f"{text}{joint}{left}" if text else _LEAD.sub("", left)
    return text or ALL_DONE


def _left_of(step: str, done: set[str]) -> str | None:
    """One step, its alternative where the first choice was done, or nothing."""
    lead = _LEAD.match(step)
    bare = step[lead.end() :] if lead else step
    first = next((word for word in done if bare.lower().startswith(word)), None)
    if any(f"{word} is not" in bare.lower() for word in done):  # "CT where MRI is not at hand", and MRI was done
        return None
    if first is None or _GUIDES.match(bare):
        return step
    if _ELSEWHERE.search(bare):
        return f"{bare} (unless the {MODALITY_NAMES[first]} already done answers it)"
    other = _ALTERNATIVE.match(bare)
    if other is None or any(other[1].lower().startswith(word) for word in done):
        return None
    return (lead[0] if lead else "") + other[1]
