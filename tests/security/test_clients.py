import orjson
import pytest

from fhir_server.errors import Conflict, InvalidContent, NotFound, Unauthenticated
from fhir_server.security.clients import TYPE, Clients, current_client


@pytest.fixture
def clients(server):
    return Clients(server.store, server.now, server.new_id)


async def test_a_client_is_recognised_by_its_secret(clients):
    client, secret = await clients.add("Organization/h1", "云栖 HIS", id="his-1")
    assert await clients.authenticate("his-1", secret) == client
    assert (client.organization, client.name, client.active) == ("Organization/h1", "云栖 HIS", True)
    assert client.created == "2026-03-02T01:12:00+00:00"
    assert len(secret) >= 43


@pytest.mark.parametrize(
    ("id", "secret"), [("his-1", "wrong"), ("his-1", ""), ("nobody", "x"), ("../x", "x"), ("", "")]
)
async def test_anybody_else_is_refused_with_the_same_words(clients, id, secret):
    await clients.add("Organization/h1", "", id="his-1")
    with pytest.raises(Unauthenticated, match="the client id or the client secret is wrong"):
        await clients.authenticate(id, secret)


async def test_the_store_holds_no_secret(clients, server):
    _, secret = await clients.add("Organization/h1", "", id="his-1")
    record = await server.store.read(TYPE, "his-1")
    assert secret.encode() not in record.content
    assert orjson.loads(record.content).keys() == {
        "id", "organization", "name", "created", "active", "administrator", "salt", "digest",
    }  # fmt: skip


async def test_two_clients_with_new_ids_have_different_secrets(clients):
    (one, first), (two, second) = [await clients.add("Organization/h1", "") for _ in range(2)]
    assert one.id != two.id
    assert first != second
    with pytest.raises(Unauthenticated):
        await clients.authenticate(one.id, second)


async def test_rotating_ends_the_old_secret_and_starts_a_new_generation(clients, server):
    client, old = await clients.add("Organization/h1", "", id="his-1")
    new = await clients.rotate("his-1")
    with pytest.raises(Unauthenticated):
        await clients.authenticate("his-1", old)
    again = await clients.authenticate("his-1", new)
    assert again.generation == client.generation + 1
    assert await current_client(server.store, "his-1") == again


async def test_a_suspended_client_is_let_in_again_with_its_secret(clients, server):
    _, secret = await clients.add("Organization/h1", "", id="his-1")
    await clients.set_active("his-1", False)
    assert await current_client(server.store, "his-1") is None
    with pytest.raises(Unauthenticated):
        await clients.authenticate("his-1", secret)
    await clients.set_active("his-1", True)
    assert (await clients.authenticate("his-1", secret)).generation == 3


async def test_a_removed_client_is_gone_and_its_id_is_free(clients, server):
    _, old = await clients.add("Organization/h1", "", id="his-1")
    await clients.remove("his-1")
    assert await current_client(server.store, "his-1") is None
    with pytest.raises(Unauthenticated):
        await clients.authenticate("his-1", old)
    again, _ = await clients.add("Organization/h2", "", id="his-1")
    assert (again.organization, again.generation) == ("Organization/h2", 3)


async def test_list_is_complete_and_in_order_and_by_organisation(clients):
    for number in range(130):
        await clients.add(f"Organization/h{number % 2}", "", id=f"c{number:03}")
    await clients.remove("c005")
    listed = [client.id for client in await clients.list()]
    assert listed == [f"c{number:03}" for number in range(130) if number != 5]
    assert {client.organization for client in await clients.list("Organization/h1")} == {"Organization/h1"}
    assert len(await clients.list("Organization/h1")) == 64


async def test_an_id_is_given_once(clients):
    await clients.add("Organization/h1", "", id="his-1")
    with pytest.raises(Conflict, match="already a client his-1"):
        await clients.add("Organization/h2", "", id="his-1")


@pytest.mark.parametrize(
    ("organization", "id"),
    [
        ("Organization/h1", "a b"),
        ("Organization/h1", "x" * 65),
        ("h1", None),
        ("Patient/1", None),
        ("Organization/", None),
    ],
)
async def test_malformed_ids_and_organisations_are_refused(clients, organization, id):
    with pytest.raises(InvalidContent):
        await clients.add(organization, "", id=id)
    assert await clients.list() == []


async def test_what_is_not_there_cannot_be_changed(clients):
    for change in (clients.rotate("x"), clients.remove("x"), clients.set_active("x", True)):
        with pytest.raises(NotFound, match="no client x"):
            await change
