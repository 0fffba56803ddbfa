"""Imports inside functions are not seen until somebody calls them: each has to lead somewhere."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("schemas", "models", "warehouse", "pipelines")


@pytest.mark.parametrize("package", OURS)
def test_every_import_of_our_own_leads_somewhere(package: str) -> None:
    lost = []
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
                lost += [f"{file.name}: {node.module}.{name.name}" for name in node.names if not _is(node.module, name)]
    assert lost == []


def _is(module: str, name: ast.alias) -> bool:
    there = hasattr(importlib.import_module(module), name.name)
    return there or importlib.util.find_spec(f"{module}.{name.name}") is not None
