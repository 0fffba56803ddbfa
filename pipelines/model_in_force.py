"""Which model is in force in a home, and with it the versions that scores carry.

Belongs here: following the pointer. Does not load the model: commands that only count what waits do without it.
"""

from pathlib import Path

from models.basis import RULES_ONLY
from models.catalogue import load_catalogue
from models.knowledge_files import catalogue_version
from models.model_file import ModelRefused, checked_manifest, default_locked_folder
from models.rule_files import load_rules
from schemas.contract import contract_version
from warehouse.home import Home
from warehouse.scores import Versions

POINTER = "current"


def model_folder(home: Home) -> Path:
    """Folder of the model in force: the one the home's pointer names, else the model of this release."""
    pointer = home.models / POINTER
    if not pointer.exists():
        return default_locked_folder()
    name = pointer.read_text("utf-8").strip()
    return home.models / name if name.isalnum() else home.models / "no-such-model"


def versions_in_force(home: Home) -> Versions:
    """Versions of the next scores, read from manifests and files alone."""
    catalogue = load_catalogue()
    try:
        model_version = str(checked_manifest(model_folder(home), catalogue)["model_version"])
    except ModelRefused:
        model_version = RULES_ONLY
    return Versions(model_version, catalogue_version(), load_rules().version, contract_version())
