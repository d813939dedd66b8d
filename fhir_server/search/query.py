"""Everything a floor above needs to make or read a search: ``parse_query``, ``Query`` and its parts."""

from fhir_server.search.clauses import Clause, Include, Query, SortKey
from fhir_server.search.parse import parse_query
from fhir_server.search.values import (
    CompositeValue,
    DateValue,
    NearValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)

__all__ = [
    "Clause",
    "CompositeValue",
    "DateValue",
    "Include",
    "NearValue",
    "NumberValue",
    "QuantityValue",
    "Query",
    "ReferenceValue",
    "SortKey",
    "StringValue",
    "TokenValue",
    "UriValue",
    "parse_query",
]
