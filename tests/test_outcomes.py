"""Every error from every door has the one shape: an OperationOutcome that tells the person what was
wrong and where, with the status and issue code of its class, no trace, and no patient data. And what is
refused leaves the store as it was.
"""

import gzip
import json
from pathlib import Path

import pytest
import yaml

SECRET_NAME = "慕容雪"
FHIR = {"Content-Type": "application/fhir+json"}
PATIENT = json.dumps({"resourceType": "Patient", "id": "p1", "name": [{"text": SECRET_NAME}]}).encode()
CASES = yaml.safe_load((Path(__file__).parent / "cases/rest/refusals.yaml").read_text())


def body_of(case):
    body = b" " * case["blanks"] if "blanks" in case else case.get("body", "").encode("latin-1")
    return gzip.compress(body) if case.get("gzip") else body


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"max_body": 2**20})


@pytest.fixture
async def loaded(client, server):
    """The client, with Patient/p1 in the store; at the end nothing has been written since."""
    assert (await client.put("/fhir/Patient/p1", content=PATIENT, headers=FHIR)).status_code == 201
    before = await server.store.changes(0, 1000)
    yield client
    assert await server.store.changes(0, 1000) == before


def check_shape(answer):
    """The answer is an OperationOutcome, each issue complete, no trace and no patient in it."""
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    outcome = answer.json()
    assert outcome.keys() == {"resourceType", "issue"}
    assert outcome["resourceType"] == "OperationOutcome"
    for issue in outcome["issue"]:
        assert issue.keys() <= {"severity", "code", "details", "expression", "diagnostics"}
        assert issue["details"]["text"]
        assert issue["severity"] in {"fatal", "error", "warning", "information"}
    for forbidden in ("Traceback", ".py", SECRET_NAME, json.dumps(SECRET_NAME)[1:-1]):
        assert forbidden not in answer.text
    return outcome["issue"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_an_error_has_the_one_shape_and_changes_nothing(loaded, case):
    method, path = case["request"].split(" ")
    headers = {"Content-Type": case["type"]} if "type" in case else {}
    answer = await loaded.request(
        method, path, headers={**headers, **case.get("headers", {})}, content=body_of(case)
    )
    issues = check_shape(answer)
    assert answer.status_code == case["status"], issues
    assert issues[0]["code"] == case.get("code", issues[0]["code"])
    told = [f"{issue['details']['text']} {issue.get('expression')}" for issue in issues]
    assert any(case["tells"] in text for text in told), told


def test_the_runner_can_fail():
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names)) > 60
    assert {case["status"] for case in CASES} >= {400, 404, 405, 406, 412, 413, 415, 422}


async def test_every_fault_is_told_at_once(loaded):
    faulty = {"resourceType": "Patient", "gender": "banana", "birthDate": "2026-99", "banana": SECRET_NAME}
    answer = await loaded.post("/fhir/Patient", json=faulty, headers=FHIR)
    issues = check_shape(answer)
    told = {issue["expression"][0] for issue in issues}
    assert answer.status_code == 422
    assert len(issues) == 3
    assert {"Patient.gender", "Patient.birthDate"} <= told


async def test_a_405_names_what_is_allowed(loaded):
    answer = await loaded.request("TRACE", "/fhir/Patient")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH, POST, PUT"
    answer = await loaded.request("PUT", "/fhir/Patient/p1/_history")
    assert answer.headers["allow"] == "DELETE, GET, HEAD"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/fhir/Patient/p1"), ("GET", "/fhir/Patient"), ("GET", "/fhir/_history"), ("POST", "/fhir"),
     ("GET", "/fhir/banana/1/2/3/4"), ("GET", "/fhir/Banana"), ("OPTIONS", "/fhir/Patient"),
     ("DELETE", "/fhir/Patient/p1"), ("POST", "/fhir/metadata"), ("GET", "/fhir/Task/1/$available-actions")],
)  # fmt: skip
@pytest.mark.parametrize("token", [None, "Bearer x.y.z", "Basic Y2xpZW50OnNlY3JldA=="])
async def test_without_a_good_token_everything_is_401(anonymous, method, path, token):
    headers = {"Authorization": token} if token else {}
    answer = await anonymous.request(method, path, headers=headers)
    issues = check_shape(answer)
    assert (answer.status_code, issues[0]["code"]) == (401, "login")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/fhir/metadata", "/health/live", "/health/ready", "/metrics"])
async def test_what_is_open_needs_no_token(anonymous, path):
    assert (await anonymous.get(path)).status_code == 200


class LeakyError(Exception):
    """A bug whose message quotes a patient."""


async def test_a_bug_is_500_with_an_id_and_no_patient_in_answer_or_log(loaded, server, monkeypatch, capfd):
    async def broken(*args):
        raise LeakyError(SECRET_NAME)

    monkeypatch.setattr(type(server.store), "read", broken)
    answer = await loaded.get("/fhir/Patient/p1", headers={"X-Request-Id": "trace-7"})
    issues = check_shape(answer)
    assert (answer.status_code, issues[0]["code"]) == (500, "exception")
    assert "trace-7" in issues[0]["details"]["text"]
    logged = "".join(capfd.readouterr())
    assert "LeakyError" in logged
    assert "trace-7" in logged
    assert SECRET_NAME not in logged
    monkeypatch.undo()


async def test_a_bug_outside_fhir_is_told_the_same_way(client, server, monkeypatch, capfd):
    async def broken(*args):
        raise LeakyError(SECRET_NAME)

    monkeypatch.setattr(type(server.store), "search", broken)
    monkeypatch.setattr(type(server.store), "read", broken)
    answer = await client.post(
        "/auth/token", data={"grant_type": "client_credentials"}, auth=("client-h1", "x")
    )
    assert check_shape(answer)[0]["code"] == "exception"
    assert answer.status_code == 500
    logged = "".join(capfd.readouterr())
    assert answer.headers["x-request-id"] in logged
    assert SECRET_NAME not in logged


async def test_a_store_that_is_away_is_503(client, server):
    await server.store.close()
    for path in ("/fhir/Patient/p1", "/fhir/Patient", "/health/ready"):
        answer = await client.get(path)
        assert check_shape(answer)[0]["code"] == "transient"
        assert answer.status_code == 503
    assert (await client.get("/health/live")).status_code == 200
