"""``_summary`` and ``_elements``: parts of a resource, cut out of its exact bytes.

A part carries the tag SUBSETTED, so that nobody writes it back as if it were the whole.
Source: FHIR R4 search.html#summary, search.html#elements.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import Member
from fhir_server.store import Record

Raw = msgspec.Raw
Members = dict[str, msgspec.Raw]
Keep = Callable[[Member], bool]

ALWAYS = frozenset({"resourceType", "id", "meta"})
WHOLE = frozenset({"Resource", "Extension"})
"""Types that nothing is cut out of: a resource inside is somebody else's, an extension is its value."""
SUBSETTED = Raw(
    b'{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED",'
    b'"display":"subsetted"}'
)
_object = msgspec.json.Decoder(Members)
_array = msgspec.json.Decoder(list[msgspec.Raw])


def subset(
    definitions: Definitions, record: Record, summary: str | None, elements: Collection[str]
) -> Record:
    """``record`` with what ``summary`` (true, text or data) or else ``elements`` (root elements) ask for.

    What is mandatory and what may change the meaning of everything (``modifierExtension``) stays; a ``summary`` of
    another kind and no elements give the record as it is.
    """
    keep = SUMMARIES.get(summary or "") or (_one_of(elements) if elements else None)
    if keep is None:
        return record
    members = _object.decode(record.content)
    kept = _select(definitions, record.type, members, keep, deep=summary == "true")
    kept["meta"] = _tagged(members.get("meta"))
    order = {name: kept[name] for name in ("resourceType", "id", "meta") if name in kept}
    return msgspec.structs.replace(record, content=msgspec.json.encode(order | kept))


def _is_needed(member: Member) -> bool:
    return member.element.min > 0 or member.json_name == "modifierExtension"


def _in_summary(member: Member) -> bool:
    return member.element.is_summary or _is_needed(member)


def _in_text(member: Member) -> bool:
    return member.json_name == "text" or _is_needed(member)


def _in_data(member: Member) -> bool:
    return member.json_name != "text"


def _one_of(elements: Collection[str]) -> Keep:
    """Keeps a choice by its JSON name and by the name without a type (``value``)."""

    def keep(member: Member) -> bool:
        names = {member.json_name, member.element.name.removesuffix("[x]")}
        return _is_needed(member) or not names.isdisjoint(elements)

    return keep


SUMMARIES: Mapping[str, Keep] = {"true": _in_summary, "text": _in_text, "data": _in_data}
"""Value of ``_summary`` → which elements stay."""


def _select(definitions: Definitions, path: str, members: Members, keep: Keep, *, deep: bool) -> Members:
    """Those of ``members`` (of an object at ``path``) that ``keep`` wants; ``deep``: the same inside them."""
    known = definitions.members(path)
    kept: Members = {}
    for name, raw in members.items():
        member = known.get(name.removeprefix("_"))
        if name in ALWAYS:
            kept[name] = raw
        elif member is not None and keep(member):
            inside = deep and member.path and member.type not in WHOLE and not name.startswith("_")
            kept[name] = _reduced(definitions, member.path, raw, keep) if inside else raw
    return kept


def _reduced(definitions: Definitions, path: str, raw: Raw, keep: Keep) -> Raw:
    if bytes(raw)[:1] == b"[":
        items = [_reduced(definitions, path, item, keep) for item in _array.decode(raw)]
        return Raw(msgspec.json.encode(items))
    kept = _select(definitions, path, _object.decode(raw), keep, deep=True)
    return Raw(msgspec.json.encode(kept)) if kept else raw


def _tagged(meta: Raw | None) -> Raw:
    members = _object.decode(meta) if meta is not None else {}
    tags = _array.decode(members["tag"]) if "tag" in members else []
    return Raw(msgspec.json.encode({**members, "tag": Raw(msgspec.json.encode([*tags, SUBSETTED]))}))
