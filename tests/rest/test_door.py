"""What surrounds every request: base address, request id, authentication off, metrics, log, lifespan."""

import re

import pytest

from fhir_server.app import build, create, fhir_base
from fhir_server.errors import StoreUnavailable
from fhir_server.rest.endpoint import MOST_BASES
from fhir_server.rest.routes import MOST_MADE


async def test_links_follow_the_host_the_client_used(client, post):
    location = (await post("Patient", Host="fhir.example.org:8443")).headers["location"]
    assert location.startswith("http://fhir.example.org:8443/fhir/Patient/")


@pytest.mark.parametrize("host", ["a b", "x/y", 'x"y', "x\\y", "user@x", "x?y", "x<y>", ""])
async def test_a_strange_host_is_refused(client, host):
    answer = await client.get("/fhir/Patient", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["http.Host"]


async def test_many_hosts_do_not_fill_the_memory(client, app):
    for number in range(MOST_BASES + 20):
        await client.get("/fhir/Patient/none", headers={"Host": f"h{number}"})
    assert len(app._front._endpoint._bases) <= MOST_BASES


async def test_many_hosts_do_not_multiply_the_capability_statement(anonymous, server):
    for number in range(MOST_MADE + 4):
        answer = await anonymous.get("/fhir/metadata", headers={"Host": f"h{number}"})
        assert answer.json()["implementation"]["url"] == f"http://h{number}/fhir"
    assert len(server.made) <= MOST_MADE + 1


@pytest.mark.parametrize(
    ("given", "base"),
    [
        (None, None),
        ("https://fhir.example.org", "https://fhir.example.org/fhir"),
        ("https://fhir.example.org/", "https://fhir.example.org/fhir"),
        ("https://example.org/his/fhir", "https://example.org/his/fhir"),
        ("https://example.org/his/fhir/", "https://example.org/his/fhir"),
    ],
)
def test_the_base_setting_is_read_with_and_without_fhir(settings, given, base):
    assert fhir_base(settings.model_copy(update={"base_url": given})) == base


class TestBehindAProxy:
    @pytest.fixture
    def settings(self, settings):
        return settings.model_copy(update={"base_url": "https://fhir.example.org"})

    async def test_links_use_the_setting_whatever_the_host(self, post):
        location = (await post("Patient", Host="evil.example")).headers["location"]
        assert location.startswith("https://fhir.example.org/fhir/Patient/")


class TestWithoutAuthentication:
    @pytest.fixture
    def settings(self, settings):
        return settings.model_copy(update={"auth": "off"})

    async def test_everybody_may_read_and_write(self, anonymous):
        answer = await anonymous.post("/fhir/Patient", json={"resourceType": "Patient"})
        assert answer.status_code == 201
        assert (await anonymous.get("/fhir/Patient")).json()["entry"]

    async def test_internal_records_stay_internal(self, client):
        assert (await client.get("/fhir/_Client/client-h1")).status_code == 404


async def test_a_harmless_request_id_is_echoed(client):
    for path in ("/fhir/Patient", "/health/live"):
        answer = await client.get(path, headers={"X-Request-Id": "his-7:2026/03.1_a"})
        assert answer.headers["x-request-id"] == "his-7:2026/03.1_a"


@pytest.mark.parametrize("sent", ["a b", "<script>", "x" * 65, "", "a\tb", "é"])
async def test_another_request_id_is_replaced(client, sent):
    answer = await client.get("/fhir/Patient", headers={"X-Request-Id": sent.encode()})
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", answer.headers["x-request-id"])


async def test_every_request_has_an_id_of_its_own(client):
    ids = {(await client.get("/fhir/Patient")).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


async def test_metrics_count_by_interaction_and_status(client, post):
    await post("Patient")
    await client.get("/fhir/Patient/none")
    await client.get("/fhir/Patient/none")
    text = (await client.get("/metrics")).text
    assert 'fhir_requests_total{interaction="create",status="201"} 1.0' in text
    assert 'fhir_requests_total{interaction="read",status="404"} 2.0' in text
    assert 'fhir_request_seconds_bucket{interaction="read",le="+Inf"} 2.0' in text
    assert 'fhir_request_seconds_count{interaction="read"} 2.0' in text
    assert "none" not in text.replace('interaction="none"', "")


async def test_metrics_show_the_store_the_quarantine_and_the_process(client):
    text = (await client.get("/metrics")).text
    shown = dict(line.split(" ") for line in text.splitlines() if not line.startswith("#"))
    assert float(shown["fhir_store_up"]) == 1
    assert float(shown["fhir_store_bytes"]) > 0
    assert float(shown["fhir_inbound_quarantined"]) == 0
    assert float(shown["process_resident_memory_bytes"]) > 0


async def test_metrics_count_commits(client, post):
    async def committed():
        shown = dict(
            line.split(" ") for line in (await client.get("/metrics")).text.splitlines() if line[0] != "#"
        )
        return float(shown["fhir_store_commits_total"]), float(shown["fhir_store_transactions_total"])

    groups, transactions = await committed()
    await post("Patient")
    assert await committed() == (groups + 1, transactions + 1)


async def test_metrics_tell_that_the_store_is_away(client, server, monkeypatch):
    async def away():
        raise StoreUnavailable("away")

    monkeypatch.setattr(server.store, "size", away)
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert "\nfhir_store_up 0.0\n" in answer.text
    assert "fhir_store_bytes" not in answer.text


async def test_documentation_is_mounted_and_open(anonymous):
    for path in ("/docs", "/openapi.json", "/openapi/Patient.json"):
        answer = await anonymous.get(path)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "no-store" not in answer.headers.get("cache-control", "")


async def test_the_inbound_door_is_mounted_and_asks_for_a_token(anonymous):
    answer = await anonymous.post("/inbound/yunqi-township", content=b"MSH|")
    assert answer.status_code == 401
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_a_failed_request_is_logged_without_ids_and_values(client, capfd):
    await client.get("/fhir/Patient/id-of-somebody?_elements=慕容雪")
    logged = "".join(capfd.readouterr())
    assert "route={type}/{id}" in logged
    assert "status=404" in logged
    for private in ("id-of-somebody", "慕容雪", "%E6"):
        assert private not in logged


async def test_health(anonymous):
    assert (await anonymous.get("/health/live")).json() == {"status": "pass"}
    assert (await anonymous.get("/health/ready")).json() == {"status": "pass"}


async def test_a_byte_order_mark_is_not_part_of_what_is_kept(post):
    answer = await post("Patient", b"\xef\xbb\xbf" + b'{"resourceType":"Patient"}')
    assert answer.status_code == 201
    assert b"\xef\xbb\xbf" not in answer.content


async def lifespan(asgi):
    """Start and stop ``asgi`` as a server does; the messages it sent."""
    sent = []
    events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive():
        return next(events)

    async def send(message):
        sent.append(message["type"])

    await asgi({"type": "lifespan"}, receive, send)
    return sent


@pytest.fixture
def quiet(monkeypatch):
    """The lifespan does not rearrange the test run's own logging."""
    monkeypatch.setattr("fhir_server.app.configure_logging", lambda level: None)


async def test_the_application_starts_and_stops_with_the_lifespan_protocol(settings, quiet):
    prepared = []

    async def prepare(server):
        prepared.append(await server.store.read("Patient", "1"))

    app = build(settings, prepare=prepare)
    assert await lifespan(app.asgi) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert prepared == [None]


async def test_a_start_that_fails_is_told(settings, quiet, capfd):
    app = build(settings.model_copy(update={"store": "oracle://x"}))
    assert await lifespan(app.asgi) == ["lifespan.startup.failed"]
    assert "allowed: sqlite" in "".join(capfd.readouterr())


async def test_a_stop_that_fails_is_told(settings, quiet):
    app = build(settings)

    async def prepare(server):
        close = server.store.close

        async def broken():
            await close()
            raise OSError("disk")

        server.store.close = broken

    app._prepare = prepare
    assert await lifespan(app.asgi) == ["lifespan.startup.complete", "lifespan.shutdown.failed"]


def test_create_takes_its_settings_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FHIR_STORE", f"sqlite:///{tmp_path}/other.db")
    assert create().settings.store.endswith("/other.db")


async def test_before_its_start_the_application_serves_nothing(settings):
    app = build(settings)
    with pytest.raises(RuntimeError, match="not been started"):
        app.server  # noqa: B018
    with pytest.raises(RuntimeError, match="not been started"):
        await app.asgi({"type": "http", "path": "/fhir/Patient"}, None, None)
