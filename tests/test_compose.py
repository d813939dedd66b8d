"""compose.yaml and what lies beside it name only what is there: settings, files, services, metrics."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from fhir_server.rest.routes import ROUTES
from fhir_server.settings import Settings
from fhir_server.stores.mongo.connection import Place
from fhir_server.stores.mongo.documents import DOCUMENTS

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/compose"
TEXT = (ROOT / "compose.yaml").read_text("utf-8")
SERVICES = yaml.safe_load(TEXT)["services"]
FHIR = [name for name, service in SERVICES.items() if name.startswith("fhir")]
BALANCER = (FOLDER / "haproxy.cfg").read_text("utf-8")
OPERATION = (ROOT / "docs/operation.md").read_text("utf-8")
RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
}
INTERACTIONS = {route.interaction for route in ROUTES}


def filled(text):
    """``text`` with each variable at its default; ``x`` for those that have none."""
    return re.sub(
        r"\$\{\w+(?::-([^}]*)|:\?[^}]*)\}", lambda found: found[1] if found[1] is not None else "x", text
    )


def environment(name):
    return {key: filled(value) for key, value in SERVICES[name]["environment"].items()}


# ── compose.yaml ──────────────────────────────────────────────────────────────


def test_every_variable_of_ours_is_a_setting():
    known = {f"FHIR_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bFHIR_[A-Z_]+", TEXT + BALANCER)) <= known


@pytest.mark.parametrize("name", FHIR)
def test_a_server_starts_with_these_settings(name, monkeypatch):
    for key, value in environment(name).items():
        monkeypatch.setenv(key, value)
    settings = Settings(host="0.0.0.0")
    assert (settings.auth, settings.durability) == ("on", "full")
    assert Place(settings.store).shown == "mongodb://mongo1:27017,mongo2:27017,mongo3:27017/fhir"


def test_the_servers_have_the_same_settings():
    assert len(FHIR) == 2
    assert environment(FHIR[0]) == environment(FHIR[1])


def test_every_file_that_is_mounted_is_there():
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())]
    files = [name for name in mounted if name.startswith(".")]
    assert len(files) >= 5
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_no_secret_stands_in_it():
    assert re.findall(r"(?:PASSWORD|_KEY): (?!\$\{\w+:\?)", TEXT) == []
    assert re.findall(r"://[^:/\s]+:(?!\$\{\w+:\?)[^@\s]+@", TEXT) == []
    assert "/.env" in (ROOT / ".gitignore").read_text("utf-8").split()


def test_every_variable_is_explained():
    assert {name for name in re.findall(r"\$\{(\w+)", TEXT) if f"`{name}`" not in OPERATION} == set()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_must(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["restart"] in {"unless-stopped", "on-failure:5"}
    assert "resources" in service.get("deploy", {}) or name == "replica-set"


def test_the_balancer_sends_to_the_servers_when_they_are_ready():
    assert set(re.findall(r"^ +server (\S+) (\S+)$", BALANCER, flags=re.M)) == {
        (name, f"{name}:{port}") for name in FHIR for port in (8080, 2575)
    }
    assert BALANCER.count("option httpchk GET /health/ready") == 2


@pytest.mark.parametrize("status", [502, 503, 504])
def test_the_balancer_speaks_fhir(status):
    said = re.search(
        rf"http-error status {status} content-type application/fhir\+json string '(.+?)'", BALANCER
    )
    assert said is not None
    assert json.loads(said[1])["resourceType"] == "OperationOutcome"


def test_prometheus_asks_the_servers():
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text("utf-8"))
    asked = config["scrape_configs"][0]
    assert asked["static_configs"][0]["targets"] == [f"{name}:8080" for name in FHIR]
    assert {job for rule in RULES.values() for job in re.findall(r'job="([^"]+)"', rule["expr"])} == {
        asked["job_name"]
    }


# ── alerts ────────────────────────────────────────────────────────────────────


@pytest.fixture
async def exported(client):
    """What a server exports: sample → its labels."""
    await client.get("/fhir/Patient/none")
    text = (await client.get("/metrics")).text
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_alerts_ask_for_what_is_exported(exported):
    used = {name for rule in RULES.values() for name in re.findall(r"\b(?:fhir|process)_\w+", rule["expr"])}
    assert {"fhir_requests_total", "fhir_request_seconds_bucket", "fhir_store_bytes"} <= used
    assert used <= set(exported)


async def test_every_metric_is_described_with_its_labels(exported):
    table = OPERATION.split("## Monitoring")[1]
    for name, labels in exported.items():
        row = next((row for row in table.splitlines() if row.startswith("|") and f"`{name}`" in row), None)
        assert row is not None, name
        assert {label for label in labels if f"`{label}`" not in row} == set(), name


@pytest.mark.parametrize("name", RULES)
def test_an_alert_is_told_in_both_languages(name):
    rule = RULES[name]
    said = rule["annotations"]
    assert set(said) == {"summary", "summary_zh"}
    assert re.search(r"[a-z]{3}", said["summary"]) and not re.search(r"[一-龥]", said["summary"])
    assert re.search(r"[一-龥]{3}", said["summary_zh"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert f"`{name}`" in OPERATION


def test_alerts_name_interactions_that_there_are():
    named = [each for rule in RULES.values() for each in re.findall(r'interaction=~?"([^"]+)"', rule["expr"])]
    assert named
    assert {each for alternatives in named for each in alternatives.split("|")} <= INTERACTIONS


# ── sharding ──────────────────────────────────────────────────────────────────


def test_the_shard_keys_are_those_that_are_declared():
    declared = {
        (document._get_collection_name(), document._fields[name].db_field)
        for document in DOCUMENTS
        for name in document._meta.get("shard_key", ())
    }
    assert set(re.findall(r'shardCollection\("fhir\.(\w+)", \{(\w+): "hashed"\}', OPERATION)) == declared


# ── the replica set ───────────────────────────────────────────────────────────


def test_the_step_that_makes_the_replica_set_says_why_it_cannot():
    done = subprocess.run(
        [sys.executable, FOLDER / "replica_set.py", "fhir", "127.0.0.1:99999"],
        env={**os.environ, "MONGO_ROOT_PASSWORD": "secret-root", "MONGO_PASSWORD": "secret"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "secret" not in done.stdout + done.stderr
