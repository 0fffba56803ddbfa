"""Which mapping files a clinic's folder keeps: both endings are read, and no version is put back or said twice."""

from __future__ import annotations

import pytest

from schemas.mapping.mapping_file import MappingRefused
from schemas.problems import FileRefused
from warehouse.home import Home
from warehouse.reading_plan import adopt, mappings_of


def rules(version: int, source: str = "s") -> bytes:
    columns = "columns:\n  record_id: {from: Nr}\n  submitted_at: {from: When}\n"
    return f"name: m\nversion: {version}\nsource: {source}\n{columns}".encode()


def kept(home: Home) -> list[tuple[str, str]]:
    return [(mapping.described, mapping.rules.source) for mapping in mappings_of(home, "north")]


def test_a_version_is_not_put_back_nor_given_other_content(home: Home) -> None:
    adopt(home, "north", rules(7))
    adopt(home, "north", rules(7) + b"# a note\n")
    for lower_or_other in (rules(6), rules(1), rules(7, "other")):
        with pytest.raises(MappingRefused, match="m version 7 is kept already"):
            adopt(home, "north", lower_or_other)
    assert kept(home) == [("m version 7", "s")]
    adopt(home, "north", rules(8, "other"))
    assert kept(home) == [("m version 8", "other")]


@pytest.mark.parametrize("ending", ["yml", "yaml", "YML"])
def test_both_endings_of_yaml_are_read(home: Home, ending: str) -> None:
    folder = home.mappings / "north"
    folder.mkdir(parents=True)
    file = folder / f"ours.{ending}"
    file.write_bytes(rules(2))
    assert kept(home) == [("m version 2", "s")]
    adopt(home, "north", rules(3))
    assert kept(home) == [("m version 3", "s")] and [one.name for one in folder.iterdir()] == [file.name]
    file.write_bytes(b"nonsense")
    with pytest.raises(FileRefused) as refused:
        mappings_of(home, "north")
    assert refused.value.code == "unusable_mapping"
    adopt(home, "north", rules(1))  # what cannot be used keeps nothing out
