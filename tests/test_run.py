"""``hiptriage run`` as people use it: from any folder, in a home of its own, with good and bad input.

The first run and the first reading are the installed program in processes of their own; the others are forks of one
process (``tests.forked``), each with Dagster where what a run does with bad input is the point.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from models.model_file import default_locked_folder
from schemas.referral import referral_schema
from tests.commands import Done, hiptriage
from tests.forked import Commands
from warehouse.home import Home
from warehouse.store import opened

pytestmark = pytest.mark.slow

HEADER = (
    "record_id,submitted_at,age_years,sex,weight_bearing,systemic__fever,rest_pain,pain_site__groin,side,"
    "duration_weeks\n"
)
WELL = "a,2026-01-02T10:00:00+00:00,31,female,normal,0,0,1,left,3\n"
ILL = "b,2026-01-02T10:00:00+00:00,31,female,cannot,1,1,1,right,1\n"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Done]:
    """A home, the user's file, and the first run over it, from a folder that has nothing to do with the project."""
    folder = tmp_path_factory.mktemp("user")
    file = folder / "monday.csv"
    file.write_text(HEADER + WELL + ILL)
    home = tmp_path_factory.mktemp("home")
    return (
        home,
        file,
        hiptriage("run", "monday.csv", "--clinic", "north", home=home, cwd=folder, PYTHONWARNINGS="error"),
    )


def test_a_first_run_says_what_became_of_every_record(first: tuple[Path, Path, Done]) -> None:
    home, file, done = first
    assert done.code == 0, done.err
    assert "2 received = 2 accepted + 0 quarantined + 0 duplicate + 0 superseded" in done.out
    assert "0 forms could not be read, 0 with an emergency answer" in done.out
    assert "training" not in done.err.lower()
    assert file.read_text() == HEADER + WELL + ILL
    assert not (home / "landing" / "north").exists()
    assert list((home / "models").iterdir()) == []


def test_the_published_table_has_every_column_and_the_ill_one_first(first: tuple[Path, Path, Done]) -> None:
    listed = hiptriage("worklist", "--clinic", "north", "--format", "json", home=first[0])
    rows = {row["record_id"]: row for row in json.loads(listed.out)}
    wanted = [name for name in referral_schema().names if name != "clock_hours"]
    assert sorted(rows["a"]) == sorted(wanted)
    assert rows["b"]["tier"] == "emergency"
    assert rows["b"]["tier_basis"] == "rule"
    assert rows["b"]["red_flags"]
    assert rows["b"]["see_by"] == rows["b"]["submitted_at"]
    assert rows["b"]["priority_score"] > rows["a"]["priority_score"]
    assert rows["b"]["data_kind"] == "live"


def test_the_same_file_again_is_nothing_new_and_starts_no_dagster(
    commands: Commands, first: tuple[Path, Path, Done]
) -> None:
    home, file, _ = first
    again = commands("run", file, "--clinic", "north", home=home)
    assert again.code == 0
    assert "these bytes came before" in again.out
    assert "nothing new" in again.out
    assert "Dagster" not in again.err


def test_another_home_knows_nothing_of_it(commands: Commands, tmp_path: Path) -> None:
    empty = commands("worklist", home=tmp_path / "elsewhere")
    assert empty.code == 2
    assert "nothing has been published yet" in empty.err


BAD: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 4, "the file holds no bytes"),
    "no header": (b"x,y\n1,2\n", 4, "names no column of the intake form"),
    "missing column": (b"record_id,age_years\na,3\n", 4, "a required column is missing (submitted_at)"),
    "twice": (b"record_id,submitted_at,side,side\n", 4, "stands twice"),
    "encoding": (b"record_id,submitted_at,side\x81,\xc3\xa9\n", 4, "not text in UTF-8, UTF-16 or Windows-1252"),
    "format": (b"%PDF-1.7 no records here", 4, "none of the formats that are read"),
    "header only": (HEADER.encode(), 0, "0 received"),
    "bad cells": (HEADER.encode() + b"c,2026-01-02T10:00:00,31,female,hops,0,0,1,left,3\n", 3, "1 quarantined"),
}


def test_bad_files_get_a_sentence_each_and_the_good_one_beside_them_is_published(
    commands: Commands, tmp_path: Path
) -> None:
    folder, home = tmp_path / "in", tmp_path / "home"
    folder.mkdir()
    for name, (content, _, _) in BAD.items():
        (folder / f"{name}.csv").write_bytes(content)
    (folder / "good.csv").write_text(HEADER + WELL)
    done = commands("run", folder, "--clinic", "north", home=home)
    assert done.code == 4
    assert "6 of 9 files were refused whole" in done.err
    assert "6 files could not be read at all: nobody knows what is in them; hiptriage quarantine list." in done.out
    for _, _, sentence in BAD.values():
        assert sentence in done.out
    assert len(list((home / "archive").iterdir())) == len(BAD) + 1
    assert len(json.loads(commands("worklist", "--format", "json", home=home).out)) == 1
    assert "Traceback" not in done.err
    batch = commands("quarantine", "list", home=home).out.split()[0]
    dealt_with = commands("quarantine", "dismiss", batch, "--by", "Ada", "--reason", "sent_again", home=home)
    assert f"{batch}, the whole file: sent_again, by Ada" in dealt_with.out
    assert "5 files could not be read at all" in dealt_with.out


USAGE = {
    "no such file": (["run", "nowhere.csv"], "no file or folder that exists"),
    "no clinic": (["run", "good.csv"], "no clinic_id column"),
    "bad clinic": (["run", "good.csv", "--clinic", "North Side"], "a clinic id is"),
    "bad kind": (["run", "good.csv", "--data-kind", "dead"], "live"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage_errors_end_with_2_and_load_nothing(commands: Commands, case: str, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(HEADER + WELL)
    arguments, sentence = USAGE[case]
    done = commands(*arguments, home=tmp_path / "home", cwd=tmp_path)
    assert done.code == 2
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_a_second_run_waits_says_who_holds_the_lock_and_ends_with_4(
    commands: Commands, first: tuple[Path, Path, Done]
) -> None:
    home, file, _ = first
    program = textwrap.dedent("""
        import sys
        from warehouse.home import Home
        from warehouse.lock import holding
        with holding(Home.from_environment(), "hiptriage run"):
            print("held", flush=True)
            sys.stdin.readline()
    """)
    other = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"HIPTRIAGE_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout and other.stdout.readline() == "held\n"
        done = commands("run", file, "--clinic", "north", home=home, HIPTRIAGE_LOCK_WAIT_SECONDS="0.5")
        read = commands("worklist", home=home)
    finally:
        other.communicate("\n")
    assert done.code == 4
    assert f"process {other.pid} has held it since" in done.err
    assert read.code == 0


def test_a_warehouse_of_a_newer_version_is_refused_with_4(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(HEADER + WELL)
    home = Home(tmp_path / "home")
    with opened(home, "test") as connection:
        connection.execute("UPDATE warehouse_version SET version = 99")
    done = commands("run", tmp_path / "good.csv", "--clinic", "north", home=home.root)
    assert done.code == 4
    assert "newer version" in done.err


def test_a_model_that_does_not_match_its_hash_leaves_rules_only_with_a_banner(
    commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "good.csv").write_text(HEADER + WELL + ILL)
    home = Home(tmp_path / "home")
    home.ensure()
    shutil.copytree(default_locked_folder(), home.models / "tampered")
    with (home.models / "tampered" / "model.skops").open("ab") as model:
        model.write(b"x")
    (home.models / "current").write_text("tampered\n")
    done = commands("run", tmp_path / "good.csv", "--clinic", "north", home=home.root)
    assert done.code == 0, done.err
    assert "RULES ONLY" in done.err
    listed = commands("worklist", "--format", "json", home=home.root)
    assert "RULES ONLY" in listed.err
    rows = {row["record_id"]: row for row in json.loads(listed.out)}
    assert rows["b"]["tier"] == "emergency"
    assert rows["a"]["tier"] == "soon"
    assert rows["a"]["needs_review"]
    assert rows["a"]["differential"] == []
    assert rows["a"]["model_version"] == "rules-only"
    assert commands("doctor", home=home.root).code == 4
    again = commands("run", home=home.root)
    assert "nothing new" in again.out


def test_an_earlier_answer_is_carried_forward_and_a_correction_keeps_the_clock(
    commands: Commands, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (tmp_path / "1.csv").write_text(HEADER + ILL)
    (tmp_path / "2.csv").write_text(HEADER + "b,2026-01-05T10:00:00+00:00,31,female,,,,1,right,1\n")
    for name in ("1.csv", "2.csv"):
        assert commands("run", tmp_path / name, "--clinic", "north", home=home, with_dagster=False).code == 0
    (row,) = json.loads(commands("worklist", "--format", "json", home=home).out)
    assert row["submitted_at"].startswith("2026-01-05")
    assert row["weight_bearing"] is None
    assert row["tier"] == "emergency"
    assert row["see_by"].startswith("2026-01-02T10:00:00")
    assert row["episode_started_at"].startswith("2026-01-02")


def test_doctor_finds_nothing_wrong_and_then_a_lost_archive_file(
    commands: Commands, first: tuple[Path, Path, Done], tmp_path: Path
) -> None:
    home = tmp_path / "copy"
    shutil.copytree(first[0], home, symlinks=True)
    home.chmod(0o700)
    assert commands("doctor", home=home).code == 0
    next((home / "archive").iterdir()).unlink()
    broken = commands("doctor", home=home)
    assert broken.code == 4
    assert "archived bytes are missing or changed" in broken.out
