"""What a reader gives, put together: records by number, so that tests can compare them with what was written."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import BinaryIO

from schemas.problems import FileRefused, problems
from warehouse.formats.block import Block, Source


@dataclass(frozen=True, slots=True)
class Read:
    """Columns, cells of the well-formed records by record number (nulls left out), codes of the others, texts."""

    columns: tuple[str, ...]
    cells: dict[int, dict[str, str]]
    broken: dict[int, str]
    texts: list[str]
    sizes: list[int]

    @property
    def records(self) -> list[dict[str, str]]:
        """The well-formed records in order."""
        return [self.cells[number] for number in sorted(self.cells)]


def read(reader: Callable[[BinaryIO], Source], content: bytes, wanted: Collection[str] | None = None) -> Read:
    """Everything the reader gives, after checking that it keeps what ``Block`` promises."""
    source = reader(io.BytesIO(content))
    columns = source.header.columns
    cells, broken, texts, numbers, sizes = {}, {}, [], [], []
    for block in source.blocks(columns if wanted is None else wanted):
        check(block)
        at = block.numbers.to_list()
        numbers += at
        texts += block.texts.to_list()
        sizes.append(len(at))
        for row in block.cells.to_dicts():
            number = at[row.pop("row")]
            cells[number] = {name: cell for name, cell in row.items() if cell is not None}
        broken |= {at[row]: code for row, code in block.broken.rows()}
    assert numbers == list(range(1, len(numbers) + 1))
    return Read(columns, cells, broken, texts, sizes)


def check(block: Block) -> None:
    places = block.cells["row"].to_list() + block.broken["row"].to_list()
    assert sorted(places) == list(range(len(block.numbers)))
    assert len(block.texts) == len(block.numbers)
    assert block.texts.null_count() == 0
    assert {problems()[code].severity for code in block.broken["code"]} <= {"reject"}


def refusal(reader: Callable[[BinaryIO], Source], content: bytes) -> str:
    """The code with which the reader refuses the file; '' if it reads it to the end."""
    try:
        read(reader, content)
    except FileRefused as refused:
        return refused.code
    return ""
