"""The transaction Bundle of a translation: entries with their conditional requests, and the Provenance of it all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.mapping.run import Instance
from fhir_server.mapping.types import Recognised
from fhir_server.model.exact import dumps_exact
from fhir_server.model.resource import Json

TAG_SYSTEM = "http://cmc.example.org/fhir/CodeSystem/mapping"
MAPPING_URL = "http://cmc.example.org/fhir/mapping"
SID = "http://cmc.example.org/sid"


def transaction(recognised: Recognised, instances: Sequence[Instance], sent: str) -> Json:
    """The Bundle: one entry per instance, then the Provenance that names message, mapping and version."""
    entries = [_entry(recognised, instance) for instance in instances]
    provenance = _provenance(
        recognised, [instance.url for instance in instances if instance.rule.resource != "Provenance"], sent
    )
    entries.append({"resource": provenance, "request": {"method": "POST", "url": "Provenance"}})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def merge_same(one: Any, other: Any) -> Any | None:
    """What ``one`` and ``other`` say together when neither contradicts the other, else None."""
    if isinstance(one, dict) and isinstance(other, dict):
        merged = dict(one)
        for name, value in other.items():
            merged[name] = merge_same(one[name], value) if name in one else value
        return None if any(value is None for value in merged.values()) else merged
    return one if dumps_exact(one) == dumps_exact(other) else None


def _entry(recognised: Recognised, instance: Instance) -> Json:
    kind = instance.rule.resource
    upsert = instance.rule.upsert
    if upsert is None:
        request = {"method": "POST", "url": kind}
    elif upsert.mode == "update":
        request = {"method": "PUT", "url": f"{kind}?{instance.criteria}"}
    else:
        request = {"method": "POST", "url": kind, "ifNoneExist": str(instance.criteria)}
    return {"fullUrl": instance.url, "resource": _tagged(recognised, instance.data), "request": request}


def _tagged(recognised: Recognised, data: Json) -> Json:
    tag = {"system": TAG_SYSTEM, "code": recognised.map.label}
    return {"resourceType": data["resourceType"], "meta": {"tag": [tag]}} | {
        name: value for name, value in data.items() if name != "resourceType"
    }


def _provenance(recognised: Recognised, urls: Sequence[str], sent: str) -> Json:
    his = recognised.his
    message = {
        "system": f"{SID}/{his.uscc}/message",
        "value": f"{recognised.sender}|{recognised.control_id}",
    }
    organisation = {
        "reference": f"Organization?identifier={SID}/uscc|{his.uscc}",
        "display": his.organisation,
    }
    return {
        "resourceType": "Provenance",
        "meta": {"tag": [{"system": TAG_SYSTEM, "code": recognised.map.label}]},
        "target": [{"reference": url} for url in urls],
        "recorded": sent,
        "policy": [f"{MAPPING_URL}/{recognised.map.name}|{recognised.map.version}"],
        "activity": {"text": f"{recognised.kind} → FHIR ({recognised.map.title})"},
        "agent": [{"type": {"coding": [_ASSEMBLER]}, "who": organisation}],
        "entity": [{"role": "source", "what": {"identifier": message, "display": recognised.kind}}],
    }


_ASSEMBLER = {
    "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
    "code": "assembler",
}
