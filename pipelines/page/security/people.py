"""Who is asking, and what a role may see and do.

Belongs here: roles, rights and clinics of one person. Does not belong here: how somebody proves who they are
(``pipelines.page.security.signing_in``), what is set about people (``warehouse.settings``).
"""

from dataclasses import dataclass
from typing import Literal

Role = Literal["reader", "clinician", "analyst", "manager", "local"]
Right = Literal["about", "worklist", "answers", "try", "enter", "export", "aggregates"]

# about: what the page is for. worklist: lists and records. answers: sensitive answers and notes. try: what one more
# answer would change; who may ask that of a record again and again finds out its sensitive answers. enter: decisions,
# outcomes and safety concerns. local is whoever sits at the machine while nobody is named in the settings: that account
# owns the files anyway, enters under the name typed into the form, and sees no sensitive answer here because the page
# cannot know who it is.
RIGHTS: dict[Role, frozenset[Right]] = {
    "reader": frozenset({"about", "worklist"}),
    "clinician": frozenset({"about", "worklist", "answers", "try", "enter", "export", "aggregates"}),
    "analyst": frozenset({"about", "worklist", "export", "aggregates"}),
    "manager": frozenset({"about", "aggregates"}),
    "local": frozenset({"about", "worklist", "try", "enter", "export", "aggregates"}),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who asks for a page.

    ``id``: how the settings and the access log call them. ``name``: what stands beside a decision; empty where the page
    does not know it and the form asks. ``clinics``: ids of the clinics they belong to; None means all.
    """

    id: str
    name: str
    role: Role
    clinics: frozenset[str] | None

    def may(self, right: Right) -> bool:
        """Whether the role has this right, in the person's own clinics."""
        return right in RIGHTS[self.role]

    def belongs_to(self, clinic: str) -> bool:
        """Whether the person belongs to the clinic."""
        return self.clinics is None or clinic in self.clinics


LOCAL = Person(id="local", name="", role="local", clinics=None)
