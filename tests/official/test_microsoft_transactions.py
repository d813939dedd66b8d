"""Microsoft's transaction and batch fixtures, each posted to an empty server.

What a fixture means to show is said by its name; MEANT puts it down. Differences are named, with the standard's words,
in ``known_differences_microsoft.txt``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from microsoft import fixtures, known_differences

Json = dict[str, Any]
DONE = "done"
"""A transaction with every entry carried out."""
REFUSED = "refused"
"""Nothing of it is done."""

MEANT = {
    "Bundle-Batch": "201 201 201 201 412 204 204 404 200 404",
    "Bundle-BatchWithConditionalUpdateByIdentifier": "201 201 201 201",
    "Bundle-BatchWithDuplicatedItems": "201 201 200 200 204 204 404 200 404",
    "Bundle-BatchWithInvalidEleEnums": "422 201 422 201 422 204 204 404 200 404",
    "Bundle-BinaryPatch": "201 200",
    "Bundle-ChainingSortAndSearchValidation": DONE,
    "Bundle-FhirPatch": "201 200 200",
    "Bundle-InvalidBundleType": REFUSED,
    "Bundle-MissingIdentifier": "404",
    "Bundle-Transaction": DONE,
    "Bundle-TransactionForRollBack": REFUSED,
    "Bundle-TransactionForRollBackWithDelete": REFUSED,
    "Bundle-TransactionWithAllValidRoutes": DONE,
    "Bundle-TransactionWithConditionalCreateAndReference": DONE,
    "Bundle-TransactionWithConditionalReferenceInResourceBody": REFUSED,
    "Bundle-TransactionWithConditionalReferenceReferringToSameResource": REFUSED,
    "Bundle-TransactionWithConditionalUpdateAndReference": DONE,
    "Bundle-TransactionWithForeignReferenceInResourceBody": DONE,
    "Bundle-TransactionWithInvalidBundleEntry": REFUSED,
    "Bundle-TransactionWithInvalidProcessingRecord": REFUSED,
    "Bundle-TransactionWithInvalidProcessingRoutes": REFUSED,
    "Bundle-TransactionWithInvalidResourceType": REFUSED,
    "Bundle-TransactionWithMetaHistory": DONE,
    "Bundle-TransactionWithMultipleEntriesModifyingSameResource": REFUSED,
    "Bundle-TransactionWithMultipleResourcesWithSameFullUrl": REFUSED,
    "Bundle-TransactionWithPOSTFullUrlMatchesWithPUTRequestUrl": DONE,
    "Bundle-TransactionWithReferenceInResourceBody": REFUSED,
    "Bundle-TransactionWithValidBundleEntry": DONE,
    "Bundle-TypeMissing": REFUSED,
}
"""Fixture → what comes of it on an empty server: a transaction as a whole, the status of each entry of a batch."""

FINDABLE = {
    "Bundle-TransactionWithConditionalReferenceInResourceBody": ("", "12345"),
    "Bundle-TransactionWithReferenceInResourceBody": ("http:/example.org/fhir/ids", "234234"),
}
"""Fixture → the identifier (system, value) of the Patient that its conditional references name."""


async def outcome(client: httpx.AsyncClient, raw: bytes) -> str:
    """What came of it, in the words of MEANT; another status of a whole transaction as digits."""
    before = await _count(client)
    answer = await client.post("/fhir", content=raw, headers={"Content-Type": "application/fhir+json"})
    if answer.status_code != 200:
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert 400 <= answer.status_code < 500
        assert await _count(client) == before, "something was written all the same"
        return str(answer.status_code)
    bundle = answer.json()
    statuses = [entry["response"]["status"][:3] for entry in bundle["entry"]]
    is_done = bundle["type"] == "transaction-response" and all(status[0] == "2" for status in statuses)
    return DONE if is_done else " ".join(statuses)


def as_meant(came: str, meant: str) -> bool:
    return came == meant or (meant == REFUSED and came.isdigit())


async def _count(client: httpx.AsyncClient) -> int:
    return int((await client.get("/fhir/_history?_count=0")).json()["total"])


@pytest.mark.parametrize("name", MEANT)
async def test_it_comes_out_as_meant_or_as_the_standard_says(
    shared: Path, client: httpx.AsyncClient, name: str
) -> None:
    came = await outcome(client, fixtures(shared)[f"{name}.json"])
    if name in known_differences():
        assert came == known_differences()[name][0]
        assert not as_meant(came, MEANT[name]), "it comes out as meant: take it off the list"
    else:
        assert as_meant(came, MEANT[name]), came


def test_every_bundle_and_every_difference_is_in_the_table(shared: Path) -> None:
    bundles = {name.removesuffix(".json") for name in fixtures(shared) if name.startswith("Bundle-")}
    assert bundles == set(MEANT)
    assert set(known_differences()) <= set(MEANT)


@pytest.mark.parametrize("name", FINDABLE)
async def test_conditional_references_are_resolved_when_they_can_be(
    shared: Path, client: httpx.AsyncClient, name: str
) -> None:
    system, value = FINDABLE[name]
    identifier = {"system": system, "value": value} if system else {"value": value}
    patient = {"resourceType": "Patient", "identifier": [identifier]}
    id = (await client.post("/fhir/Patient", json=patient)).json()["id"]
    raw = fixtures(shared)[f"{name}.json"]
    assert await outcome(client, raw) == DONE
    resources = [entry["resource"] for entry in orjson.loads(raw)["entry"]]
    waiting = [
        each["resourceType"] for each in resources if "?" in each.get("subject", {}).get("reference", "")
    ]
    assert waiting
    for type in waiting:
        answer = await client.get(f"/fhir/{type}", params={"subject": f"Patient/{id}", "_total": "accurate"})
        assert answer.json()["total"] == waiting.count(type)


async def test_planted_errors_are_noticed(shared: Path, client: httpx.AsyncClient) -> None:
    valid = fixtures(shared)["Bundle-TransactionWithAllValidRoutes.json"]
    assert not as_meant(await outcome(client, valid.replace(b'"Patient"', b'"Planet"', 1)), DONE)
    assert not as_meant(await outcome(client, valid), REFUSED)
    batch = fixtures(shared)["Bundle-Batch.json"]
    assert not as_meant(await outcome(client, batch.replace(b'"DELETE"', b'"GET"', 1)), MEANT["Bundle-Batch"])
