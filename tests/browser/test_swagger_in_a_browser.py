"""A person with a browser: logs in at ``/docs``, creates a Patient and finds it, and nothing comes from another host.

Debian's chromium (scripts/debian-packages.txt), driven by playwright; skipped when it is not there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, Request, expect, sync_playwright

from fhir_server.cli.bench.process import free_port, running

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
CLIENT = "browser"
PATIENCE_MS = 20_000

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no browser at {CHROMIUM}")


@dataclass
class Swagger:
    """The open page, and every address that it asked for."""

    page: Page
    base: str
    secret: str
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def listen(self) -> None:
        def note(request: Request) -> None:
            self.asked.append(request.url)

        self.page.on("request", note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def call(self, method: str, path: str) -> Locator:
        """The unfolded block of one call."""
        id = f"Patient-{method}"
        block = self.page.locator(f"[id$='{id}']")
        block.get_by_role("button").first.click()
        expect(block.get_by_text(path, exact=True).first).to_be_visible()
        return block

    def execute(self, block: Locator) -> tuple[str, str]:
        """Status and body of the answer that the page shows."""
        block.get_by_role("button", name="Execute").click()
        answer = block.locator(".live-responses-table .response").first
        expect(answer).to_be_visible()
        status = answer.locator(".response-col_status").inner_text().split()[0]
        return status, answer.locator(".highlight-code").first.inner_text()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a server as people start it, with authentication, and the secret of a client."""
    folder = tmp_path_factory.mktemp("browser")
    store = f"sqlite:///{folder}/fhir.db"
    command = [sys.executable, "-m", "fhir_server", "client", "add", "--store", store, "--id", CLIENT]
    added = subprocess.run(
        [*command, "--organization", "Organization/h1"], capture_output=True, check=True, text=True
    )
    secret = next(line.split()[-1] for line in added.stdout.splitlines() if line.startswith("client secret"))
    port = free_port()
    environment = {"FHIR_STORE": store, "FHIR_MLLP_PORT": "0", "FHIR_PORT": str(port), "FHIR_AUTH": "on"}
    serve = ["-m", "fhir_server", "serve", "--no-demo"]
    with running(serve, port, "/health/ready", environment, folder / "server.log"):
        yield f"http://127.0.0.1:{port}", secret


@pytest.fixture(scope="module")
def swagger(served: tuple[str, str]) -> Iterator[Swagger]:
    base, secret = served
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        opened = Swagger(page, base, secret)
        opened.listen()
        yield opened
        browser.close()


def log_in(swagger: Swagger) -> None:
    page = swagger.page
    page.goto(f"{swagger.base}/docs#Patient")
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".auth-container")
    dialog.locator("#client_id_clientCredentials").fill(CLIENT)
    dialog.locator("#client_secret_clientCredentials").fill(swagger.secret)
    dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
    expect(dialog.get_by_role("heading", name="Authorized")).to_be_visible()
    dialog.locator(".btn-done").click()


def test_a_person_creates_a_patient_and_finds_it(swagger: Swagger) -> None:
    log_in(swagger)
    create = swagger.call("create-post", "/Patient")
    status, body = swagger.execute(create)
    assert (status, '"resourceType": "Patient"' in body) == ("201", True)
    search = swagger.call("search-type-get-criteria", "/Patient")
    search.locator("tr[data-param-name='gender'] input").fill("male")
    status, body = swagger.execute(search)
    assert (status, '"type": "searchset"' in body) == ("200", True)
    assert '"fullUrl"' in body
    assert any(address.endswith("/fhir/Patient?gender=male") for address in swagger.asked)
    assert swagger.errors == []


def hosts(swagger: Swagger) -> set[str]:
    """Whom the page asked for anything; what stands in the page itself (data:) is nobody's."""
    addresses = [urlsplit(address) for address in swagger.asked]
    return {each.netloc for each in addresses if each.scheme != "data"}


def test_nothing_comes_from_another_host(swagger: Swagger) -> None:
    swagger.page.goto(f"{swagger.base}/docs#System")
    expect(swagger.page.get_by_text("/metadata", exact=True).first).to_be_visible()
    assert hosts(swagger) == {urlsplit(swagger.base).netloc}


def test_what_comes_from_another_host_would_be_seen(swagger: Swagger) -> None:
    browser = swagger.page.context.browser
    assert browser is not None
    other = Swagger(browser.new_page(), swagger.base, "")
    other.listen()
    other.page.set_content("<img src='http://elsewhere.invalid/x.png'>")
    assert hosts(other) == {"elsewhere.invalid"}
