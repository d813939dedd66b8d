"""What the server answers while its store is away and it has not begun to work: it lives, and is not ready."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.errors import StoreUnavailable
from fhir_server.rest.front import Asgi, Front, Receive, Scope, Send, send_refusal
from fhir_server.rest.metrics import RequestMetrics
from fhir_server.rest.request_id import RequestIds
from fhir_server.rest.site import build_site
from fhir_server.store import Commits

OPEN = frozenset({"/health/live", "/health/ready", "/metrics"})


class Waiting:
    """An ASGI application that tells health and metrics, and refuses all else because of ``away``."""

    def __init__(self, away: StoreUnavailable) -> None:
        self.away = away
        self._site: Asgi = Front(
            self._refuse, build_site(self._check, RequestMetrics(Commits()), self._gauges)
        )
        self._request_ids = RequestIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await (self._site if scope["path"] in OPEN else self._refuse)(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_refusal(self._request_ids, self.away, scope, send)

    async def _check(self) -> None:
        raise self.away

    async def _gauges(self) -> Mapping[str, float]:
        raise self.away
