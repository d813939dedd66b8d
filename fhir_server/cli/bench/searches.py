"""The rows that search what the row ``import`` has loaded: Synthea's patients when the pack is there, else our own.

What to ask for is read from the server first, so that every search finds something in either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from fhir_server.cli.bench.generator import Plan
from fhir_server.cli.bench.rows import DIFFERENT, request

HEIGHT = "http://loinc.org|8302-2"
MOST_CODES = 16
PAGE = 20
HIT = b'"mode":"match"'
Json = dict[str, Any]


class Facts(NamedTuple):
    """What there is: patients' ids and identifiers (``system|value``), heights with their year, and the codes
    (``system|code``) of measurements of which there are at least PAGE."""

    patients: Sequence[str]
    identifiers: Sequence[str]
    heights: Sequence[tuple[float, int]]
    codes: Sequence[str]


async def discover(http: httpx.AsyncClient, base: str) -> Facts:
    """Look at what was loaded last. Raises OSError when there is nothing of the kind."""
    heights = await _resources(
        http, f"{base}/Observation?code={_q(HEIGHT)}&_sort=-_lastUpdated&_count={DIFFERENT}"
    )
    ids = list(dict.fromkeys(each["subject"]["reference"].rpartition("/")[2] for each in heights))
    people = await _resources(http, f"{base}/Patient?_id={','.join(ids)}&_count={DIFFERENT}")
    named = [f"{one['identifier'][0]['system']}|{one['identifier'][0]['value']}" for one in people]
    measured = [(each["valueQuantity"]["value"], int(each["effectiveDateTime"][:4])) for each in heights]
    codes = await _codes(http, base, ids)
    if not (ids and named and measured and codes):
        raise OSError("the benchmark's data set has no patients with heights: is it loaded?")
    return Facts(ids, named, measured, codes)


async def _codes(http: httpx.AsyncClient, base: str, patients: Sequence[str]) -> list[str]:
    """What these patients were measured for, as far as there is a page of it."""
    named = ",".join(f"Patient/{id}" for id in patients[:PAGE])
    found = await _resources(http, f"{base}/Observation?patient={named}&_count={DIFFERENT}")
    codings = [each["code"]["coding"][0] for each in found if "coding" in each["code"]]
    kept: list[str] = []
    for code in dict.fromkeys(f"{each['system']}|{each['code']}" for each in codings):
        answer = await http.get(f"{base}/Observation?code={_q(code)}&_summary=count")
        if answer.json()["total"] >= PAGE and len(kept) < MOST_CODES:
            kept.append(code)
    return kept


async def _resources(http: httpx.AsyncClient, url: str) -> list[Json]:
    answer = await http.get(url)
    answer.raise_for_status()
    return [entry["resource"] for entry in answer.json().get("entry", ())]


def _q(text: str) -> str:
    return quote(text, safe="")


def _gets(token: str, urls: Sequence[str]) -> list[bytes]:
    return [request("GET", f"/fhir/{url}", token) for url in urls]


def _composite(token: str, facts: Facts) -> Plan:
    pairs = [f"{HEIGHT}$ge{value}" for value, _ in facts.heights]
    return Plan(
        _gets(token, [f"Observation?code-value-quantity={_q(pair)}&_count=10" for pair in pairs]), 200, HIT
    )


def _quantity(token: str, facts: Facts) -> Plan:
    values = [_q(f"{value}|http://unitsofmeasure.org|cm") for value, _ in facts.heights]
    return Plan(_gets(token, [f"Observation?value-quantity={value}&_count=10" for value in values]), 200, HIT)


def _date_range(token: str, facts: Facts) -> Plan:
    years = [year for _, year in facts.heights]
    urls = [f"Observation?code={_q(HEIGHT)}&date=ge{y}-01&date=lt{y + 1}-02&_count=10" for y in years]
    return Plan(_gets(token, urls), 200, HIT)


def _chain(token: str, facts: Facts) -> Plan:
    urls = [
        f"Observation?patient.identifier={_q(name)}&code={_q(HEIGHT)}&_count=10" for name in facts.identifiers
    ]
    return Plan(_gets(token, urls), 200, HIT)


def _has(token: str, facts: Facts) -> Plan:
    urls = [f"Patient?_has:Observation:patient:code={_q(code)}&_count=10" for code in facts.codes]
    return Plan(_gets(token, urls), 200, HIT)


def _include(token: str, facts: Facts) -> Plan:
    urls = [f"Observation?code={_q(code)}&_include=Observation:subject&_count={PAGE}" for code in facts.codes]
    return Plan(_gets(token, urls), 200, HIT, times=PAGE)


def _count(token: str, facts: Facts) -> Plan:
    urls = [f"Observation?code={_q(code)}&_summary=count" for code in facts.codes]
    return Plan(_gets(token, urls), 200, b'"total":')


def _everything(token: str, facts: Facts) -> Plan:
    return Plan(_gets(token, [f"Patient/{id}/$everything" for id in facts.patients]), 200, HIT)


SEARCHES: dict[str, Callable[[str, Facts], Plan]] = {
    "search-composite": _composite,
    "search-quantity": _quantity,
    "search-date-range": _date_range,
    "search-chain": _chain,
    "search-has": _has,
    "include-20": _include,
    "count-token": _count,
    "everything-patient": _everything,
}


def first_pages(token: str) -> Plan:
    """First pages of 20 that hardly anything narrows, in default order and sorted."""
    code = _q(HEIGHT)
    urls = [
        "Observation",
        f"Observation?code={code}",
        f"Observation?code={code}&_sort=-date",
        "Observation?status=final&date=ge2000",
        "Patient?gender=female",
        "Patient?_sort=family",
    ]
    return Plan(_gets(token, urls), 200, HIT, times=20)
