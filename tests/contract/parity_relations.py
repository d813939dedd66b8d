"""Searches for what is around a resource of a stock, and for many resources in order, in pages, in time."""

from __future__ import annotations

from typing import Any

from parity_facts import Aim, Facts
from test_search_property import registry

from fhir_server.search.compartments import members
from fhir_server.search.sorting import VALUES


def chain(about: Facts) -> Aim | None:
    """What it refers to."""
    link = about.choose(about.links)
    if link is None:
        return None
    name, value = about.leaf(link.target)
    return link.source.type, [(f"{link.step}.{name}", value)]


def long_chain(about: Facts) -> Aim | None:
    """What that refers to."""
    pair = about.choose((one, two) for one in about.links for two in about.links if one.target is two.source)
    if pair is None:
        return None
    name, value = about.leaf(pair[1].target)
    return pair[0].source.type, [(f"{pair[0].step}.{pair[1].step}.{name}", value)]


def has(about: Facts) -> Aim | None:
    """What refers to it."""
    link = about.choose(about.links)
    if link is None:
        return None
    name, value = about.leaf(link.source)
    return link.target.type, [(f"{link.back}:{name}", value)]


def long_has(about: Facts) -> Aim | None:
    """What refers to that."""
    pair = about.choose((one, two) for one in about.links for two in about.links if one.target is two.source)
    if pair is None:
        return None
    name, value = about.leaf(pair[0].source)
    return pair[1].target.type, [(f"{pair[1].back}:{pair[0].back}:{name}", value)]


def sibling(about: Facts) -> Aim | None:
    """What else refers to what it refers to."""
    pair = about.choose((one, two) for one in about.links for two in about.links if one.target is two.target)
    if pair is None:
        return None
    name, value = about.leaf(pair[1].source)
    return pair[0].source.type, [(f"{pair[0].step}.{pair[1].back}:{name}", value)]


def listed(about: Facts) -> Aim | None:
    """What stands in a List."""
    link = about.choose(link for link in about.links if (link.source.type, link.code) == ("List", "item"))
    return (link.target.type, [("_list", link.source.id)]) if link else None


def compartment(about: Facts) -> Aim | None:
    """What belongs to a patient or an encounter."""
    link = about.choose(
        link
        for link in about.links
        if link.code in members(registry(), link.target.type).get(link.source.type, ())
    )
    if link is None:
        return None
    types = f"{link.source.type},{link.target.type}"
    path, pairs = about.choose(((link.source.type, []), ("*", [("_type", types), ("_count", "3")])))
    return f"{link.target.type}/{link.target.id}/{path}", pairs


def include(about: Facts) -> Aim | None:
    """What it refers to comes along, and so does what that refers to."""
    pair = about.choose((one, two) for one in about.links for two in about.links if one.target is two.source)
    if pair is None:
        return None
    one, two = pair
    further = about.choose((f"{two.source.type}:{two.code}", f"{two.source.type}:*"))
    pairs = [("_include", f"{one.source.type}:{one.code}"), ("_include:iterate", further)]
    return one.source.type, [("_id", one.source.id), *pairs]


def revinclude(about: Facts) -> Aim | None:
    """What refers to it comes along."""
    link = about.choose(about.links)
    if link is None:
        return None
    again = about.choose(("_revinclude", "_revinclude:iterate"))
    return link.target.type, [("_id", link.target.id), (again, f"{link.source.type}:{link.code}")]


# ── pages ─────────────────────────────────────────────────────────────────────


def in_order(about: Facts) -> Aim | None:
    """All of its type, by two or three of its values, in small pages."""
    resource = about.choose(about.resources)
    if resource is None:
        return None
    found: dict[str, set[Any]] = {"_id": {0, 1}, "_lastUpdated": {0}}
    for fact in about.facts:
        if fact.of.type == resource.type and fact.parameter.kind in VALUES and fact.code[0] != "_":
            found.setdefault(fact.code, set()).add(fact.row)
    apart = [code for code, rows in found.items() if len(rows) > 1]
    codes = [about.choose(found) for _ in range(about.choose((1, 2)))] + [about.choose(apart)]
    keys = [about.choose(("", "-")) + code for code in dict.fromkeys(codes)]
    return resource.type, [("_sort", ",".join(keys)), ("_count", "1")]


def counted(about: Facts) -> Aim | None:
    """A total of more than a page."""
    resource = about.choose(about.resources)
    if resource is None:
        return None
    total = about.choose(("accurate", "estimate"))
    return resource.type, [about.leaf(resource), ("_total", total), ("_count", "1")]


def updated(about: Facts) -> Aim | None:
    """What was written by the time that the stock was there."""
    resource = about.choose(about.resources)
    prefix = about.choose(("ge", "le", "eq"))
    return (resource.type, [("_lastUpdated", f"{prefix}MOMENT0")]) if resource else None


def of_several_types(about: Facts) -> Aim | None:
    """Several types at once."""
    types = sorted({each.type for each in about.resources})
    if len(types) < 2:
        return None
    return "", [("_type", ",".join(types[-3:])), ("_id", "r0,r1,r2"), ("_count", "2")]


def history(about: Facts) -> Aim | None:
    """What was written from a moment on, or was there at one: of a resource, of a type, of everything."""
    resource = about.choose(about.resources)
    if resource is None:
        return None
    path = about.choose((f"{resource.type}/{resource.id}/", f"{resource.type}/", ""))
    moment = about.choose(("MOMENT0", "MOMENT0", "MOMENT1", "MOMENT2"))
    limits = about.choose(([("_since", moment)], [("_at", moment), ("_since", "MOMENT0")]))
    return f"{path}_history", [*limits, ("_count", "10")]


def everything(about: Facts) -> Aim | None:
    """The whole record of a patient."""
    patient = about.choose(link.target for link in about.links if link.target.type == "Patient")
    pairs = about.choose(([], [], [("_count", "6")]))
    return (f"Patient/{patient.id}/$everything", pairs) if patient else None
