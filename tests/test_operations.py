"""docs/operations.md says of every setting what the program does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import annotated_types as bounds
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from warehouse.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting with its name as it stands in the file; ``ID`` for a clinic or person."""
    for name, field in model.model_fields.items():
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_model(kind)]
        if inner:
            within = f"{prefix}{name}.ID." if name in ("clinics", "people") else f"{prefix}{name}."
            yield from settings_of(inner[0], within)
        else:
            yield f"{prefix}{name}", field


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "for ever"
    return json.dumps(field.default) if field.default != () else "none"


def bounds_of(field: FieldInfo) -> str:
    said = {type(bound): bound for bound in field.metadata}
    low, high = said.get(bounds.Ge), said.get(bounds.Le)
    if bounds.MaxLen in said:
        return f"at most {said[bounds.MaxLen].max_length} signs"
    if bounds.MinLen in said:
        return f"{said[bounds.MinLen].min_length} or more"
    if bounds.Gt in said:
        return f"more than {said[bounds.Gt].gt}"
    return f"{low.ge} to {high.le}" if low and high else f"{low.ge} or more" if low else ""


def test_the_table_names_every_setting_with_its_default_and_bounds() -> None:
    section = PAGE.read_text("utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-zA-Z0-9_.]+)` \| ([^|]*) \| ([^|]*)\|", section, re.MULTILINE)
    stands = {name: (default.strip(), bounds.strip()) for name, default, bounds in rows}
    is_so = {name: (default_of(field), bounds_of(field)) for name, field in settings_of(Settings)}
    assert stands == is_so


def test_the_page_leads_to_pages_that_are_there() -> None:
    for link in re.findall(r"\]\(([a-z-]+\.md)\)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / link).exists(), link
