"""Who is let in at a door: the owner of a good token, or with ``FHIR_AUTH=off`` everybody as one caller."""

from __future__ import annotations

from fhir_server.security.access import unauthenticated
from fhir_server.security.caller import Caller
from fhir_server.security.tokens import Tokens

ANONYMOUS = Caller("anonymous", system=True)
"""Who everybody is with ``FHIR_AUTH=off``, which only a loopback host allows: like the command line
on the same machine, without an organisation and free to act for all of them."""


class Admission:
    """Called with an ``Authorization`` header; ``tokens`` None: authentication is off."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    async def __call__(self, authorization: bytes | None) -> Caller:
        """The caller. Raises Unauthenticated without a header, or with one that is not good."""
        if self._tokens is None:
            return ANONYMOUS
        if authorization is None:
            raise unauthenticated()
        return self._tokens.recall(authorization) or await self._tokens.verify(authorization)
