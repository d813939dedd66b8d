"""Rules of the domain: run inside the write, able to refuse, replace and write along."""

from __future__ import annotations

import orjson
import pytest
from interaction_cases import BASE, bundle, expect, parsed, post, put, resource

from fhir_server.errors import Conflict, FhirError, Issue, Unprocessable
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.patch import patch
from fhir_server.interactions.read import read
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource

ERROR = Issue("error", "business-rule", "no", "Patient.active", "NO")
WARNING = Issue("warning", "informational", "hm", "Patient.name")


async def written(server):
    return [(r.type, r.id, r.version) for r in reversed((await server.store.history(count=1000)).records)]


async def test_a_rule_sees_before_and_after_of_every_write(server, caller, with_rules):
    seen = []

    async def watch(change):
        seen.append(
            (
                change.before and change.before["meta"]["versionId"],
                change.after and change.after.get("active"),
            )
        )
        assert change.caller is caller
        assert change.raw == b"" or orjson.loads(change.raw) == change.after
        return []

    server = with_rules(rules={"Patient": (watch,)})
    await create(server, caller, resource(active=True))
    await update(server, caller, resource(id="n1"), id="n1", if_match='W/"1"')
    await patch(server, caller, "Patient", "n1", b'[{"op":"add","path":"/active","value":false}]')
    await delete(server, caller, "Patient", "n1")
    await update(server, caller, resource(id="n1", active=True), id="n1")
    await create(server, caller, resource("Observation"))
    assert seen == [(None, True), ("1", None), ("2", False), ("3", None), (None, True)]


async def test_what_stands_behind_a_write_is_told(server, caller, with_rules):
    seen = []

    async def watch(change):
        seen.append((change.operation, change.parameters, change.if_match))
        return []

    server = with_rules(rules={"Patient": (watch,)})
    await update(server, caller, resource(id="p"), id="p")
    options = {"operation": "accept", "parameters": {"resourceType": "Parameters"}}
    await update(server, caller, resource(id="p"), id="p", if_match='W/"1"', **options)
    assert seen == [(None, None, None), ("accept", {"resourceType": "Parameters"}, 1)]


async def test_an_error_issue_undoes_the_write_and_all_issues_are_told(server, caller, with_rules):
    async def one(change):
        return [ERROR, WARNING]

    async def two(change):
        return [ERROR]

    server = with_rules(rules={"Patient": (one, two)})
    error = await expect(Unprocessable, create(server, caller, resource()))
    assert error.issues == (ERROR, WARNING, ERROR)
    assert await written(server) == []


async def test_a_warning_is_part_of_the_outcome(server, caller, with_rules):
    async def warn(change):
        return [WARNING]

    server = with_rules(rules={"Patient": (warn,)})
    assert (await create(server, caller, resource())).issues == (WARNING,)
    answer = parsed(
        await transaction(server, caller, bundle(post(resource("Observation")), post(resource())))
    )
    outcomes = [entry["response"].get("outcome") for entry in answer["entry"]]
    assert outcomes[0] is None
    assert outcomes[1]["issue"][0]["expression"] == ["Bundle.entry[1].resource.name"]


async def test_a_rule_may_raise_what_it_wants(server, caller, with_rules):
    async def refuse(change):
        raise Conflict("not now", rule="ILLEGAL_TRANSITION")

    server = with_rules(rules={"Patient": (refuse,)})
    error = await expect(Conflict, create(server, caller, resource()))
    assert error.issues[0].rule == "ILLEGAL_TRANSITION"
    entries = bundle(post(resource("Observation")), post(resource()))
    error = await expect(Conflict, transaction(server, caller, entries))
    assert error.issues[0].expression == "Bundle.entry[1]"
    assert await written(server) == []


async def test_companions_are_written_in_the_same_transaction_by_their_own_rules(server, caller, with_rules):
    causes = []

    async def order(change):
        if change.after and change.before is None:
            change.also(resource("Observation", subject={"reference": f"Patient/{change.after['id']}"}))
            change.also(resource("Group", id="g", type="person", actual=True))
        return []

    async def observed(change):
        causes.append(change.cause.after["resourceType"])
        return []

    server = with_rules(rules={"Patient": (order,), "Observation": (observed,), "Group": (observed,)})
    await create(server, caller, resource())
    assert await written(server) == [("Patient", "n1", 1), ("Observation", "n2", 1), ("Group", "g", 1)]
    assert causes == ["Patient", "Patient"]
    await create(server, caller, resource())
    assert (await read(server, caller, "Group", "g")).record.version == 2


async def test_a_refused_companion_undoes_everything(server, caller, with_rules):
    async def order(change):
        change.also(resource("Observation"))
        return []

    async def refuse(change):
        return [ERROR]

    server = with_rules(rules={"Patient": (order,), "Observation": (refuse,)})
    await expect(Unprocessable, create(server, caller, resource()))
    assert await written(server) == []


async def test_a_companion_must_be_valid(server, caller, with_rules):
    async def order(change):
        change.also(resource("Observation", status="banana"))
        return []

    server = with_rules(rules={"Patient": (order,)})
    await expect(Unprocessable, create(server, caller, resource()))
    assert await written(server) == []


async def test_rules_without_an_end_are_stopped(server, caller, with_rules):
    async def again(change):
        change.also(resource())
        return []

    server = with_rules(rules={"Patient": (again,)})
    error = await expect(FhirError, create(server, caller, resource()))
    assert error.status == 500
    assert await written(server) == []


async def test_a_replacement_is_kept_instead_and_is_indexed(server, caller, with_rules):
    async def close(change):
        change.replace(Resource.of({**change.after, "active": False}))
        return []

    server = with_rules(rules={"Patient": (close,)})
    done = await create(server, caller, resource(active=True))
    assert orjson.loads(done.record.content)["active"] is False
    answer = parsed(
        await transaction(
            server, caller, bundle({"request": {"method": "GET", "url": "Patient?active=false"}})
        )
    )
    assert answer["entry"][0]["resource"]["entry"][0]["resource"]["id"] == "n1"


async def test_a_replacement_must_be_valid(server, caller, with_rules):
    async def spoil(change):
        change.replace(Resource.of({**change.after, "gender": "banana"}))
        return []

    server = with_rules(rules={"Patient": (spoil,)})
    await expect(Unprocessable, create(server, caller, resource()))
    assert await written(server) == []


async def test_a_rule_sees_what_the_bundle_is_still_going_to_write(server, caller, with_rules):
    seen = []

    async def look(change):
        type, id = change.after["subject"]["reference"].split("/")
        here = await change.transaction.read(type, id)
        seen.append((here is not None, (change.pending.get((type, id)) or {}).get("active")))
        return []

    server = with_rules(rules={"Observation": (look,)})
    body = resource("Observation", subject={"reference": "urn:uuid:1"})
    await transaction(server, caller, bundle(post(body), post(resource(active=True), "urn:uuid:1")))
    late = put(resource(id="p", active=True), full_url="urn:uuid:1")
    await transaction(server, caller, bundle(late, post(body)))
    assert seen == [(False, True), (False, True)]


async def test_a_rule_that_refuses_a_delete(server, caller, with_rules):
    async def keep(change):
        return [ERROR] if change.after is None else []

    server = with_rules(rules={"Patient": (keep,)})
    await create(server, caller, resource())
    await expect(Unprocessable, delete(server, caller, "Patient", "n1"))
    assert (await read(server, caller, "Patient", "n1")).status == 200


# ── references must exist, when the server is set so ──────────────────────────


def about(*references):
    return resource("Observation", hasMember=[{"reference": reference} for reference in references])


@pytest.fixture
def strict(with_rules):
    return with_rules(reference_check=True)


async def test_references_that_lead_nowhere_are_named(strict, caller):
    await update(strict, caller, resource("Observation", id="here"), id="here")
    body = about(
        "Observation/here", "Observation/lost", "http://else/Observation/1", "QuestionnaireResponse/lost"
    )
    error = await expect(Unprocessable, create(strict, caller, body))
    assert [issue.expression for issue in error.issues] == [
        "Observation.hasMember[1]",
        "Observation.hasMember[3]",
    ]
    assert "Observation/lost" in error.issues[0].text
    await delete(strict, caller, "Observation", "here")
    await expect(Unprocessable, create(strict, caller, about("Observation/here")))


async def test_the_bundles_own_resources_count(strict, caller):
    entries = [post(about("urn:uuid:1")), put(resource("Observation", id="o"), full_url="urn:uuid:1")]
    await transaction(strict, caller, bundle(*entries), base=BASE)
    error = await expect(
        Unprocessable, transaction(strict, caller, bundle(post(resource()), post(about("Observation/lost"))))
    )
    assert [issue.expression for issue in error.issues] == ["Bundle.entry[1].resource.hasMember[0]"]


async def test_off_by_default(server, caller):
    assert (await create(server, caller, about("Observation/lost"))).status == 201
