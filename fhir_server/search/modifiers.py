"""``parameter:modifier=value,value`` → a criterion: which parameter types have which modifiers, and what each means.

A modifier is, where it can be, rewritten into what stores know already: ``:in`` and ``:below`` of a token are the
codes themselves, ``:not-in`` is their ``not``, ``:identifier`` a token over other rows. A store meets only
``exact``, ``contains``, ``not``, ``missing``, ``below`` (uri), ``text``, and from ``_filter`` ``equals``, ``ends``,
``gt``, ``ge``, ``lt`` and ``le`` (string).
Source: FHIR R4 search.html#modifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from fhir_server.search.clauses import AllOf, AnyOf, Clause, Criterion
from fhir_server.search.contained import missing_inside
from fhir_server.search.cost import MOST_VALUES
from fhir_server.search.faults import Refusal
from fhir_server.search.lookups import PARTS
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types import composite, fulltext, reference, token, uri
from fhir_server.search.types.base import Reading
from fhir_server.search.types.escapes import split, unescape
from fhir_server.search.types.simple import SIMPLE
from fhir_server.search.values import Looked, ReferenceValue, TokenValue

Read = Callable[[SearchParameter, str, Sequence[str], Reading], Criterion]
"""From the parameter, the modifier and the values (escapes still in them). Raises ValueError for a bad value."""

TRUTH: Final = {"true": True, "false": False}
ALIASES: Final = {"ofType": "of-type"}
"""R4's code system writes ``ofType``, its text ``of-type``."""


def read_clause(parameter: SearchParameter, modifier: str, value: str, reading: Reading) -> Criterion:
    """The criterion ``parameter:modifier=value``; ``modifier`` "" for none.

    Raises ValueError for a bad value, Refusal for a modifier that the parameter does not have, NotFetched.
    """
    texts = split(value, ",")
    if len(texts) > MOST_VALUES:
        raise Refusal(f"a parameter has at most {MOST_VALUES} values", "too-costly")
    if "" in texts:
        raise ValueError("a value is missing; leave the parameter out, or ask for :missing=true")
    return _reader(parameter, ALIASES.get(modifier, modifier), reading)(parameter, modifier, texts, reading)


def checked_target(parameter: SearchParameter, type: str) -> str:
    """``type``, when the reference ``parameter`` may lead there. Raises Refusal."""
    if parameter.targets and type not in parameter.targets:
        raise Refusal(f"it refers to {', '.join(parameter.targets)}, not to {type}", "invalid")
    return type


def modifiers_of(parameter: SearchParameter) -> tuple[str, ...]:
    """The modifiers of ``parameter`` in order, ``[type]`` standing for any type it may refer to."""
    if parameter.column:
        return ()
    own = MODIFIERS.get(parameter.kind, {})
    return ("missing", *sorted(own), *(["[type]"] if parameter.kind == "reference" else []))


def parse_value(parameter: SearchParameter, text: str, reading: Reading) -> Any:
    """One value without a modifier. Raises ValueError."""
    if parameter.kind == "composite":
        return composite.parse(parameter, text, reading)
    return SIMPLE[parameter.kind].parse(parameter, text, reading)


def _reader(parameter: SearchParameter, modifier: str, reading: Reading) -> Read:
    if parameter.column in {"text", "content"} and not modifier:
        return _searched
    if not modifier:
        return _plain
    found = None if parameter.column else MODIFIERS.get(parameter.kind, {}).get(modifier)
    if found is not None:
        return found
    if modifier == "missing" and not parameter.column:
        return _missing
    if parameter.kind == "reference" and modifier in reading.definitions.resource_types:
        return _of_type_only
    allowed = ", ".join(f":{name}" for name in modifiers_of(parameter)) or "none"
    raise Refusal(f"a {parameter.kind} parameter has no modifier :{modifier}; allowed: {allowed}", "invalid")


# ── every type ────────────────────────────────────────────────────────────────


def _plain(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Criterion:
    return Clause(parameter, None, tuple([parse_value(parameter, text, reading) for text in texts]))


def _kept(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Criterion:
    """The modifier stays for the store: ``:not``, ``:exact``, ``:contains``."""
    return Clause(parameter, modifier, tuple(parse_value(parameter, text, reading) for text in texts))


def _missing(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Criterion:
    if not TRUTH.keys() >= set(texts):
        raise ValueError(":missing is true or false")
    return _any_of([missing(parameter, TRUTH[text]) for text in dict.fromkeys(texts)])


def missing(parameter: SearchParameter, is_missing: bool) -> Criterion:
    """Whether there is no value. A reference to what is contained is one, and a logical reference too; of what type
    that is nobody knows, so that it is none of a parameter for references to one type."""
    literal = Clause(parameter, "missing", (is_missing,))
    if not parameter.identifier_keys:
        return literal
    values = [literal, missing_inside(parameter, is_missing)]
    if parameter.target is None:
        values.append(Clause(_logical(parameter), "missing", (is_missing,)))
    return AllOf(tuple(values)) if is_missing else AnyOf(tuple(values))


def _any_of(criteria: Sequence[Criterion]) -> Criterion:
    return criteria[0] if len(criteria) == 1 else AnyOf(tuple(criteria))


def _text(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Criterion:
    return Clause(parameter, fulltext.MODIFIER, tuple(map(fulltext.phrase, texts)))


def _searched(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Criterion:
    """``_text`` and ``_content``."""
    return _any_of([fulltext.criterion(parameter, text) for text in texts])


# ── token ─────────────────────────────────────────────────────────────────────


def _typed(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Criterion:
    if parameter.implicit:
        raise ValueError(f"{parameter.code} holds no identifiers, so it has no identifier type")
    return Clause(parameter, None, tuple(token.parse_typed(parameter, text, reading) for text in texts))


def _in(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Criterion:
    codes = [
        (each.system, each.code)
        for text in texts
        for each in reading.lookups.codes(_canonical(text, reading))
        if not each.abstract
    ]
    if not codes:
        raise ValueError("the value set has no code that can be chosen")
    values = Looked.of(f"{modifier} {','.join(texts)}", _coded(parameter, codes, reading))
    return Clause(parameter, "not" if modifier == "not-in" else None, values)


def _canonical(text: str, reading: Reading) -> str:
    """The URL of a value set; one of this server by its address is ``ValueSet/id``."""
    url = unescape(text)
    if reading.base_url and url.startswith(f"{reading.base_url}/ValueSet/"):
        return url.removeprefix(f"{reading.base_url}/")
    return url


def _related_codes(
    parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading
) -> Criterion:
    codes = [
        (system, code)
        for text in texts
        for system, given in _systems(parameter, text, reading)
        for code in reading.lookups.family(system, given, modifier)
    ]
    return Clause(
        parameter, None, Looked.of(f"{modifier} {','.join(texts)}", _coded(parameter, codes, reading))
    )


def _systems(parameter: SearchParameter, text: str, reading: Reading) -> Iterable[tuple[str, str]]:
    """(system, code) of ``text``; a plain code only where the element itself says its system."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 2 and all(parts):
        return [(parts[0], parts[1])]
    known = [pair for pair in token.implicit_codes(parameter, reading) if pair[1] == parts[0]]
    if len(parts) != 1 or not known:
        raise ValueError("allowed is system|code: what is above or below a code, its code system says")
    return known


def _coded(
    parameter: SearchParameter, codes: Iterable[tuple[str, str]], reading: Reading
) -> tuple[TokenValue, ...]:
    """The values for ``codes`` as they are kept: a plain ``code`` element has no system."""
    implicit = token.implicit_codes(parameter, reading)
    kept = {("" if pair in implicit else pair[0], token.fold_code(pair[1])): None for pair in codes}
    return tuple(TokenValue(system, code) for system, code in kept)


# ── reference ─────────────────────────────────────────────────────────────────


def _of_type_only(
    parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading
) -> Criterion:
    """``subject:Patient=1``."""
    return _plain(replace(parameter, targets=(checked_target(parameter, modifier),)), "", texts, reading)


def _identified(
    parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading
) -> Criterion:
    """``:identifier``: the logical reference, a token over rows of its own."""
    if not parameter.identifier_keys:
        raise ValueError(f"the values of {parameter.code} are URLs, which have no identifier")
    return _plain(_logical(parameter), "", texts, reading)


def _logical(parameter: SearchParameter) -> SearchParameter:
    return replace(parameter, kind="token", keys=parameter.identifier_keys, target=None)


def _hierarchical(
    parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading
) -> Criterion:
    values: dict[ReferenceValue, None] = {}
    for text in texts:
        start = reference.parse(parameter, text, reading)
        type = _only_hierarchy(parameter) if start.type is None else start.type
        if type not in PARTS:
            raise ValueError(
                f"a {type or 'URL'} is part of nothing; :{modifier} follows "
                f"{', '.join(PARTS)}, written Type/id"
            )
        family = reading.lookups.relatives(type, start.id, modifier)
        values.update((ReferenceValue(type, id), None) for id in family)
    return Clause(parameter, None, Looked.of(f"{modifier} {','.join(texts)}", values))


def _only_hierarchy(parameter: SearchParameter) -> str:
    possible = [type for type in parameter.targets if type in PARTS]
    if len(possible) != 1:
        raise ValueError(f"write Type/id: {', '.join(possible) or 'none'} of its types have a hierarchy")
    return possible[0]


# ── uri ───────────────────────────────────────────────────────────────────────


def _under(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Criterion:
    return Clause(parameter, "below", tuple(map(uri.stem, texts)))


def _over(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Criterion:
    values = [above for text in texts for above in uri.ancestors(uri.stem(text))]
    return Clause(parameter, None, tuple(dict.fromkeys(values)))


MODIFIERS: Mapping[str, Mapping[str, Read]] = {
    "token": {
        "not": _kept,
        "text": _text,
        "in": _in,
        "not-in": _in,
        "above": _related_codes,
        "below": _related_codes,
        "of-type": _typed,
    },
    "string": {"exact": _kept, "contains": _kept},
    "reference": {"identifier": _identified, "text": _text, "above": _hierarchical, "below": _hierarchical},
    "uri": {"above": _over, "below": _under},
}
"""Parameter type → modifier → how it is read; ``missing`` is for all, ``[type]`` for references."""
