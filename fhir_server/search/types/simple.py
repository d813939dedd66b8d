"""The parameter types whose values stand alone (all but composite), in one table."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.search.types import date, number, quantity, reference, special, string, token, uri
from fhir_server.search.types.base import ParameterType

SIMPLE: Mapping[str, ParameterType] = {
    "token": ParameterType(token.parse, token.admits, "tokens"),
    "string": ParameterType(string.parse, string.admits, "strings"),
    "date": ParameterType(date.parse, date.admits, "dates"),
    "number": ParameterType(number.parse, number.admits, "numbers"),
    "quantity": ParameterType(quantity.parse, quantity.admits, "numbers"),
    "reference": ParameterType(reference.parse, reference.admits, "references"),
    "uri": ParameterType(uri.parse, uri.admits, "uris"),
    "special": ParameterType(special.parse, special.admits, "positions", sortable=False),
}
