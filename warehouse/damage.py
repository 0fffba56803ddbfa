"""How DuckDB says that a file is damaged or a disk full, whichever step comes upon it.

Belongs here: telling these from every other error, by DuckDB's own words, which go no further. It has no kind of
error of its own for it: a file that was cut short, overwritten or has a block with another checksum gives an IO error,
or an error of the statement that reads on.
"""

from __future__ import annotations

import duckdb

_SAID = ("Corrupt database file", "is not a valid DuckDB database file", "Could not read enough bytes")
_SAID_OF_A_FULL_DISK = ("No space left", "File too large", "failed to offload", "max_temp_directory_size")


def is_damage(error: duckdb.Error) -> bool:
    """Whether the error says that a DuckDB file is damaged."""
    return any(said in str(error) for said in _SAID)


def wants_room(error: duckdb.Error) -> bool:
    """Whether the error says that the disk has no room for what was to be written."""
    return any(said in str(error) for said in _SAID_OF_A_FULL_DISK)
