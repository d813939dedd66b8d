"""What the documents show can be sent to a real server as it stands, and gives what they promise."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from fhir_server.rest.openapi import OpenApi

JSON = {"content-type": "application/fhir+json"}
REFERRAL = ["Patient", "ServiceRequest", "Task", "Encounter", "Coverage", "Observation", "DiagnosticReport"]


def body_of(documents: OpenApi, type: str, name: str) -> Any:
    return orjson.loads(documents.of_type(type))["components"]["examples"][name]["value"]


async def test_every_example_can_be_created(documents: OpenApi, client: httpx.AsyncClient) -> None:
    refused = {}
    for type in documents.names[1:]:
        body = orjson.dumps(body_of(documents, type, type))
        answer = await client.post(f"/fhir/{type}", content=body, headers=JSON)
        if answer.status_code != 201:
            refused[type] = answer.text
    assert refused == {}


@pytest.mark.parametrize("type", REFERRAL)
async def test_an_example_can_be_put_read_patched_found_and_deleted(
    documents: OpenApi, client: httpx.AsyncClient, type: str
) -> None:
    document = orjson.loads(documents.of_type(type))
    put = orjson.dumps(body_of(documents, type, f"{type}-example"))
    patch = document["paths"][f"/{type}/{{id}}"]["patch"]["requestBody"]["content"]
    (media_type, content), *_ = patch.items()
    address = f"/fhir/{type}/example"
    statuses = [
        (await client.put(address, content=put, headers=JSON)).status_code,
        (await client.get(address)).status_code,
        (await client.get(f"{address}/_history/1")).status_code,
        (
            await client.patch(
                address, content=orjson.dumps(content["example"]), headers={"content-type": media_type}
            )
        ).status_code,
        (await client.get(f"{address}/_history")).status_code,
        (await client.post(f"/fhir/{type}/_search", data={"_id": "example"})).status_code,
        (await client.delete(address)).status_code,
        (await client.get(address)).status_code,
    ]
    assert statuses == [201, 200, 200, 200, 200, 200, 204, 410]


async def test_the_transaction_can_be_sent(documents: OpenApi, client: httpx.AsyncClient) -> None:
    bundle = orjson.loads(documents.of_system())["components"]["examples"]["System-transaction"]["value"]
    answer = await client.post("/fhir", content=orjson.dumps(bundle), headers=JSON)
    assert answer.status_code == 200
    assert [entry["response"]["status"][:3] for entry in answer.json()["entry"]] == ["201", "201"]
