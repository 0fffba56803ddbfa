"""Which model is in force in a home, and with it the versions that scores carry.

Belongs here: following the pointer, and settling a change that a process died over. Does not belong here: the pointer
itself (``warehouse.model_pointer``), changing which model is in force (``pipelines.changes.promotion``). Loads a model
only where it says so: commands that only count what waits do without it.
"""

from dataclasses import replace
from pathlib import Path

from models.basis import RULES_ONLY, Basis, load_basis
from models.catalogue import load_catalogue
from models.knowledge_changes import NO_CHANGES, KnowledgeChanges
from models.knowledge_files import catalogue_version
from models.model_file import ModelRefused, checked_manifest, default_locked_folder, read_manifest
from models.rule_files import load_rules
from schemas.contract import contract_version
from warehouse import model_history
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.model_pointer import InForce, point_to, pointed_to
from warehouse.scores import Versions

_NONE_SUCH = "no-such-model"  # loading it is refused, which leaves rules alone


def in_force(home: Home) -> InForce:
    """What the pointer says, else the model of this release. Raises ModelRefused where that one has no manifest."""
    return pointed_to(home) or InForce(str(read_manifest(default_locked_folder())["model_version"]))


def model_folder(home: Home) -> Path:
    """Folder of the model that the pointer names, suspended or not, else of the model of this release.

    A pointer that names nothing gives a folder that does not exist.
    """
    pointed = pointed_to(home)
    if pointed is None:
        return default_locked_folder()
    return home.models / (pointed.version if pointed.version.isalnum() else _NONE_SUCH)


def basis_in_force(home: Home, changed: KnowledgeChanges = NO_CHANGES) -> Basis:
    """Knowledge and model of the next scores, loaded; rules alone where the model is suspended or refused.

    ``changed``: files in place of the release's knowledge, of a shadow only. Raises KnowledgeError for these.
    """
    pointed = pointed_to(home)
    if pointed and pointed.suspended:
        none = load_basis(home.models / _NONE_SUCH, changed)
        return replace(none, model_refusal=f"model {pointed.version} is suspended")
    return load_basis(model_folder(home), changed)


def versions_in_force(home: Home) -> Versions:
    """Versions of the next scores, read from manifests and files alone."""
    pointed = pointed_to(home)
    try:
        model_version = str(checked_manifest(model_folder(home), load_catalogue())["model_version"])
    except ModelRefused:
        model_version = RULES_ONLY
    if pointed and pointed.suspended:
        model_version = RULES_ONLY
    return Versions(model_version, catalogue_version(), load_rules().version, contract_version())


def versions_of(basis: Basis) -> Versions:
    """Versions of the scores that a basis gives."""
    return Versions(basis.model_version, basis.catalogue_version, basis.rules.version, contract_version())


def settle(home: Home) -> None:
    """Make the last recorded change of model where a process died before it could, or has only just recorded it.

    A change that has been published is left alone: what the pointer says since then was said by a person. Raises
    WarehouseBusy, WarehouseRefused.
    """
    with holding(home, "change the model in force"):
        change = model_history.unpublished(home)
        if change and pointed_to(home) != change.after:
            point_to(home, change.after)
