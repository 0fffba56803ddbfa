"""Putting the names and texts of the knowledge files into sentences for people.

Belongs here: small changes of wording that several columns need. Does not belong here: what is said
(``models.priority``, ``models.asking``).
"""

from __future__ import annotations

CRITERION = "Meets a published criterion for "
ONE_TIER = ": one tier more urgent"


def in_a_sentence(words: str) -> str:
    """``words`` without their full stop and with a small first letter, unless it begins an abbreviation or "X-ray"."""
    words = words.rstrip(".")
    return words if words[1:2].isupper() or words[1:2] == "-" else words[:1].lower() + words[1:]


def rule_in_a_sentence(text: str) -> str:
    """What a rule is about, to stand behind "the rule: "; without the words that open every published criterion."""
    return in_a_sentence(text.removeprefix(CRITERION))


def raise_in_a_sentence(text: str) -> str:
    """What a rule that raises one tier is about, without the words that say so."""
    return in_a_sentence(text).removesuffix(ONE_TIER)


def rule_in_doubt(text: str) -> str:
    """One sentence that an emergency rule of this ``text`` is met in part and the rest not known."""
    if text.startswith(CRITERION):
        topic, _, detail = text.removeprefix(CRITERION).rstrip(".").partition(": ")
        return f"Meets part of a published criterion for {topic}, and the rest is not known: {detail}."
    return f"Meets part of an emergency rule, and the rest is not known: {in_a_sentence(text)}."
