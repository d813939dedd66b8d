"""SearchParameters of clients: in force when committed, indexed in the background, gone when retired."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from interaction_cases import bundle, post, put

from fhir_server.app import opened
from fhir_server.errors import FhirError, Forbidden, InvalidSearch, NotReady, Unprocessable
from fhir_server.interactions.capabilities import Forms, capabilities
from fhir_server.interactions.context import Change, Server
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.patch import patch
from fhir_server.interactions.search import search
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.model.resource import Json, Resource
from fhir_server.security.caller import SYSTEM, Caller
from fhir_server.settings import Settings

URL = "http://example.org/fhir/SearchParameter/"
CLIENT = Caller("his", "Organization/h1")
ADMINISTRATOR = Caller("desk", "Organization/h1", administrator=True)


def parameter(code: str = "marital", expression: str = "Patient.maritalStatus", **changes: Any) -> Json:
    return {
        "resourceType": "SearchParameter",
        "url": f"{URL}{code}",
        "name": "Own",
        "status": "active",
        "description": "own",
        "code": code,
        "base": ["Patient"],
        "type": "token",
        "expression": expression,
        **changes,
    }


def patient(status: str, **members: Any) -> Resource:
    coded = {"coding": [{"system": "urn:marital", "code": status}]}
    return Resource.of({"resourceType": "Patient", "maritalStatus": coded, **members})


Open = Callable[[], Any]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        store=f"sqlite:///{tmp_path}/fhir.db", durability="normal", profiles=tmp_path / "profiles"
    )


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    async with opened(settings) as server:
        yield server


async def keep(server: Server, resource: Json, id: str = "own", caller: Caller = ADMINISTRATOR) -> None:
    await update(server, caller, Resource.of({**resource, "id": id}), id=id)


async def build(server: Server) -> None:
    assert server.indexer is not None
    await server.indexer.work_off()


async def found(server: Server, type: str, *pairs: tuple[str, str]) -> list[str]:
    answer = await search(server, CLIENT, type, pairs)
    return sorted(
        entry["resource"]["id"]
        for entry in orjson.loads(answer.resource or b"").get("entry", ())
        if entry["search"]["mode"] == "match"
    )


async def patients(server: Server, number: int = 3) -> None:
    for at in range(number):
        await update(server, CLIENT, patient("M" if at % 2 else "S", id=f"p{at}"), id=f"p{at}")


# ── from registration to complete ─────────────────────────────────────────────


async def test_a_new_parameter_is_refused_until_it_is_complete_and_finds_all_then(server: Server) -> None:
    await patients(server)
    await keep(server, parameter())
    with pytest.raises(NotReady, match=r"Patient\.marital is being built") as caught:
        await found(server, "Patient", ("marital", "M"))
    assert caught.value.headers["Retry-After"] == "5"
    assert caught.value.status == 503
    await update(server, CLIENT, patient("M", id="later"), id="later")
    assert len(await found(server, "Patient")) == 4
    await build(server)
    assert await found(server, "Patient", ("marital", "urn:marital|M")) == ["later", "p1"]
    assert await found(server, "Patient", ("marital:missing", "true")) == []


async def test_the_capabilities_show_a_parameter_when_it_is_complete(server: Server) -> None:
    async def declared() -> set[str]:
        made = await capabilities(server, (), Forms((), ()), "http://x")
        statement = orjson.loads(made.resource or b"")
        found = next(each for each in statement["rest"][0]["resource"] if each["type"] == "Patient")
        return {each["name"] for each in found["searchParam"]}

    await patients(server)
    before = await declared()
    await keep(server, parameter())
    assert await declared() == before
    await build(server)
    assert await declared() == before | {"marital"}


async def test_several_types_and_contained_resources_are_refused_too(server: Server) -> None:
    await patients(server)
    await keep(
        server, parameter(base=["Patient", "Person"], expression="Patient.maritalStatus | Person.gender")
    )
    for pair in [("marital", "M"), ("_sort", "marital")]:
        with pytest.raises(NotReady):
            await search(server, CLIENT, None, [("_type", "Person,Patient"), pair])
    with pytest.raises(NotReady):
        await found(server, "Patient", ("marital", "M"), ("_contained", "true"))


async def test_a_parameter_whose_rows_are_there_already_is_usable_at_once(server: Server) -> None:
    await patients(server)
    await keep(server, parameter("own-id", "Patient.identifier | Patient.gender"))
    assert await found(server, "Patient", ("own-id", "x")) == []


async def test_who_uses_it_in_any_way_is_refused_while_it_is_built(server: Server) -> None:
    await patients(server)
    await keep(server, parameter("born", "Patient.birthDate.extension('urn:born').value", type="date"))
    for pair in [("_sort", "born"), ("born:missing", "true"), ("born", "2020")]:
        with pytest.raises(NotReady):
            await found(server, "Patient", pair)
    for pair in [("subject:Patient.born", "2020"), ("patient.born", "2020")]:
        with pytest.raises(NotReady):
            await found(server, "Observation", pair)
    conditional = patient("S")
    with pytest.raises(NotReady):
        await create(server, CLIENT, conditional, if_none_exist="born=2020")


async def test_a_retired_or_deleted_parameter_is_unknown_and_its_rows_go(server: Server) -> None:
    await patients(server)
    for end in ("retired", "draft", None):
        await keep(server, parameter())
        await build(server)
        assert await found(server, "Patient", ("marital", "M")) == ["p1"]
        keys = server.parameters.parameter("Patient", "marital").keys
        if end is None:
            await delete(server, ADMINISTRATOR, "SearchParameter", "own")
        else:
            await keep(server, parameter(status=end))
        with pytest.raises(InvalidSearch, match="no search parameter marital"):
            await found(server, "Patient", ("marital", "M"))
        await build(server)
        async with server.store.transaction() as open_transaction:
            assert await open_transaction.unindex(frozenset(keys), 10) == 0


async def test_another_expression_is_another_index(server: Server) -> None:
    await patients(server)
    await keep(server, parameter())
    await build(server)
    await keep(server, parameter(expression="Patient.maritalStatus.coding.where(system='urn:marital')"))
    with pytest.raises(NotReady):
        await found(server, "Patient", ("marital", "M"))
    await build(server)
    assert await found(server, "Patient", ("marital", "M")) == ["p1"]


async def test_one_that_comes_back_before_its_rows_are_gone_is_built_anew(server: Server) -> None:
    await patients(server)
    await keep(server, parameter())
    await build(server)
    await keep(server, parameter(status="retired"))
    await keep(server, parameter())
    with pytest.raises(NotReady):
        await found(server, "Patient", ("marital", "M"))
    await build(server)
    assert await found(server, "Patient", ("marital", "M")) == ["p1"]


async def test_one_that_is_retired_while_it_is_built_leaves_no_rows(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is built one resource at a time, else it may be done before anybody looks."""
    monkeypatch.setattr("fhir_server.interactions.indexing.work.MOST", 1)
    await patients(server, 300)
    await keep(server, parameter())
    keys = frozenset(server.parameters.parameter("Patient", "marital").keys)
    assert server.indexer is not None
    work = asyncio.get_running_loop().create_task(server.indexer.work_off())
    while not any(unit.position for job in server.indexer.ledger.jobs for unit in job.units):
        assert not work.done()
        await asyncio.sleep(0)
    await keep(server, parameter(status="retired"))
    await work
    async with server.store.transaction() as open_transaction:
        assert await open_transaction.unindex(keys, 10) == 0
    assert not server.parameters.unfinished


async def test_the_primary_date_of_a_type_stays_what_it_is(server: Server) -> None:
    await update(server, CLIENT, patient("S", id="p", birthDate="1958-03-15"), id="p")
    await keep(server, parameter("date", "Patient.birthDate", type="date"))
    await build(server)
    assert await found(server, "Patient", ("date", "1958-03-15")) == ["p"]
    await update(server, CLIENT, patient("S", id="p", birthDate="1958-03-15", active=True), id="p")
    assert await found(server, "Patient", ("date", "1958-03-15")) == ["p"]
    assert server.extract(patient("S", birthDate="1958-03-15").data).date == 0


async def test_a_composite_and_its_components_come_in_one_bundle(server: Server) -> None:
    await patients(server)
    both = parameter(
        "marital-gender",
        "Patient",
        type="composite",
        component=[
            {"definition": f"{URL}marital", "expression": "maritalStatus"},
            {"definition": "http://hl7.org/fhir/SearchParameter/individual-gender", "expression": "gender"},
        ],
    )
    await update(server, CLIENT, patient("M", id="f", gender="female"), id="f")
    sent = bundle(
        put(Resource.of({**both, "id": "both"})),
        put(Resource.of({**parameter(), "id": "one"})),
    )
    await transaction(server, ADMINISTRATOR, sent)
    await build(server)
    assert await found(server, "Patient", ("marital-gender", "M$female")) == ["f"]
    with pytest.raises(Unprocessable, match="is a component of"):
        await delete(server, ADMINISTRATOR, "SearchParameter", "one")


# ── what is not committed changes nothing ─────────────────────────────────────


async def test_a_transaction_that_fails_changes_nothing(server: Server) -> None:
    before = server.parameters.revision
    sent = bundle(
        post(Resource.of(parameter())), put(Resource.of({"resourceType": "Patient", "id": "y"}), "Patient/x")
    )
    with pytest.raises(FhirError):
        await transaction(server, ADMINISTRATOR, sent)

    async def refuse(change: Change) -> list[Any]:
        raise Unprocessable("no")

    assert server.indexer is not None
    server.rules["Patient"] = (refuse,)  # type: ignore[index]
    sent = bundle(
        post(Resource.of(parameter())), put(Resource.of({"resourceType": "Patient", "id": "x"}), "Patient/x")
    )
    with pytest.raises(Unprocessable):
        await transaction(server, ADMINISTRATOR, sent)
    assert server.parameters.revision == before
    assert not server.parameters.unfinished


async def test_who_goes_away_while_it_is_committed_leaves_it_in_force(server: Server) -> None:
    task = asyncio.get_running_loop().create_task(keep(server, parameter()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with server.store.transaction():
        kept = await server.store.read("SearchParameter", "own")
    assert kept is not None
    await asyncio.sleep(0.05)
    assert "marital" in server.parameters.parameters("Patient")


# ── restarts ──────────────────────────────────────────────────────────────────


async def test_it_survives_restarts_before_and_after_it_is_complete(settings: Settings) -> None:
    async with opened(settings) as server:
        await patients(server)
        await keep(server, parameter())
    async with opened(settings) as server:
        with pytest.raises(NotReady):
            await found(server, "Patient", ("marital", "M"))
        await build(server)
    async with opened(settings) as server:
        assert await found(server, "Patient", ("marital", "M")) == ["p1"]


async def test_parameters_of_the_profiles_folder_come_and_go_without_keeping_the_store_closed(
    settings: Settings,
) -> None:
    async with opened(settings) as server:
        await patients(server)
    settings.profiles.mkdir()
    file = settings.profiles / "marital.json"
    file.write_bytes(orjson.dumps(parameter()))
    async with opened(settings) as server:
        assert await found(server, "Patient", ("_id", "p1")) == ["p1"]
        with pytest.raises(NotReady):
            await found(server, "Patient", ("marital", "M"))
        await build(server)
        assert await found(server, "Patient", ("marital", "M")) == ["p1"]
        keys = server.parameters.parameter("Patient", "marital").keys
    file.unlink()
    async with opened(settings) as server:
        await build(server)
        async with server.store.transaction() as open_transaction:
            assert await open_transaction.unindex(frozenset(keys), 10) == 0


async def test_a_new_store_needs_no_job_for_the_profiles_folder(settings: Settings) -> None:
    settings.profiles.mkdir()
    (settings.profiles / "marital.json").write_bytes(orjson.dumps(parameter()))
    async with opened(settings) as server:
        assert await found(server, "Patient", ("marital", "M")) == []


# ── who, and what is refused ──────────────────────────────────────────────────


async def test_only_an_administrator_changes_what_is_in_force(server: Server) -> None:
    await keep(server, parameter(status="draft"), caller=CLIENT)
    with pytest.raises(Forbidden, match="administrators"):
        await keep(server, parameter(), caller=CLIENT)
    await keep(server, parameter())
    attempts = [
        keep(server, parameter(status="retired"), caller=CLIENT),
        delete(server, CLIENT, "SearchParameter", "own"),
        create(server, CLIENT, Resource.of(parameter("other"))),
        transaction(server, CLIENT, bundle(post(Resource.of(parameter("other"))))),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            await attempt
    await keep(server, parameter(), caller=SYSTEM)


FAULTS = [
    ({"code": "a:b"}, {"SearchParameter.code"}),
    ({"expression": "Patient.shoe | Patient.gender.size"}, {"SearchParameter.expression"}),
    ({"code": "gender", "type": "date"}, {"SearchParameter.base[0]", "SearchParameter.expression"}),
    ({"base": ["Patient", "Observation"]}, {"SearchParameter.expression"}),
    ({"type": "special"}, {"SearchParameter.type", "SearchParameter.expression"}),
    ({"expression": ""}, {"SearchParameter.expression"}),
    ({"target": ["Patient"]}, {"SearchParameter.target"}),
    ({"type": "composite"}, {"SearchParameter.component"}),
    (
        {
            "type": "composite",
            "expression": "Patient",
            "component": [
                {"definition": "urn:none", "expression": "gender"},
                {"definition": "http://hl7.org/fhir/SearchParameter/individual-gender", "expression": "shoe"},
                {"definition": "http://hl7.org/fhir/SearchParameter/Location-near", "expression": "gender"},
            ],
        },
        {
            "SearchParameter.component[0].definition",
            "SearchParameter.component[1].expression",
            "SearchParameter.component[2].definition",
        },
    ),
    ({"url": "http://hl7.org/fhir/SearchParameter/individual-gender"}, {"SearchParameter.url"}),
    ({"base": ["Resource"], "code": "date"}, {"SearchParameter.base[0]"}),
]


@pytest.mark.parametrize(("changes", "places"), FAULTS)
async def test_every_fault_is_told_at_once_with_its_place(
    server: Server, changes: Json, places: set[str]
) -> None:
    faulty = {**parameter(), **changes}
    if not faulty["expression"]:
        del faulty["expression"]
    with pytest.raises(Unprocessable) as caught:
        await keep(server, faulty)
    assert caught.value.status == 422
    assert {issue.expression for issue in caught.value.issues if issue.is_error} >= places
    assert "marital" not in server.parameters.parameters("Patient")


async def test_two_active_ones_cannot_have_one_url_or_one_code(server: Server) -> None:
    await keep(server, parameter())
    with pytest.raises(Unprocessable, match="another active SearchParameter has the url"):
        await keep(server, parameter(), id="second")
    with pytest.raises(Unprocessable, match="the code marital is taken"):
        await keep(server, parameter(url=f"{URL}second"), id="second")


async def test_a_standard_parameter_may_be_sent_as_it_is(server: Server) -> None:
    known = server.parameters.defined("Patient", "gender")
    assert known is not None
    same = parameter("gender", known.expression, url=known.url, base=list(known.base), type=known.kind)
    before = server.parameters.revision
    await keep(server, same)
    assert server.parameters.revision == before


async def test_a_patch_is_a_write_like_any_other(server: Server) -> None:
    await patients(server)
    await keep(server, parameter(status="draft"))
    body = b'[{"op":"replace","path":"/status","value":"active"}]'
    with pytest.raises(Forbidden):
        await patch(server, CLIENT, "SearchParameter", "own", body)
    await patch(server, ADMINISTRATOR, "SearchParameter", "own", body)
    await build(server)
    assert await found(server, "Patient", ("marital", "M")) == ["p1"]
