"""Everything that is wrong with a HIS folder, at once: files, names, elements, examples, tests, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.errors import FhirError
from fhir_server.mapping.edit import edited
from fhir_server.mapping.elements import element_faults
from fhir_server.mapping.examples import Example, differences, examples, golden_text
from fhir_server.mapping.formats import FORMATS
from fhir_server.mapping.load import load_folder
from fhir_server.mapping.recognise import recognise
from fhir_server.mapping.reverse import reverse
from fhir_server.mapping.translate import translate
from fhir_server.mapping.types import Case, Map, Mappings, Recognised, Translation
from fhir_server.model.exact import loads_exact


def check(folder: Path, definitions: Definitions | None = None) -> list[str]:
    """The faults of one HIS folder, each with its place; [] when it is fine."""
    if not (folder / "his.yaml").is_file():
        return [f"{folder.name}: no his.yaml"]
    his, maps, faults = load_folder(folder)
    if his is None or faults:
        return faults
    known = definitions or load_definitions()
    mappings = Mappings(folder.parent, {his.key: his}, {his.key: maps}, {})
    faults.extend(fault for item in maps for fault in element_faults(item, known))
    faults.extend(fault for example in examples(folder) for fault in example_faults(mappings, example))
    faults.extend(
        fault for item in maps for case in item.cases for fault in case_faults(mappings, his.key, item, case)
    )
    faults.extend(_without_example(mappings, folder, maps))
    return faults


def example_faults(mappings: Mappings, example: Example) -> Iterator[str]:
    """What is wrong with an example: not translated, not as its golden file says, or the way back loses something."""
    name = f"{example.his}/examples/{example.file.name}"
    try:
        recognised = example.recognised(mappings)
        made = [translate(item) for item in recognised]
    except FhirError as error:
        yield from (f"{name}: {issue.text}" for issue in error.issues)
        return
    if not example.golden.is_file():
        yield f"{name}: {example.golden.name} is missing; run the tests with ACCEPT=1 and read what they wrote"
    else:
        wanted = example.golden.read_text("utf-8")
        yield from (f"{name}: {difference}" for difference in differences(wanted, golden_text(made)))
    for one, translation in zip(recognised, made, strict=True):
        yield from (f"{name}: {fault}" for fault in round_trip_faults(one, translation))


def round_trip_faults(recognised: Recognised, translation: Translation) -> Iterator[str]:
    """The fields that the way back gives another text than the message had."""
    parse_path = FORMATS[recognised.map.source.format].parse_path
    whole = recognised.message.whole()
    for place, text in reverse(recognised.map, translation.bundle).items():
        found = recognised.message.find(parse_path(place), whole)
        if found is None or found.text.strip() != text:
            yield f"the way back gives another text for {place} than the message has"


def case_faults(mappings: Mappings, his: str, map: Map, case: Case) -> Iterator[str]:
    """What a test written in the map finds wrong."""
    name = f"{case.place.file}: test {case.name!r}"
    file = map.file.parent / "examples" / case.example
    try:
        raw = edited(file.read_bytes(), map.source.format, mappings.his[his].codec, case.change)
        recognised = recognise(mappings, his, raw, FORMATS[map.source.format].media_type)
        translation = translate(recognised)
    except (OSError, ValueError) as error:
        yield f"{name}: {error}"
    except FhirError as error:
        yield from _judge_issues(name, case, [issue.text for issue in error.issues])
    else:
        yield from _judge(name, case, translation)


def _judge_issues(name: str, case: Case, texts: list[str]) -> Iterator[str]:
    if case.expect_issue is None:
        yield from (f"{name}: {text}" for text in texts)
    elif not any(case.expect_issue in text for text in texts):
        yield f"{name}: expected an issue with {case.expect_issue!r}, got {'; '.join(texts)}"


def _judge(name: str, case: Case, translation: Translation) -> Iterator[str]:
    warnings = [issue.text for issue in translation.issues]
    if case.expect_issue is not None and not any(case.expect_issue in text for text in warnings):
        yield f"{name}: expected an issue with {case.expect_issue!r}, got {'; '.join(warnings) or 'none'}"
    resources = [entry["resource"] for entry in loads_exact(translation.bundle)["entry"]]
    for path, wanted in case.expect.items():
        got = found_text(resources, path)
        if got != wanted:
            yield f"{name}: {path}: expected {wanted!r}, got {got!r}"


def found_text(resources: list[Mapping[str, Any]], path: str) -> str:
    """The text at ``Patient.name[0].text`` in the first resource of that type that has it, '' when none has."""
    kind, _, rest = path.partition(".")
    values = (_walk(resource, rest) for resource in resources if resource["resourceType"] == kind)
    value = next((value for value in values if value is not None), None)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(getattr(value, "text", value))


def _walk(node: Any, path: str) -> Any:
    for piece in path.split("."):
        name, _, number = piece.partition("[")
        node = node.get(name) if isinstance(node, dict) else None
        if number and isinstance(node, list):
            at = int(number.rstrip("]"))
            node = node[at] if at < len(node) else None
    return node


def _without_example(mappings: Mappings, folder: Path, maps: tuple[Map, ...]) -> Iterator[str]:
    used = set()
    for example in examples(folder):
        try:
            used |= {item.map.name for item in example.recognised(mappings)}
        except FhirError:
            continue
    for item in maps:
        if item.name not in used:
            yield f"{folder.name}/{item.file.name}: no example in {folder.name}/examples is for this map"
