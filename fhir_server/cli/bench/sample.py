"""Built-in data for the benchmark: invented patients with nine observations each, in Chinese, of realistic size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

SURNAMES = "周王李张刘陈杨黄赵吴徐孙马胡朱郭何罗高林"
GIVEN = "瑋敏静磊洋勇艳杰娟涛明超秀霞平刚桂华建国志强婷宇晨曦若澜知行清和"
CODES = (
    ("8867-4", "Heart rate", "次/分", "/min"),
    ("8310-5", "Body temperature", "℃", "Cel"),
    ("9279-1", "Respiratory rate", "次/分", "/min"),
    ("2708-6", "Oxygen saturation", "%", "%"),
    ("29463-7", "Body weight", "kg", "kg"),
    ("8302-2", "Body height", "cm", "cm"),
    ("2339-0", "Glucose", "mmol/L", "mmol/L"),
    ("2823-3", "Potassium", "mmol/L", "mmol/L"),
    ("718-7", "Hemoglobin", "g/L", "g/L"),
)
Json = dict[str, Any]


def name_of(number: int) -> tuple[str, str]:
    """Family and given name of patient ``number``."""
    first, rest = divmod(number, len(SURNAMES))
    return SURNAMES[rest], GIVEN[first % len(GIVEN)] + GIVEN[
        (first // len(GIVEN) + 7 * first + 3) % len(GIVEN)
    ]


def patient(number: int) -> Json:
    """Patient ``p<number>``."""
    family, given = name_of(number)
    year, month, day = 1940 + number % 70, 1 + number % 12, 1 + number % 28
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [
            {"system": "http://cmc.example.org/sid/bench/patient", "value": f"P{number:010d}"},
            {"system": "urn:oid:2.16.156.10011.1.19", "value": f"9990{number:014d}"},
        ],
        "active": True,
        "name": [{"use": "official", "text": family + given, "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": f"199{number:08d}", "use": "mobile"}],
        "gender": "male" if number % 2 else "female",
        "birthDate": f"{year}-{month:02d}-{day:02d}",
        "address": [
            {"use": "home", "text": f"晨溪县云栖镇柳岸村{number % 20}组{number % 50}号", "city": "晨溪县"}
        ],
        "managingOrganization": {"reference": "Organization/h1", "display": "晨溪县人民医院"},
    }


TODAY = "2026-04-01"
"""The day after all that is loaded: what is new happens then."""


def observation(number: int, kind: int, subject: str | None = None, *, date: str | None = None) -> Json:
    """Observation of CODES[kind] for patient ``number``, made on ``date``; about 1.5 kB."""
    code, display, text, unit = CODES[kind]
    date = date or f"2026-03-{1 + number % 28:02d}"
    value = f"{60 + number % 40}.{kind}0"
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                        "display": "Vital Signs",
                    }
                ],
                "text": "生命体征",
            }
        ],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": code, "display": display}],
            "text": display,
        },
        "subject": {"reference": subject or f"Patient/p{number}"},
        "effectiveDateTime": f"{date}T{8 + kind:02d}:30:00+08:00",
        "issued": f"{date}T{8 + kind:02d}:45:00.000+08:00",
        "identifier": [
            {
                "system": "http://cmc.example.org/sid/bench/order",
                "value": f"SQ{date.replace('-', '')}{number:08d}{kind}",
            }
        ],
        "method": {"text": "床旁监护仪自动采集", "coding": [{"system": "urn:bench:method", "code": "auto"}]},
        "referenceRange": [{"text": "参考范围以仪器说明书为准，异常值已电话通知值班医生"}],
        "performer": [{"reference": "Organization/h1", "display": "晨溪县人民医院"}],
        "valueQuantity": {
            "value": orjson.Fragment(value),
            "unit": text,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
        "note": [
            {
                "text": "常规测量，由护士站记录，结果已复核。患者安静坐位休息五分钟后测量，测量部位与上次一致。"
                * 2
            }
        ],
    }


def bundle(first: int, patients: int) -> bytes:
    """A transaction that loads ``patients`` patients from ``first`` on, with nine observations each."""
    return orjson.dumps(
        {"resourceType": "Bundle", "type": "transaction", "entry": list(_entries(first, patients))}
    )


def _entries(first: int, patients: int) -> Iterator[Json]:
    for number in range(first, first + patients):
        yield {"resource": patient(number), "request": {"method": "PUT", "url": f"Patient/p{number}"}}
        for kind in range(len(CODES)):
            yield {"resource": observation(number, kind), "request": {"method": "POST", "url": "Observation"}}


def visit(number: int) -> bytes:
    """A transaction of ten entries: a new patient and nine observations that point at it by urn:uuid."""
    urn = f"urn:uuid:00000000-0000-4000-8000-{number:012x}"
    one = patient(number)
    del one["id"]
    entries = [{"fullUrl": urn, "resource": one, "request": {"method": "POST", "url": "Patient"}}]
    for kind in range(len(CODES)):
        entries.append(
            {"resource": observation(number, kind, urn), "request": {"method": "POST", "url": "Observation"}}
        )
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
