"""Drafts of mapping files: every guess marked, nothing silent, nothing of a patient, and refused until reviewed."""

from __future__ import annotations

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.form import form, questions
from schemas.mapping.draft import MOST_VALUES, propose
from schemas.mapping.familiar_names import answer_meant, column_meant, synonyms
from schemas.mapping.mapping_file import MappingRefused, load_mapping
from schemas.mapping.units import units_to

SAMPLE = pl.DataFrame(
    {
        "ID": ["1", "2", "3", "4"],
        "Timestamp": ["31/10/2026 9:05", "1/11/2026 10:00", "1/11/2026 10:10", "2/11/2026 8:00"],
        "Gender": ["F", "f", "M", "F"],
        "Weight (lbs)": ["150,5", "160", "NaN", "171"],
        "Night pain": ["Yes", "No", "Yes", "No"],
        "fever": ["0", "1", "0", "1"],
        "Favourite shoes": ["Planted Shoe", "Planted Shoe", "b", "c"],
        "Sex": ["Planted Person", "Planted Person", "b", "c"],
    }
)


def draft(sample: pl.DataFrame = SAMPLE) -> str:
    return propose(tuple(sample.columns), sample, name="north-draft")


def test_a_draft_is_refused_until_a_person_has_reviewed_it() -> None:
    with pytest.raises(MappingRefused, match="draft"):
        load_mapping(draft().encode())
    still_open = draft().replace("reviewed: false", "reviewed: true")
    with pytest.raises(MappingRefused, match="zone"):  # the zone of the clock cannot be seen in the cells
        load_mapping(still_open.encode())
    loaded = load_mapping(still_open.replace('zone: "?"', "zone: Europe/London").encode())
    assert loaded.described == "north-draft version 1"
    assert loaded.gives == {"record_id", "submitted_at", "sex", "weight_kg", "night_pain", "systemic__fever"}


def test_what_a_draft_proposes() -> None:
    rules = yaml.load(draft(), Loader=yaml.BaseLoader)
    columns = rules["columns"]
    assert columns["submitted_at"]["date"] == {"order": "dmy", "zone": "?"}
    assert columns["sex"] == {"from": "Gender", "values": {"F": "female"}}  # f and M were seen once
    assert columns["weight_kg"] == {"from": "Weight (lbs)", "unit": "lbs", "decimal": "comma"}
    assert columns["night_pain"]["values"] == {"Yes": "1", "No": "0"}
    assert columns["systemic__fever"] == {"from": "fever", "values": {"1": "1"}, "blank": ["0"]}  # perhaps a box
    assert rules["blank"] == ["NaN"]
    assert (rules["reviewed"], rules["signed_by"]) == ("false", "null")


def test_miles_are_never_taken_for_kilometres() -> None:
    def drafted(name: str) -> str:
        text = propose(("Id", "When", name), pl.DataFrame({"Id": ["a"], "When": [None], name: ["20"]}, strict=False))
        ready = text.replace("reviewed: false", "reviewed: true").replace(
            "columns:", "columns:\n  submitted_at: {from: When}"
        )
        return ready

    assert load_mapping(drafted("Miles per week").encode()).rules.columns["weekly_km"].unit == ("miles",)
    with pytest.raises(MappingRefused, match=r"columns\.weekly_km\.unit"):
        load_mapping(drafted("Weekly mileage").encode())


def test_every_guess_is_marked_and_what_is_left_is_listed() -> None:
    text = draft()
    body, _, left = text.partition("# NOT MAPPED\n")
    for line in body.splitlines():
        if line.startswith("  ") and ":" in line and not line.lstrip().startswith(("from:", "#", "values:", "date:")):
            assert "# proposed, check" in line or '"?"' in line, line
    assert left.splitlines() == [
        '#   "Favourite shoes": 3 distinct texts',
        '#   "Sex": 3 distinct texts; sex is taken from another column already',
    ]
    assert "Planted" not in text


def test_what_is_still_needed_is_said() -> None:
    text = propose(("Gender",), SAMPLE.select("Gender"))
    assert "# STILL NEEDED\n#   record_id\n#   clinic_id (or load the file with --clinic)\n#   submitted_at" in text


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["2026-10-31 09:00"], "ymd"),
        (["12/31/2026 9:00", "1/2/2026 9:00"], "mdy"),
        (["1/2/2026 9:00", "3/4/2026 9:00"], "?"),
        (["31/1/2026 9:00", "1/31/2026 9:00"], "?"),
        (["yesterday"], "?"),
        ([], "?"),
    ],
)
def test_the_order_of_day_and_month_is_proposed_only_where_the_sample_shows_it(texts: list[str], order: str) -> None:
    text = propose(("Timestamp",), pl.DataFrame({"Timestamp": pl.Series(texts, dtype=pl.String)}))
    assert yaml.load(text, Loader=yaml.BaseLoader)["columns"]["submitted_at"]["date"]["order"] == order


PERSONAL = {
    "too many": [f"answer {chr(97 + n)}" for n in range(MOST_VALUES + 1)],
    "long": ["She fell on the stairs of her house and has had pain ever since that day in May"],
    "date": ["3/4/1980"],
    "mail": ["planted@example.org"],
    "number": ["9434765919"],
    "lines": ["a\nb"],
}


@pytest.mark.parametrize("kind", PERSONAL)
def test_texts_that_are_no_answers_are_not_written_out(kind: str) -> None:
    texts = PERSONAL[kind] * 2
    text = propose(("Onset",), pl.DataFrame({"Onset": texts}))
    assert "not shown" in text
    assert not any(one in text for one in texts)


def test_a_text_seen_once_is_not_written_out() -> None:
    text = propose(("Onset",), pl.DataFrame({"Onset": ["Sudden", "Sudden", "planted"]}))
    assert '"Sudden": "sudden" # proposed, check' in text
    assert "planted" not in text and "1 more texts were seen once each" in text


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True),
    st.lists(st.sampled_from(["Yes", "no", "x", "", "a\nb", "# c", '"', "{a: b}"]), min_size=1, max_size=6),
)
def test_whatever_stands_in_a_file_the_draft_is_yaml_and_refused(columns: list[str], cells: list[str]) -> None:
    for names in (columns, [*columns[:-1], "night_pain"]):
        sample = pl.DataFrame([pl.Series(name, cells, pl.String) for name in dict.fromkeys(names)])
        text = propose(tuple(sample.columns), sample)
        assert "unticked: no" not in text
        with pytest.raises(MappingRefused, match="draft"):
            load_mapping(text.encode("utf-8", "replace"))


def test_names_that_are_known() -> None:
    def meant(name: str) -> tuple[str, str] | None:
        found = column_meant(name)
        return (found.column, found.unit) if found else None

    assert meant("age_years") == ("age_years", "")
    assert meant("AGE") == ("age_years", "")
    assert meant("Height in inches") == ("height_cm", "inches")
    assert meant("weight_lb") == ("weight_kg", "lb")
    assert meant("systemic___fever") == ("systemic__fever", "")
    assert meant("Pain that wakes at night") == ("night_pain", "")
    assert meant("nigth_pain") == ("night_pain", "")
    assert meant("crp_mg_dl") == ("crp_mg_l", "?")  # the slip is the unit
    assert meant("weight_g") == ("weight_kg", "g")
    assert meant("Miles per week") == ("weekly_km", "miles")
    assert meant("Weekly mileage (km)") == ("weekly_km", "km")
    assert meant("Mileage") == ("weekly_km", "?")
    assert meant("Weight (stone)") == ("weight_kg", "stone") and meant("weight_lbs") == ("weight_kg", "lbs")
    assert meant("Duration (months)") == ("duration_weeks", "months") and meant("Duration in days")[1:] == ("days",)  # type: ignore[index]
    assert meant("colour") is None and meant("") is None


def test_the_synonyms_go_with_the_form() -> None:
    known = synonyms()
    assert known.columns.keys() | known.answers.keys() <= questions().keys()
    for column, names in known.columns.items():
        for name in names:
            found = column_meant(name)
            assert found is not None and found.column == column, name
    names_of_all = {name for names in known.columns.values() for name in names}
    for name, unit in known.units.items():
        found = column_meant(name)
        assert name in names_of_all and found is not None and found.unit == unit
        assert unit == "?" or unit in units_to(questions()[found.column].unit), name
    assert set(known.no).isdisjoint(known.not_ticked) and set(known.no).isdisjoint(known.yes)
    for column, answers in known.answers.items():
        assert set(answers.values()) <= set(questions()[column].choices)
    for question in form():
        for answer in question.choices:
            assert answer_meant(question, answer.upper()) == answer
