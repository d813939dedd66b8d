"""Public packs are loaded whole, and what is read back is what was sent.

Except for ``id``, ``meta`` and references that had to be resolved; numbers are compared as text. The defective
examples of R4 are named in ``known_defective_examples.txt``.
"""

import tarfile
from pathlib import Path

import orjson
import pytest

from fhir_server.errors import Unprocessable
from fhir_server.interactions.create import create
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.model.exact import ExactNumber, loads_exact
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM

DEFECTIVE = {
    row.split("|")[1].strip()
    for row in Path(__file__).with_name("known_defective_examples.txt").read_text("utf-8").splitlines()
    if row.startswith("r4-examples ")
}


def members(shared, pack):
    """(name, bytes) of the JSON files of a pack, what others point at first."""
    file = shared / "data" / f"{pack}.tar.xz"
    if not file.exists():
        pytest.skip(f"{file.name} is not there")
    with tarfile.open(file, "r:xz") as archive:
        held = [
            (m.name, archive.extractfile(m).read())
            for m in archive
            if m.isfile() and m.name.endswith(".json")
        ]
    return sorted(held, key=lambda item: (not Path(item[0]).name.startswith("00-"), item[0]))


def differences(sent, got, resolved, path=""):
    """Where ``got`` is not what was sent; references that had to be resolved are collected in ``resolved``."""
    if (
        path.endswith(".reference")
        and isinstance(sent, str)
        and ("?" in sent or sent.startswith("urn:uuid:"))
    ):
        resolved.append(got)
    elif isinstance(sent, dict) and isinstance(got, dict):
        if list(sent) != list(got):
            yield f"{path}: members {list(sent)} became {list(got)}"
        for name in sent:
            yield from differences(sent[name], got.get(name), resolved, f"{path}.{name}")
    elif isinstance(sent, list) and isinstance(got, list) and len(sent) == len(got):
        for index, (one, other) in enumerate(zip(sent, got, strict=True)):
            yield from differences(one, other, resolved, f"{path}[{index}]")
    elif text(sent) != text(got):
        yield f"{path}: differs"


def text(value):
    return value.text if isinstance(value, ExactNumber) else value


def bare(raw):
    tree = loads_exact(raw)
    return {name: value for name, value in tree.items() if name not in {"id", "meta"}}


def test_a_changed_number_is_noticed():
    sent, got = loads_exact(b'{"a":[{"value":1.00}],"b":1}'), loads_exact(b'{"a":[{"value":1.0}],"b":1}')
    assert list(differences(sent, got, [])) == [".a[0].value: differs"]
    assert list(differences(loads_exact(b'{"a":1,"b":2}'), loads_exact(b'{"b":2,"a":1}'), [])) != []


async def round_trip(server, bundles):
    count, resolved = 0, []
    for name, raw in bundles:
        sent = loads_exact(raw)["entry"]
        done = await transaction(server, SYSTEM, Resource.parse(raw))
        answers = orjson.loads(done.resource)["entry"]
        assert [answer["response"]["status"][:3] for answer in answers] == ["201"] * len(sent), name
        for entry, answer in zip(sent, answers, strict=True):
            type, id = answer["response"]["location"].split("/_history/")[0].split("/")[-2:]
            kept = await server.store.read(type, id)
            wanted = {name: value for name, value in entry["resource"].items() if name not in {"id", "meta"}}
            assert list(differences(wanted, bare(kept.content), resolved)) == [], f"{name} {type}/{id}"
            count += 1
    return count, set(resolved)


async def check_references(server, references):
    pairs = [tuple(reference.split("/")) for reference in references]
    assert all(len(pair) == 2 for pair in pairs), "an unresolved reference"
    assert len(await server.store.read_many(pairs)) == len(pairs)


@pytest.mark.parametrize(("pack", "least"), [("synthea-small-20", 5000), ("synthea-medium-150", 46000)])
async def test_synthea_transactions_come_back_as_sent(server, shared, pack, least):
    count, references = await round_trip(server, members(shared, pack))
    assert count > least
    await check_references(server, references)


async def test_every_official_example_comes_back_as_sent(server, shared):
    refused = set()
    for name, raw in members(shared, "r4-examples"):
        resource = Resource.parse(raw)
        try:
            writing = (
                update(server, SYSTEM, resource, id=resource.id)
                if resource.id
                else create(server, SYSTEM, resource)
            )
            done = await writing
        except Unprocessable:
            refused.add(name.split("instances/")[-1])
            continue
        assert list(differences(bare(raw), bare(done.record.content), [])) == [], name
    assert refused == DEFECTIVE
