"""Searches for what one resource of a stock says: values, with modifiers and without, filters, words."""

from __future__ import annotations

from parity_facts import EQUAL, Aim, Fact, Facts, compared, meant
from test_search_property import escaped, registry

from fhir_server.search.index import CONTENT, NARRATIVE, TextRow
from fhir_server.search.match import Indexed
from fhir_server.search.types.token import OF_TYPE


def values(about: Facts) -> Aim | None:
    """Two of its values at once."""
    resource = about.choose(about.resources)
    return (resource.type, [about.leaf(resource), about.leaf(resource)]) if resource else None


def several(about: Facts) -> Aim | None:
    """One of two values of a parameter."""
    fact = about.choose(fact for fact in about.facts if meant(fact.row))
    if fact is None:
        return None
    others = [each for each in about.facts if each.parameter == fact.parameter and meant(each.row)]
    texts = [about.choose(meant(each.row)) for each in (fact, about.choose(others))]
    return fact.of.type, [(fact.code, ",".join(texts))]


def of_kind(about: Facts, *kinds: str) -> Aim | None:
    """A value of one of these kinds."""
    fact = about.choose(fact for fact in about.of(*kinds) if meant(fact.row))
    return (fact.of.type, [(fact.code, about.choose(meant(fact.row)))]) if fact else None


def composite(about: Facts) -> Aim | None:
    """Two values that belong together."""
    facts = [fact for fact in about.of("composite") if all(map(meant, fact.row.parts))]
    fact = about.choose(facts)
    if fact is None:
        return None
    return fact.of.type, [(fact.code, "$".join(about.choose(meant(part)) for part in fact.row.parts))]


# ── modifiers ─────────────────────────────────────────────────────────────────


def contains(about: Facts) -> Aim | None:
    """Something out of the middle of a text."""
    fact = about.choose(fact for fact in about.of("string") if fact.row.exact.strip())
    if fact is None:
        return None
    text = fact.row.exact
    start = about.choose(range(len(text)))
    part = text[start : start + about.choose((1, 2, 9))]
    return fact.of.type, [(f"{fact.code}:contains", escaped(part if part.strip() else text))]


def exact(about: Facts) -> Aim | None:
    fact = about.choose(fact for fact in about.of("string") if fact.row.exact.strip())
    return (fact.of.type, [(f"{fact.code}:exact", escaped(fact.row.exact))]) if fact else None


def below(about: Facts) -> Aim | None:
    """What a URL is below of."""
    fact = about.choose(fact for fact in about.of("uri") if fact.row.uri.count("/") > 2)
    if fact is None:
        return None
    return fact.of.type, [(f"{fact.code}:below", escaped("/".join(fact.row.uri.split("/")[:4])))]


def present(about: Facts) -> Aim | None:
    """That it has a value."""
    fact = about.choose(about.facts)
    return (fact.of.type, [(f"{fact.code}:missing", "false")]) if fact else None


def missing(about: Facts) -> Aim | None:
    """That it has no value where others of its type have one."""
    given = {(fact.of.type, fact.of.id, fact.code) for fact in about.all_facts}
    codes = dict.fromkeys((type, code) for type, _, code in sorted(given))
    logical = {(fact.of.type, fact.of.id, fact.code) for fact in _logical(about)}
    without = [
        (type, code)
        for type, code in codes
        for each in about.resources
        if each.type == type and (type, each.id, code) not in given | logical
    ]
    found = about.choose(without)
    return (found[0], [(f"{found[1]}:missing", "true")]) if found else None


def other(about: Facts) -> Aim | None:
    """That it has not the value of another one."""
    facts = [fact for fact in about.of("token") if meant(fact.row)]
    having = {(fact.of.type, fact.of.id, fact.code, fact.row.code) for fact in facts}
    apart = [
        fact
        for fact in facts
        if any(
            each.type == fact.of.type and (each.type, each.id, fact.code, fact.row.code) not in having
            for each in about.resources
        )
    ]
    fact = about.choose(apart)
    return (fact.of.type, [(f"{fact.code}:not", escaped(fact.row.code))]) if fact else None


def typed(about: Facts) -> Aim | None:
    """An identifier by its type."""
    facts = [fact for fact in about.of("token") if fact.row.system.startswith(f"{OF_TYPE}http")]
    fact = about.choose(fact for fact in facts if not fact.parameter.implicit)
    if fact is None:
        return None
    system, code = fact.row.system.removeprefix(OF_TYPE).split(" ")
    value = "|".join(map(escaped, (system, code, fact.row.code)))
    return fact.of.type, [(f"{fact.code}:of-type", value)]


def identified(about: Facts) -> Aim | None:
    """What a logical reference says."""
    fact = about.choose(fact for fact in _logical(about) if meant(fact.row))
    return (fact.of.type, [(f"{fact.code}:identifier", about.choose(meant(fact.row)))]) if fact else None


def _logical(about: Facts) -> list[Fact]:
    return [
        Fact(each, parameter, row)
        for each in about.resources
        for parameter in registry().parameters(each.type).values()
        for row in each.values.tokens
        if row.key in parameter.identifier_keys
    ]


# ── filters and words ─────────────────────────────────────────────────────────


def filtered(
    about: Facts, operators: str, forms: tuple[str, ...] = ("{}", "{} and not (_id eq r9)")
) -> Aim | None:
    """A comparison by one of these operators that holds, in one of the ``forms``."""
    pair = about.choose((fact, text) for fact in about.facts for text in compared(fact, operators))
    if pair is None:
        return None
    fact, text = pair
    return fact.of.type, [("_filter", about.choose(forms).format(text))]


def filtered_along(about: Facts) -> Aim | None:
    """A comparison of what it refers to."""
    pairs = [(link, fact) for link in about.links for fact in about.of("string") if fact.of is link.target]
    pair = about.choose((link, text) for link, fact in pairs for text in compared(fact, EQUAL))
    return (pair[0].source.type, [("_filter", f"{pair[0].step}.{pair[1]}")]) if pair else None


def words(about: Facts) -> Aim | None:
    """A word of the narrative, of the content, or of the display of a code."""
    said = [(each, row) for each in about.resources for row in each.values.texts() if row.words]
    found = about.choose(pair for pair in said if _name(*pair))
    if found is None:
        return None
    resource, row = found
    start = about.choose(range(len(row.words)))
    texts = row.words[start : start + about.choose((1, 2))]
    return resource.type, [(_name(resource, row), " ".join(texts))]


def _name(resource: Indexed, row: TextRow) -> str | None:
    if row.key in {NARRATIVE, CONTENT}:
        return "_text" if row.key == NARRATIVE else "_content"
    parameters = registry().parameters(resource.type).values()
    return next((f"{each.code}:text" for each in parameters if row.key in each.keys), None)
