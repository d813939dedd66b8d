"""Random requests: writes alone and in Bundles, searches with all that may be asked of their pages, histories."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st
from parity_kit import Request
from random_resources import CODES, IDS, SYSTEMS, content
from random_resources import TYPES as RANDOM
from test_search_property import Searches, registry

Json = dict[str, Any]
Pairs = list[tuple[str, str]]

# ── writes ────────────────────────────────────────────────────────────────────

TYPES = (*RANDOM, "Location", "List")
"""What is written: besides what is random anyway something that is somewhere, and something that lists others."""
TYPE, ID = st.sampled_from(TYPES), st.sampled_from(IDS)
KEYS = st.builds("{}/{}".format, TYPE, ID)
CRITERIA = st.one_of(
    st.builds("identifier={}".format, CODES),
    st.builds("identifier={}|{}".format, SYSTEMS, CODES),
    st.builds("_id={}".format, st.sampled_from((*IDS, "r9"))),
    st.builds("_tag={}".format, CODES),
    st.sampled_from(["_id=r0,r1", "nothing=1", "_lastUpdated=lt1980"]),
)
"""Of conditional writes: most match one or none, some match several, some are refused."""
TAGS = st.sampled_from([None, None, None, 'W/"1"', 'W/"1"', 'W/"2"', '"x"'])
PATCHES = st.sampled_from([("delete", "active"), ("delete", "status"), ("add", "language"), ("delete", "id")])


@dataclass(frozen=True)
class Write:
    """One write, which can be sent alone or as an entry of a Bundle. ``patch``: the operation and its element."""

    method: str
    url: str
    resource: Json | None = None
    if_match: str | None = None
    if_none_exist: str | None = None
    full_url: str | None = None
    patch: tuple[str, str] | None = None

    def alone(self) -> Request:
        headers = {"If-Match": self.if_match, "If-None-Exist": self.if_none_exist}
        return Request(
            self.method, self.url, self._body(), {name: text for name, text in headers.items() if text}
        )

    def entry(self) -> Json:
        asked = {
            "method": self.method,
            "url": self.url,
            "ifMatch": self.if_match,
            "ifNoneExist": self.if_none_exist,
        }
        request = {name: text for name, text in asked.items() if text}
        body = self._body()
        named = {"fullUrl": self.full_url} if self.full_url else {}
        return {**named, "request": request, **({} if body is None else {"resource": body})}

    def _body(self) -> Json | None:
        return (
            self.resource
            if self.patch is None
            else fhirpath_patch(re.split("[/?]", self.url)[0], *self.patch)
        )


def fhirpath_patch(type: str, operation: str, element: str) -> Json:
    """A Parameters resource that adds ``element`` to the type's resource, or deletes it."""
    parts: list[Json] = [{"name": "type", "valueCode": operation}]
    if operation == "add":
        parts += [
            {"name": "path", "valueString": type},
            {"name": "name", "valueString": element},
            {"name": "value", "valueCode": "zh"},
        ]
    else:
        parts.append({"name": "path", "valueString": f"{type}.{element}"})
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


def _resource(type: str, id: str | None = None) -> st.SearchStrategy[Json]:
    named = {"resourceType": type, **({"id": id} if id else {})}
    return content(type).map(lambda members: {**named, **members})


@st.composite
def _put(draw: st.DrawFn) -> Write:
    type, id = draw(TYPE), draw(ID)
    return Write("PUT", f"{type}/{id}", draw(_resource(type, id)), if_match=draw(TAGS))


@st.composite
def _post(draw: st.DrawFn) -> Write:
    type = draw(TYPE)
    return Write("POST", type, draw(_resource(type)), if_none_exist=draw(st.one_of(st.none(), CRITERIA)))


@st.composite
def _conditional(draw: st.DrawFn) -> Write:
    type, method = draw(TYPE), draw(st.sampled_from(("PUT", "DELETE", "PATCH")))
    url = f"{type}?{draw(CRITERIA)}"
    if method == "PATCH":
        return Write(method, url, patch=draw(PATCHES), if_match=draw(TAGS))
    return Write(method, url, draw(_resource(type)) if method == "PUT" else None)


WRITES = st.one_of(
    _put(),
    _put(),
    _post(),
    _conditional(),
    st.builds(lambda key, tag: Write("DELETE", key, if_match=tag), KEYS, TAGS),
    st.builds(lambda key, how, tag: Write("PATCH", key, patch=how, if_match=tag), KEYS, PATCHES, TAGS),
)


@st.composite
def disturbances(draw: st.DrawFn, type: str) -> Request:
    """A write of a resource of ``type``."""
    id = draw(ID)
    data = draw(st.one_of(st.none(), _resource(type, id)))
    return Write("PUT" if data else "DELETE", f"{type}/{id}", data).alone()


ERASURES = st.one_of(
    st.builds("{}/_history{}".format, KEYS, st.sampled_from(("", "/1", "/2"))).map(
        lambda url: Request("DELETE", url)
    ),
    KEYS.map(lambda key: Request("POST", f"{key}/$purge")),
)
JSON_PATCHES = st.builds(
    lambda key, value: Request(
        "PATCH",
        key,
        [{"op": "add", "path": "/language", "value": value}],
        {"Content-Type": "application/json-patch+json"},
    ),
    KEYS,
    st.sampled_from(("zh", "en")),
)
READS = st.one_of(KEYS, st.builds("{}?{}".format, TYPE, CRITERIA), st.builds("{}/_history/1".format, KEYS))
"""What is read inside of Bundles."""

NEW = "urn:uuid:0a0a0a0a-0000-4000-8000-00000000000a"
FAMILY = [
    Write("POST", "Patient", {"resourceType": "Patient", "name": [{"text": "张伟"}]}, full_url=NEW),
    Write("POST", "Observation", {"resourceType": "Observation", "subject": {"reference": NEW}}),
]
"""A resource and one that refers to it by the name that it has in the Bundle only."""


@st.composite
def bundles(draw: st.DrawFn) -> Request:
    """A transaction or a batch of writes and reads."""
    writes = [*draw(st.lists(WRITES, min_size=1, max_size=5)), *draw(st.sampled_from(([], FAMILY)))]
    kind = draw(st.sampled_from(("transaction", "batch")))
    if kind == "transaction" and draw(st.booleans()):
        writes = list({write.url: write for write in writes if "?" not in write.url}.values())
    reads = [{"request": {"method": "GET", "url": url}} for url in draw(st.lists(READS, max_size=2))]
    return bundle(kind, [*(write.entry() for write in writes), *reads])


def bundle(kind: str, entries: list[Json]) -> Request:
    return Request("POST", "", {"resourceType": "Bundle", "type": kind, "entry": entries})


ALONE = WRITES.map(Write.alone)
CHANGES = st.one_of(ALONE, ALONE, bundles(), bundles(), bundles(), JSON_PATCHES, ERASURES)

# ── searches ──────────────────────────────────────────────────────────────────

ELEMENTS = st.sampled_from(["identifier", "id,identifier,meta", "language", "nothing"])


def _optional(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[Pairs]:
    """Nothing twice as often as the parameter with one of ``values``."""
    return st.one_of(st.just([]), st.just([]), values.map(lambda value: [(name, value)]))


def _links(from_: str = "", to: str = "") -> list[tuple[str, str, str]]:
    """Type, code and target of the parameters that lead from one type to another ("": any)."""
    return [
        (type, parameter.code, target)
        for type in ([from_] if from_ else TYPES)
        for parameter in registry().parameters(type).values()
        if parameter.kind == "reference"
        for target in ([to] if to else TYPES)
        if target in (parameter.targets or TYPES)
    ]


@st.composite
def _includes(draw: st.DrawFn, type: str) -> Pairs:
    """Up to two of ``_include`` and ``_revinclude`` around ``type``, iterated or not."""
    found = []
    for _ in range(draw(st.integers(0, 2))):
        way, iterate = draw(st.sampled_from(("in", "rev"))), draw(st.sampled_from(("", ":iterate")))
        links = _links() if iterate else _links(from_=type) if way == "in" else _links(to=type)
        source, code, target = draw(st.sampled_from(links or _links()))
        value = draw(st.sampled_from((f"{source}:{code}", f"{source}:{code}:{target}", f"{source}:*")))
        found.append((f"_{way}clude{iterate}".replace("_rev", "_revin"), value))
    return found


CONTROLS = (
    _optional("_total", st.sampled_from(("accurate", "estimate", "none"))),
    _optional("_summary", st.sampled_from(("true", "text", "data", "count", "false"))),
    _optional("_elements", ELEMENTS),
    _optional("_content", st.sampled_from(("张", "张伟", "anna", "weiß -zoë"))),
    st.sampled_from([[("_count", "1")], [("_count", "2")], [("_count", "3")], [("_count", "0")], []]),
)


@st.composite
def searches(draw: st.DrawFn, resources: list[Any], moments: list[str]) -> Request:
    """A search of one type, of several, or in a compartment, for what ``resources`` say and ``moments`` when."""
    type, pairs = Searches(resources, draw).one()
    for control in (*CONTROLS, _includes(type)):
        pairs += draw(control)
    prefixes = st.sampled_from(("gt", "le", "ne", "eb"))
    pairs += draw(_optional("_lastUpdated", st.builds(str.__add__, prefixes, st.sampled_from(moments))))
    path = draw(st.sampled_from((type, type, type, type, type, f"Patient/r0/{type}", "")))
    if not path:
        pairs = [("_type", f"{type},{draw(TYPE)}"), *_of_all_types(pairs)]
    return Request("GET", f"{path}?{urlencode(pairs, quote_via=quote)}")


def _of_all_types(pairs: Pairs) -> Pairs:
    """Those that every type knows, without the order."""
    return [
        (name, value) for name, value in pairs if name.startswith("_") and name[:5] not in {"_sort", "_has:"}
    ]


EVERYTHING = st.sampled_from(
    [
        "Patient/r0/$everything?_count=2",
        "Patient/r1/$everything",
        "Observation/$lastn?patient=Patient/r0&category=a,B&max=2",
    ]
)


MINUTE = "MINUTE0"
"""Stands in a URL for the minute of the first moment (see ``parity_examples``)."""


@st.composite
def histories(draw: st.DrawFn, moments: list[str]) -> Request:
    """Of a resource, a type or everything; that of everything since the first of ``moments``: the erasures of earlier
    examples stay out of it."""
    path = draw(st.one_of(KEYS, TYPE, st.just("")))
    limits = draw(
        st.one_of(
            st.just([("_since", moments[0])] if not path else []),
            st.sampled_from(moments).map(lambda moment: [("_since", moment)]),
            st.sampled_from([*moments, MINUTE]).map(lambda moment: [("_at", moment), ("_since", moments[0])]),
        )
    )
    count = draw(st.sampled_from([[("_count", "1")], [("_count", "3")], []]))
    return Request("GET", f"{path}/_history?{urlencode([*limits, *count], quote_via=quote)}".lstrip("/"))


@st.composite
def reads(draw: st.DrawFn) -> Request:
    """Of a resource or one of its versions, perhaps under a condition."""
    condition = draw(st.sampled_from([{}, {"If-None-Match": 'W/"1"'}, {"If-None-Match": 'W/"2"'}]))
    version = draw(st.sampled_from(("", "/_history/1", "/_history/2", "/_history/99")))
    return Request("GET", draw(KEYS) + version, None, condition)
