"""The numbers that decide how a search is done, so small that a few resources are a large database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

import pytest

from fhir_server.stores.mongo import compile as mongo_compile
from fhir_server.stores.mongo import relations as mongo_relations
from fhir_server.stores.mongo.conditions import words as mongo_words
from fhir_server.stores.sqlite import choice, relations, sorting
from fhir_server.stores.sqlite.conditions import term

Limits = Mapping[ModuleType, Mapping[str, int]]

SQLITE: Limits = {
    choice: {"FEW": 1, "MANY": 2},
    relations: {"NAMED": 0, "REFERRING": 0},
    sorting: {"SORTED_WHOLE": 1, "SORTED_COSTLY": 1, "MANY": 2},
    term: {"SEVERAL": 1},
}
MONGO: Limits = {
    mongo_compile: {"MOST_SHARDS": 0},
    mongo_relations: {"NAMED": 0},
    mongo_words: {"NAMED": 0},
}


@contextmanager
def as_if_large(*engines: Limits) -> Iterator[None]:
    """Have these engines search as in a large database."""
    with pytest.MonkeyPatch.context() as patch:
        for limits in engines:
            for module, numbers in limits.items():
                for name, number in numbers.items():
                    patch.setattr(module, name, number)
        yield
