"""References of a transaction that lead out of it, or nowhere.

Source: FHIR R4 http.html#trules, http.html#conditional-references.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from fhir_server.definitions import Definitions
from fhir_server.errors import InvalidContent, Issue, Unprocessable
from fhir_server.interactions.batch import Context
from fhir_server.interactions.conditional import find_one, parse_criteria
from fhir_server.interactions.entries import Entry, Faults
from fhir_server.interactions.links import CONDITIONAL, URN
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.references import reference_elements
from fhir_server.store import Reading


async def require_resolved(entries: Iterable[Entry], addresses: Mapping[str, str], pace: Pace) -> None:
    """Raises InvalidContent naming each ``urn:uuid`` reference that no entry's fullUrl answers."""
    faults = Faults()
    for entry in entries:
        lost = {text for text in entry.references if text.startswith(URN) and text not in addresses}
        if lost:
            issues = _issues(entry, lost, "not-found", "no entry of the Bundle has the fullUrl {}")
            faults.note(entry, InvalidContent(issues=list(issues)))
        await pace()
    faults.raise_any()


def conditional_references(entries: Iterable[Entry], definitions: Definitions) -> set[str]:
    """The texts of all references of the form ``Practitioner?identifier=…``."""
    texts = {text for entry in entries for text in entry.references if "?" in text}
    matches = [match for match in map(CONDITIONAL.fullmatch, texts) if match]
    return {match[0] for match in matches if match[1] in definitions.resource_types}


async def look_up(
    context: Context, reading: Reading, entries: Sequence[Entry], texts: Collection[str], *, is_last: bool
) -> dict[str, str]:
    """Conditional reference → address, for those of ``texts`` that one resource answers and ``entries`` have.

    Raises PreconditionFailed when several do, and Unprocessable naming every reference without an
    answer when nothing was found and nothing more will be written (``is_last``).
    """
    found: dict[str, str] = {}
    asked: set[str] = set()
    faults = Faults()
    for entry in entries:
        for text in sorted((entry.references & set(texts)) - asked):
            asked.add(text)
            with faults.of(entry):
                address = await _look_up_one(context, reading, text)
                if address is not None:
                    found[text] = address
    faults.raise_any()
    if is_last and not found:
        _raise_unanswered(entries, texts)
    return found


async def _look_up_one(context: Context, reading: Reading, text: str) -> str | None:
    type, _, criteria = text.partition("?")
    query = await parse_criteria(context.server, context.caller, type, criteria, context.base)
    record = await find_one(reading, query)
    return f"{record.type}/{record.id}" if record else None


def _raise_unanswered(entries: Sequence[Entry], texts: Collection[str]) -> None:
    faults = Faults()
    for entry in entries:
        lost = entry.references & set(texts)
        if lost:
            issues = _issues(entry, lost, "not-found", "nothing matches {}")
            faults.note(entry, Unprocessable(issues=list(issues)))
    faults.raise_any()


def _issues(entry: Entry, texts: Collection[str], code: str, text: str) -> Iterator[Issue]:
    """One issue for each element of the entry's resource whose reference is one of ``texts``.

    In a patch references stand anywhere: the issue is one of the whole resource.
    """
    placed: set[str] = set()
    for reference, expression in reference_elements(entry.body.data):
        if reference in texts:
            placed.add(reference)
            yield Issue("error", code, text.format(reference[:200]), expression)
    for reference in sorted(set(texts) - placed):
        yield Issue("error", code, text.format(reference[:200]), entry.kind)
