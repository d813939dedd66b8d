"""The page and its files: from this package only, under a strict policy."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

import fhir_server.rest.swagger
from fhir_server.errors import FhirError
from fhir_server.rest.openapi import OpenApi
from fhir_server.rest.swagger import documentation_router
from fhir_server.rest.swagger.routes import MEDIA_TYPES

STATIC = Path(fhir_server.rest.swagger.__file__).parent / "static"
ROOT = Path(__file__).parents[2]


async def tell(_: Request, error: Any) -> JSONResponse:
    return JSONResponse(error.outcome(), status_code=error.status)


@pytest.fixture
async def browser(documents: OpenApi) -> AsyncIterator[httpx.AsyncClient]:
    site = FastAPI(docs_url=None, openapi_url=None)
    site.add_exception_handler(FhirError, tell)
    site.include_router(documentation_router(documents))
    transport = httpx.ASGITransport(site)
    async with httpx.AsyncClient(transport=transport, base_url="http://fhir.test", trust_env=False) as http:
        yield http


async def test_page_allows_nothing_from_elsewhere(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/docs")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:", policy)
    assert "<script>" not in answer.text
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", answer.text)


async def test_every_file_that_the_page_names_is_served(browser: httpx.AsyncClient) -> None:
    named = re.findall(r'(?:src|href)="(docs/static/[^"]+)"', (await browser.get("/docs")).text)
    assert len(named) == 5
    for path in named:
        answer = await browser.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == MEDIA_TYPES[path.removeprefix("docs/static/")]


async def test_exactly_the_files_of_the_folder_are_served(browser: httpx.AsyncClient) -> None:
    files = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file()}
    assert files == MEDIA_TYPES.keys()
    for name in ("../routes.py", "vendor/../../__init__.py", "vendor", "nothing.js"):
        answer = await browser.get(f"/docs/static/{name.replace('..', '%2e%2e')}")
        assert answer.status_code == 404
        assert answer.json()["resourceType"] == "OperationOutcome"


def test_our_own_script_asks_only_this_server() -> None:
    text = (STATIC / "docs.js").read_text("utf-8")
    assert not re.search(r"https?://", text)
    assert "validatorUrl: null" in text


async def test_what_the_browser_has_is_not_sent_again(browser: httpx.AsyncClient) -> None:
    for path in ("/docs/static/vendor/swagger-ui-bundle.js", "/openapi/Patient.json"):
        tag = (await browser.get(path)).headers["etag"]
        again = await browser.get(path, headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")


async def test_documents_are_served_by_name(browser: httpx.AsyncClient, documents: OpenApi) -> None:
    assert (await browser.get("/openapi/index.json")).json() == documents.names
    assert (await browser.get("/openapi/Patient.json")).json()["info"]["title"] == "FHIR server: Patient"
    assert (await browser.get("/openapi/System.json")).json()["info"]["title"] == "FHIR server: System"
    assert (await browser.get("/openapi.json")).content == documents.whole()


async def test_unknown_document_is_not_found(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/openapi/Patience.json")
    assert answer.status_code == 404
    assert "/openapi/index.json" in answer.json()["issue"][0]["details"]["text"]


def test_vendoring_refuses_an_archive_that_is_not_the_pinned_one(tmp_path: Path) -> None:
    archive = tmp_path / "other.tgz"
    archive.write_bytes(b"not the package")
    script = ROOT / "scripts" / "vendor_swagger.py"
    run = subprocess.run(
        [sys.executable, script, "--archive", archive, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "expected" in run.stderr
    assert not (tmp_path / "out").exists()
