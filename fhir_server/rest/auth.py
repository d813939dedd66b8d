"""``POST /auth/token``: a client trades its secret for an access token.

OAuth 2.0 client credentials with ``client_secret_basic`` or ``client_secret_post``; errors in the
words of RFC 6749 §5.2, because that is what OAuth libraries read.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote_plus

import orjson
from fastapi import APIRouter, Request, Response

from fhir_server.errors import FhirError, InvalidContent, StoreUnavailable, Throttled, Unauthenticated
from fhir_server.rest.body import read_body
from fhir_server.rest.headers import FORM_TYPES, check_content_type
from fhir_server.rest.sender import Senders
from fhir_server.rest.uri import split_query
from fhir_server.security.clients import Clients
from fhir_server.security.shared_backoff import Attempt, SharedBackoff
from fhir_server.security.tokens import LIFETIME, Tokens

MAX_FORM = 16_384
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_ERROR_NAMES: dict[type[FhirError], str] = {
    Unauthenticated: "invalid_client",
    Throttled: "temporarily_unavailable",
    StoreUnavailable: "temporarily_unavailable",
}


class _UnsupportedGrant(InvalidContent):
    """Another ``grant_type`` than client_credentials."""


_ERROR_NAMES[_UnsupportedGrant] = "unsupported_grant_type"


def token_router(clients: Clients, tokens: Tokens, backoff: SharedBackoff, sender: Senders) -> APIRouter:
    """The router of ``/auth/token``."""
    router = APIRouter(prefix="/auth", tags=["authorization"])

    @router.post("/token", openapi_extra=_OPENAPI)
    async def token(request: Request) -> Response:
        """An access token for the client that the credentials name; good for an hour."""
        try:
            return _answer(200, await _grant(request, clients, tokens, backoff, sender))
        except FhirError as error:
            return _refusal(error)

    return router


async def _grant(
    request: Request, clients: Clients, tokens: Tokens, backoff: SharedBackoff, sender: Senders
) -> dict[str, Any]:
    headers = dict(request.scope["headers"])
    check_content_type(headers.get(b"content-type", b"").decode("latin-1"), FORM_TYPES)
    form = dict(split_query(await read_body(request.receive, headers, MAX_FORM), "the form"))
    if form.get("grant_type") != "client_credentials":
        raise _UnsupportedGrant("grant_type must be client_credentials")
    id, secret = _credentials(headers.get(b"authorization"), form)
    peer = request.client.host if request.client else ""
    attempt = Attempt(id, sender(peer, request.scope["headers"]))
    await backoff.check(attempt)
    try:
        client = await clients.authenticate(id, secret)
    except Unauthenticated:
        await backoff.failed(attempt)
        raise
    await backoff.succeeded(attempt)
    return {"access_token": tokens.issue(client), "token_type": "Bearer", "expires_in": LIFETIME}


def _credentials(authorization: bytes | None, form: dict[str, str]) -> tuple[str, str]:
    """Client id and secret from the header (RFC 6749 §2.3.1) or the form; never from both."""
    if authorization is None:
        if not form.get("client_id") or not form.get("client_secret"):
            raise Unauthenticated("client_id and client_secret are needed")
        return form["client_id"], form["client_secret"]
    if "client_secret" in form:
        raise InvalidContent("send the client's credentials in the header or in the form, not in both")
    scheme, _, encoded = authorization.partition(b" ")
    try:
        if scheme.lower() != b"basic":
            raise ValueError("not basic")
        id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error) as error:
        raise Unauthenticated(
            "the Authorization header must be: Basic base64(client id:client secret)"
        ) from error
    if not colon:
        raise Unauthenticated("the Authorization header must be: Basic base64(client id:client secret)")
    return unquote_plus(id), unquote_plus(secret)


def _refusal(error: FhirError) -> Response:
    name = _ERROR_NAMES.get(type(error), "invalid_request")
    headers = dict(error.headers)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Basic realm="fhir-server"'
    status = error.status if error.status in {401, 413, 415, 429, 503} else 400
    return _answer(status, {"error": name, "error_description": str(error)}, headers)


def _answer(status: int, members: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(members), status, {**_NO_STORE, **(headers or {})}, media_type="application/json"
    )


_OPENAPI = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string", "format": "password"},
                    },
                }
            }
        },
    }
}
