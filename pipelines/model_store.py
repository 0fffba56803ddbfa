"""The stored model versions: those of this home and the one that came with the release.

Belongs here: finding versions and what their manifests say. Reads manifests as JSON only; loads no model
and nothing heavy.
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from warehouse.home import Home
from warehouse.model_pointer import pointed_to


class StoreRefused(Exception):
    """The stored models cannot be told apart; the message is one plain sentence."""


class VersionMissing(Exception):
    """There is no such version; the message is one plain sentence."""


@dataclass(frozen=True)
class ModelVersion:
    """One stored version: what its manifest says, whether it came with the release, and what the pointer makes of it.

    ``state``: "in force", "suspended", or "" for a version that the pointer does not name.
    """

    manifest: dict[str, Any]
    folder: Path
    locked: bool
    state: str

    @property
    def version(self) -> str:
        """The version that scores carry."""
        return str(self.manifest.get("model_version", self.folder.name))


def versions(home: Home) -> list[ModelVersion]:
    """The locked model of the release first, then those of this home, by name; one that lies in both stands once.

    Raises StoreRefused where a manifest cannot be read or the pointer names no version.
    """
    # a folder that is still being made has a name that no version has
    own = [file.parent for file in sorted(home.models.glob("*/manifest.json")) if file.parent.name.isalnum()]
    pointed = pointed_to(home)
    if pointed and pointed.version not in [folder.name for folder in own]:
        raise StoreRefused("the pointer to the model in force names no version: rules alone decide until it does")
    state = "suspended" if pointed and pointed.suspended else "in force"
    found: list[ModelVersion] = []
    locked = Path(str(resources.files("models"))) / "locked"
    if (locked / "manifest.json").is_file():
        manifest = _manifest(locked)
        version = str(manifest.get("model_version"))
        copied = home.models / version if home.models / version in own else locked
        is_now = pointed.version == version if pointed else True
        found.append(ModelVersion(manifest, copied, True, state if is_now else ""))
        own = [folder for folder in own if folder != copied]
    for folder in own:
        is_now = pointed is not None and pointed.version == folder.name
        found.append(ModelVersion(_manifest(folder), folder, False, state if is_now else ""))
    return found


def find(home: Home, version: str | None) -> ModelVersion:
    """The version of this name, or the one that the pointer names. Raises VersionMissing, StoreRefused."""
    for one in versions(home):
        if one.version == version or (version is None and one.state):
            return one
    raise VersionMissing("there is no such model version: see hiptriage model list")


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise StoreRefused("the manifest of a model cannot be read; rules alone decide where it is in force") from None
    if not isinstance(manifest, dict):
        raise StoreRefused("the manifest of a model is not what it should be")
    return manifest
