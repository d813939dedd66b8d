"""Who sent a request: X-Forwarded-For is believed from trusted proxies, from the right, and from nobody else."""

import base64

import pytest
from pydantic import ValidationError

from fhir_server.rest.sender import Senders
from fhir_server.security.clients import Clients
from fhir_server.security.throttle import FREE_FAILURES
from fhir_server.settings import Settings

PROXIES = "10.0.0.1,10.1.0.0/24,fd00::/8"


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "sender"),
    [
        ("", "10.0.0.1", ["1.1.1.1"], "10.0.0.1"),
        (PROXIES, "10.0.0.1", [], "10.0.0.1"),
        (PROXIES, "10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        (PROXIES, "10.0.0.2", ["1.1.1.1"], "10.0.0.2"),
        (PROXIES, "10.0.0.1", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (PROXIES, "10.0.0.1", ["6.6.6.6, 1.1.1.1, 10.1.0.9"], "1.1.1.1"),
        (PROXIES, "10.0.0.1", ["6.6.6.6", "1.1.1.1", "10.1.0.9"], "1.1.1.1"),
        (PROXIES, "10.0.0.1", ["10.1.0.8,10.1.0.9"], "10.1.0.8"),
        (PROXIES, "10.0.0.1", ["1.1.1.1, nonsense"], "10.0.0.1"),
        (PROXIES, "10.0.0.1", [""], "10.0.0.1"),
        (PROXIES, "10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        (PROXIES, "fd00::5", ["[2001:db8::1]"], "2001:db8::1"),
        (PROXIES, "::ffff:10.0.0.1", ["::ffff:1.1.1.1"], "1.1.1.1"),
        (PROXIES, "", ["1.1.1.1"], ""),
    ],
)
def test_the_sender(trusted, peer, forwarded, sender):
    headers = [(b"accept", b"x"), *((b"x-forwarded-for", each.encode()) for each in forwarded)]
    assert Senders(trusted)(peer, headers) == sender


@pytest.mark.parametrize("text", ["balancer", "10.0.0.1/8", "10.0.0.1:80"])
def test_what_is_no_network_is_told_at_the_start(text):
    with pytest.raises(ValidationError, match="a network such as"):
        Settings(trusted_proxies=f"10.0.0.1 {text}")


class TestBehindABalancer:
    @pytest.fixture
    def settings(self, settings):
        return settings.model_copy(update={"trusted_proxies": "127.0.0.1"})

    async def test_a_guesser_does_not_lock_out_the_client_whose_name_he_uses(self, anonymous, server):
        clients = Clients(server.store, server.now, server.new_id)
        _, secret = await clients.add("Organization/h1", "", id="his-1")

        async def ask(secret, sender):
            basic = base64.b64encode(f"his-1:{secret}".encode()).decode()
            headers = {"Authorization": f"Basic {basic}", "X-Forwarded-For": sender}
            form = {"grant_type": "client_credentials"}
            return (await anonymous.post("/auth/token", data=form, headers=headers)).status_code

        assert [await ask("wrong", "6.6.6.6") for _ in range(FREE_FAILURES)] == [401] * FREE_FAILURES
        assert await ask("wrong", "6.6.6.6") == 429
        assert await ask(secret, "1.1.1.1") == 200
