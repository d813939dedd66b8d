"""Contained resources as a search sees them: types of their own, arms of their own, found through their container.

A contained Medication is kept as a record of the internal type ``_Contained.Medication`` beside its container; its
rows are those of a Medication, under keys that lie beyond all arms. Who has none contained pays nothing.
Source: FHIR R4 search.html#contained, references.html#contained.
"""

from __future__ import annotations

from typing import Final

from fhir_server.search.parameters import arm_key

PREFIX: Final = "_Contained."
BEYOND: Final = 2**31
"""Added to the key of an arm, which has 31 bits."""
CONTAINED_ID: Final = BEYOND + arm_key(PREFIX, "id", "token")
"""The arm of the ids that contained resources have in their container."""


def contained_type(type: str) -> str:
    """The internal type of contained resources of ``type``."""
    return PREFIX + type


def contained_key(key: int) -> int:
    """The arm under which the values of contained resources are kept that stand under ``key`` otherwise."""
    return key + BEYOND


def is_contained(type: str) -> bool:
    """True for an internal type of contained resources."""
    return type.startswith(PREFIX)


def plain_type(type: str) -> str:
    """The resource type of ``contained_type``."""
    return type.removeprefix(PREFIX)
