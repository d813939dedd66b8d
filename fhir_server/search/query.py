"""Everything a floor above needs to make or read a search: ``parse_query``, ``Query`` and its parts."""

from fhir_server.search.clauses import (
    AllOf,
    AnyOf,
    Chain,
    Clause,
    Criterion,
    Has,
    Include,
    Not,
    Query,
    SortKey,
)
from fhir_server.search.parse import parse_query
from fhir_server.search.values import (
    CompositeValue,
    DateValue,
    NearValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TextValue,
    TokenValue,
    UriValue,
)

__all__ = [
    "AllOf",
    "AnyOf",
    "Chain",
    "Clause",
    "CompositeValue",
    "Criterion",
    "DateValue",
    "Has",
    "Include",
    "NearValue",
    "Not",
    "NumberValue",
    "QuantityValue",
    "Query",
    "ReferenceValue",
    "SortKey",
    "StringValue",
    "TextValue",
    "TokenValue",
    "UriValue",
    "parse_query",
]
