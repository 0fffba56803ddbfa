"""How a file of a clinic is read: by one of the clinic's mapping files, or by a reading that the product knows.

Belongs here: finding and keeping mapping files. Does not belong here: what a mapping may say (``schemas.mapping``).
A mapping belongs to the place its files come from: ``mappings/<clinic>/`` or, for files that name their own clinics,
``mappings/``. Which of them a file is read with depends on its columns alone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from schemas.mapping.mapping_file import Mapping, MappingRefused, load_mapping
from schemas.mapping.plan import Plan, plan_for
from schemas.problems import FileRefused
from warehouse.formats.block import Source
from warehouse.home import Home


def mappings_of(home: Home, clinic: str) -> list[Mapping]:
    """The mappings of a clinic's folder ('' for files that name their clinics), by file name.

    Raises FileRefused (unusable_mapping): a file must not be read without the mapping that its clinic declared.
    """
    folder = home.mappings / clinic
    try:
        return [load_mapping(file.read_bytes()) for file in mapping_files(folder)]
    except (MappingRefused, OSError):
        raise FileRefused("unusable_mapping") from None


def mapping_files(folder: Path) -> list[Path]:
    """The mapping files that a folder keeps, ``.yaml`` and ``.yml``, by name."""
    return sorted(file for file in folder.glob("*") if file.suffix.lower() in (".yaml", ".yml"))


def plan_of(home: Home, source: Source, clinic: str) -> Plan:
    """How to read ``source``, which came from ``clinic`` ('' where each row names its own). Raises FileRefused."""
    return plan_with(source, mappings_of(home, clinic), clinic_known=bool(clinic))


def plan_with(source: Source, mappings: Sequence[Mapping], *, clinic_known: bool) -> Plan:
    """The same with ``mappings`` to choose from; ``clinic_known``: the clinic is named from outside."""
    header = source.header
    return plan_for(
        header.columns,
        typed=header.typed,
        delimiter=header.delimiter,
        format=header.format,
        mappings=mappings,
        clinic_known=clinic_known,
    )


def adopt(home: Home, clinic: str, text: bytes) -> Mapping:
    """Check a mapping file and keep it as the clinic's, in place of an earlier version of the same name.

    Raises MappingRefused, also where a later version is kept, or the same one with other content: two contents under
    one version could not be told apart beside the records read with them.
    """
    mapping = load_mapping(text)
    folder = home.mappings / clinic
    target = folder / f"{mapping.name}.yaml"
    for file, kept in _usable(folder):
        if kept.name != mapping.name:
            continue
        if kept.version > mapping.version:
            raise MappingRefused(f"{kept.described} is kept already, and this is version {mapping.version}")
        if kept.version == mapping.version and kept.digest != mapping.digest:
            raise MappingRefused(f"{kept.described} is kept already and says something else: give this a new version")
        target = file
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as half:
        half.write(text)
        half.flush()
        os.fsync(half.fileno())
    Path(half.name).replace(target)
    return mapping


def _usable(folder: Path) -> Iterator[tuple[Path, Mapping]]:
    """The kept mappings that can be used; a broken one may be replaced by any version."""
    for file in mapping_files(folder):
        with suppress(MappingRefused, OSError):
            yield file, load_mapping(file.read_bytes())


def note_mapping(connection: duckdb.DuckDBPyConnection, batch_id: str, mapping: Mapping | None) -> None:
    """Enter with which mapping a batch was read, and the mapping as it was then."""
    if mapping is None:
        return
    now = datetime.now(UTC)
    connection.execute(
        "INSERT OR IGNORE INTO intake_mapping VALUES (?, ?, ?, ?)",
        [mapping.digest, mapping.described, mapping.text, now],
    )
    connection.execute("INSERT INTO intake_read_with VALUES (?, ?, ?)", [batch_id, mapping.digest, now])
