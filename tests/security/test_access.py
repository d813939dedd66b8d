import pytest

from fhir_server.errors import Forbidden, Unauthenticated
from fhir_server.search.query import Query
from fhir_server.security.access import ADMINISTRATION, GRANTED, check_access, narrow
from fhir_server.security.caller import SYSTEM, Caller

CLIENT = Caller("c1", "Organization/h1")


@pytest.mark.parametrize("interaction", sorted(GRANTED))
def test_a_client_works_with_fhir_types(interaction):
    check_access(CLIENT, interaction, "Patient")
    check_access(CLIENT, interaction)


@pytest.mark.parametrize("interaction", ["", "erase", "Read", "read "])
def test_what_is_not_in_the_table_is_refused(interaction):
    with pytest.raises(Forbidden):
        check_access(CLIENT, interaction, "Patient")


@pytest.mark.parametrize("interaction", sorted(ADMINISTRATION))
def test_what_concerns_the_whole_server_is_for_administrators(interaction):
    with pytest.raises(Forbidden, match="for administrators"):
        check_access(CLIENT, interaction, "Patient")
    check_access(Caller("c2", "Organization/h1", administrator=True), interaction, "Patient")
    check_access(SYSTEM, interaction)


@pytest.mark.parametrize("interaction", sorted(GRANTED))
@pytest.mark.parametrize("type", ["_Client", "_Key", "_Message"])
def test_internal_records_belong_to_the_server(interaction, type):
    with pytest.raises(Forbidden, match="belongs to the server"):
        check_access(CLIENT, interaction, type)
    check_access(SYSTEM, interaction, type)


def test_nobody_gets_only_what_is_open():
    check_access(None, "capabilities")
    with pytest.raises(Unauthenticated) as caught:
        check_access(None, "read", "Patient")
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


def test_narrow_refuses_internal_types_and_leaves_others():
    query = Query("Patient")
    assert narrow(query, CLIENT) == query
    assert narrow(Query("_Client"), SYSTEM).type == "_Client"
    with pytest.raises(Forbidden):
        narrow(Query("_Client"), CLIENT)
