"""The first imaging to consider: what was done is left out, and pregnancy goes to radiology."""

from __future__ import annotations

import polars as pl
import pytest

from models.catalogue import load_catalogue
from models.imaging import ALL_DONE, DONE, MODALITIES, NOTHING_ADVISED, RADIOLOGY, first_imaging
from models.rules import load_rules
from tests.referral_records import records_of

ADVISED = sorted(
    {rule.first_imaging for rule in load_rules().rules}
    | {condition.first_imaging for condition in load_catalogue().conditions.values()}
)
THEN_MRI = "X-ray, then MRI without contrast even if the X-ray is normal"
OCCULT = "X-ray of pelvis and hip; if normal and still suspected MRI, or CT if MRI is not to be had within 24 hours"


def _remaining(advised: str | None, done: dict[str, str], pregnant: bool | None = False) -> str:
    found = first_imaging(pl.Series([advised], dtype=pl.String), records_of([done]), pl.Series([pregnant]))
    return str(found[0])


@pytest.mark.parametrize(
    ("advised", "done", "remaining"),
    [
        (THEN_MRI, {}, THEN_MRI),
        (THEN_MRI, {"imaging__xray": "none"}, THEN_MRI),
        (THEN_MRI, {"imaging__xray": "awaited"}, THEN_MRI),
        (THEN_MRI, {"imaging__xray": "normal"}, "MRI without contrast even if the X-ray is normal"),
        (THEN_MRI, {"imaging__xray": "abnormal", "imaging__mri": "result_unknown"}, ALL_DONE),
        (THEN_MRI, {"imaging__mri": "normal"}, "X-ray"),
        ("X-ray at once, MRI the same day if normal", {"imaging__xray": "normal"}, "MRI the same day if normal"),
        ("X-ray of pelvis and hip; if normal MRI", {"imaging__xray": "normal"}, "MRI"),
        (OCCULT, {"imaging__xray": "normal"}, "MRI, or CT if MRI is not to be had within 24 hours"),
        (OCCULT, {"imaging__xray": "normal", "imaging__mri": "normal"}, ALL_DONE),
        ("X-ray of pelvis, AP and frog-leg view", {"imaging__xray": "normal"}, ALL_DONE),
        ("X-ray of pelvis and hip, blood tests, then MRI", {"imaging__xray": "abnormal"}, "blood tests, then MRI"),
        ("none, or X-ray of the pelvis where it does not settle", {"imaging__xray": "normal"}, "none"),
        ("X-ray, then ultrasound or MRI", {"imaging__xray": "normal", "imaging__ultrasound": "normal"}, "MRI"),
        ("X-ray, then ultrasound or MRI", {"imaging__ultrasound": "normal"}, "X-ray, then MRI"),
        ("ultrasound, aspirate", {"imaging__ultrasound": "normal"}, "aspirate"),
        (
            "ultrasound-guided aspiration of the hip before any antibiotic",
            {"imaging__ultrasound": "abnormal"},
            "ultrasound-guided aspiration of the hip before any antibiotic",
        ),
        (
            "MRI of the whole spine within 24 hours",
            {"imaging__mri": "normal"},
            "MRI of the whole spine within 24 hours (unless the MRI already done answers it)",
        ),
        (None, {}, NOTHING_ADVISED),
    ],
)
def test_what_was_done_is_left_out(advised: str | None, done: dict[str, str], remaining: str) -> None:
    assert _remaining(advised, done) == remaining


@pytest.mark.parametrize("advised", ADVISED)
def test_every_advised_text_of_the_release(advised: str) -> None:
    assert _remaining(advised, {}) == advised
    for column, kind in MODALITIES.items():
        for result in DONE:
            text = _remaining(advised, {column: result})
            assert text
            assert not text.lower().startswith(kind) or "guide" in text or "already done answers it" in text
            assert text.count("(") == text.count(")")
    spine = _remaining(advised, dict.fromkeys(MODALITIES, "normal"))
    assert ("spine" in advised) == ("spine" in spine)


@pytest.mark.parametrize("advised", [*ADVISED, None])
def test_pregnancy_stated_or_possible_is_decided_with_radiology(advised: str | None) -> None:
    text = _remaining(advised, {}, pregnant=True)
    assert text.count(RADIOLOGY) == 1
    assert RADIOLOGY not in _remaining(advised, {}, pregnant=None) or RADIOLOGY in str(advised)
    assert _remaining("X-ray of the pelvis", {"imaging__xray": "normal"}, pregnant=True) == ALL_DONE


def test_a_batch_keeps_its_order() -> None:
    records = records_of([{"imaging__xray": "normal"}, {}, {"imaging__xray": "normal"}])
    advised = pl.Series(["X-ray, then MRI", "X-ray, then MRI", "ultrasound"])
    found = first_imaging(advised, records, pl.Series([False, True, None]))
    decide = "decide with radiology (pregnancy stated or possible): X-ray, then MRI"
    assert found.to_list() == ["MRI", decide, "ultrasound"]
