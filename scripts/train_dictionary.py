"""Makes a compression dictionary of the SQLite store from invented resources of all R4 types.

    .venv/bin/python scripts/train_dictionary.py NUMBER

writes ``fhir_server/stores/dictionaries/NUMBER.zstd-dictionary``. The same number, program, definitions
and zstandard version give the same bytes. A number is never used twice: stored resources name the
dictionary they were compressed with. Nothing of any real or third-party resource goes in: shapes come
from the R4 definitions, texts from ``dictionary_texts.yaml``.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import yaml
import zstandard

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "fhir_server" / "stores" / "dictionaries"
sys.path.insert(0, str(ROOT))

from fhir_server.definitions import Definitions, load_definitions  # noqa: E402

SIZE: Final = 32 * 1024
DATA: Final = yaml.safe_load(Path(__file__).with_name("dictionary_texts.yaml").read_text())
CODINGS: Final[Mapping[str, list[list[str]]]] = DATA["codings"]
RARE: Final = 6
"""Resources of a type that ``frequent`` does not name."""

DEPTH: Final = 5
XHTML: Final = "http://www.w3.org/1999/xhtml"


class Maker:
    """Invents resources: every required element, and optional ones by chance."""

    def __init__(self, definitions: Definitions, seed: int) -> None:
        self._definitions = definitions
        self._chance = random.Random(seed)  # noqa: S311

    def resource(self, type: str) -> dict[str, Any]:
        """One resource of ``type``, stamped as the server stamps it."""
        head = {"resourceType": type, "id": self.uuid(), "meta": self._meta(type)}
        return head | {name: value for name, value in self._object(type, type, 0).items() if name not in head}

    def uuid(self) -> str:
        """A UUIDv7-like id."""
        digits = f"{self._chance.getrandbits(128):032x}"
        return f"019{digits[3:8]}-{digits[8:12]}-7{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def _meta(self, type: str) -> dict[str, Any]:
        meta: dict[str, Any] = {"versionId": "1", "lastUpdated": self._moment() + ".000Z"}
        if self._chance.random() < 0.5:
            meta["profile"] = [self._chance.choice(DATA["profiles"]) + type.lower()]
        return meta

    def _object(self, path: str, type: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        chosen: set[str] = set()
        for name, member in self._definitions.members(path).items():
            element = member.element
            skipped = (
                name in {"id", "contained", "extension", "modifierExtension", "implicitRules", "language"}
                or name[0] == "_"
            )
            likely = element.min > 0 or self._chance.random() < (0.45 if depth == 0 else 0.3)
            if skipped or not likely or element.path in chosen or depth > DEPTH:
                continue
            chosen.add(element.path)
            value = self._value(member.type, member.path, f"{path}.{name}", element, type, depth)
            if value not in ({}, None):
                made[name] = [value] if element.is_list else value
        return made

    def _value(self, code: str, inner: str, path: str, element: Any, type: str, depth: int) -> Any:
        if code in SPECIAL:
            return SPECIAL[code](self, path, element)
        if inner:
            return self._object(inner, type, depth + 1)
        return PRIMITIVES.get(code, Maker.text)(self)

    def concept(self, path: str, element: Any) -> dict[str, Any]:
        """A CodeableConcept that fits the end of ``path``."""
        coding = self.coding(path, element)
        return {"coding": [coding], "text": coding["display"]}

    def coding(self, path: str, element: Any) -> dict[str, Any]:
        """A Coding that fits the end of ``path``."""
        tail = next((name for name in CODINGS if path.endswith("." + name)), "code")
        system, code, display = self._chance.choice(CODINGS[tail])
        return {"system": system, "code": code, "display": display}

    def code(self, path: str, element: Any) -> str:
        """A code of the element's required value set."""
        allowed = self._definitions.required_codes(element.binding.value_set) if element.binding else None
        return self._chance.choice(sorted(allowed)) if allowed else "active"

    def reference(self, path: str, element: Any) -> dict[str, Any]:
        """A reference to one of the types it may point to."""
        targets = element.types[0].targets or ("Patient",)
        target = "Patient" if path.endswith((".subject", ".patient")) else self._chance.choice(targets)
        made = {"reference": f"{target}/{self.uuid()}"}
        return made | ({"display": self.text()} if self._chance.random() < 0.3 else {})

    def quantity(self, path: str, element: Any) -> dict[str, Any]:
        """A quantity in a common unit."""
        unit = self._chance.choice(DATA["units"])
        value = round(self._chance.uniform(1, 200), 2)
        return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}

    def name(self, path: str, element: Any) -> dict[str, Any]:
        """A person's name."""
        family, given = self._chance.choice(DATA["names"])
        return {"use": "official", "text": family + given, "family": family, "given": [given]}

    def identifier(self, path: str, element: Any) -> dict[str, Any]:
        """An identifier, sometimes with its type."""
        made = {
            "use": "official",
            "system": self._chance.choice(DATA["systems"]),
            "value": str(self._chance.getrandbits(40)),
        }
        return made | (
            {"type": self.concept("identifier.type", element)} if self._chance.random() < 0.3 else {}
        )

    def narrative(self, path: str, element: Any) -> dict[str, Any]:
        """A short generated narrative."""
        return {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{self.text()}</b></p></div>',
        }

    def telecom(self, path: str, element: Any) -> dict[str, Any]:
        """A mobile number."""
        return {"system": "phone", "value": f"1{self._chance.getrandbits(33):010d}", "use": "mobile"}

    def text(self) -> str:
        """A short text."""
        return self._chance.choice(DATA["texts"])

    def date(self) -> str:
        """A date."""
        return f"{self._chance.randint(1950, 2026)}-{self._chance.randint(1, 12):02d}-{self._chance.randint(1, 28):02d}"

    def _moment(self) -> str:
        day, *clock = self.date(), *(self._chance.randint(0, most) for most in (23, 59, 59))
        hour, minute, second = clock
        return f"{day}T{hour:02d}:{minute:02d}:{second:02d}"

    def date_time(self) -> str:
        """A moment with its zone."""
        return self._moment() + self._chance.choice(("+08:00", "-05:00", "Z"))

    def period(self, path: str, element: Any) -> dict[str, Any]:
        """A period."""
        return {"start": self.date_time(), "end": self.date_time()}

    def integer(self) -> int:
        """A small number."""
        return self._chance.randint(1, 20)

    def decimal(self) -> float:
        """A decimal."""
        return round(self._chance.uniform(0, 500), 2)

    def flag(self) -> bool:
        """True or false."""
        return self._chance.random() < 0.5

    def uri(self) -> str:
        """One of the known URIs."""
        return self._chance.choice(DATA["systems"])


SPECIAL: Final[Mapping[str, Callable[[Maker, str, Any], Any]]] = {
    "CodeableConcept": Maker.concept,
    "Coding": Maker.coding,
    "code": Maker.code,
    "Reference": Maker.reference,
    "Quantity": Maker.quantity,
    "HumanName": Maker.name,
    "Identifier": Maker.identifier,
    "Narrative": Maker.narrative,
    "ContactPoint": Maker.telecom,
    "Period": Maker.period,
}
PRIMITIVES: Final[Mapping[str, Callable[[Maker], Any]]] = {
    "boolean": Maker.flag,
    "integer": Maker.integer,
    "positiveInt": Maker.integer,
    "unsignedInt": Maker.integer,
    "decimal": Maker.decimal,
    "date": Maker.date,
    "dateTime": Maker.date_time,
    "instant": Maker.date_time,
    "uri": Maker.uri,
    "url": Maker.uri,
    "canonical": Maker.uri,
}


def train(number: int) -> bytes:
    """The dictionary ``number``."""
    definitions = load_definitions()
    maker = Maker(definitions, number)
    samples = [
        orjson.dumps(maker.resource(type))
        for type in sorted(definitions.resource_types)
        for _ in range(DATA["frequent"].get(type, RARE))
    ]
    return zstandard.train_dictionary(SIZE, samples, dict_id=number, k=256, d=8).as_bytes()


def main() -> None:
    """Write the dictionary that the arguments name."""
    arguments = argparse.ArgumentParser(description="Make a compression dictionary of the SQLite store.")
    arguments.add_argument("number", type=int, help="its number, never used before")
    arguments.add_argument("--into", type=Path, default=FOLDER, help="the folder to write to")
    chosen = arguments.parse_args()
    target = chosen.into / f"{chosen.number}.zstd-dictionary"
    target.write_bytes(train(chosen.number))
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
