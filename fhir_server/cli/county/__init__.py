"""The demo county 晨溪县 (region 999001, which does not exist): who is in it, loaded into an empty store.

The JSON files beside this one are transaction Bundles, found by walking. Everyone and every
number is invented. Source of the cast: the project's domain reference, §6.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

import orjson

from fhir_server.interactions.context import Server
from fhir_server.interactions.transaction import transaction
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM

# One client per organisation that has software of its own; the village clinics share their township's.
CLIENTS = {
    "chenxi-county-hospital": ("h1", "晨溪县人民医院"),
    "yunqi-township-hospital": ("h2", "云栖镇卫生院"),
    "shiqiao-township-hospital": ("h3", "石桥镇卫生院"),
    "liuan-village-clinic": ("v1", "云栖镇柳岸村卫生室"),
    "zhuxi-village-clinic": ("v2", "云栖镇竹溪村卫生室"),
    "shiling-village-clinic": ("v3", "石桥镇石岭村卫生室"),
    "linchuan-city-hospital": ("x1", "临川市中心医院"),
}
SLOT_DAYS = 14
SLOT_TIMES = {
    "h1-cardiology": ("08:30", "09:00", "09:30", "10:00", "14:30", "15:00"),
    "h1-ct": ("08:00", "10:00", "14:00", "16:00"),
}
SLOT_LENGTH = timedelta(minutes=30)


async def load_county(server: Server) -> int:
    """Write the county in one go; returns how many resources it has."""
    bundles = [
        file.read_bytes()
        for file in sorted(resources.files(__package__).iterdir(), key=lambda f: f.name)
        if file.name.endswith(".json")
    ]
    entries = [entry for bundle in bundles for entry in orjson.loads(bundle)["entry"]]
    entries += slots(server.now().astimezone(server.timezone))
    whole = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    await transaction(server, SYSTEM, Resource.of(whole))
    return len(entries)


def slots(today: datetime) -> Iterator[dict[str, Any]]:
    """Free slots of the next two weeks, as PUT entries."""
    for schedule, times in SLOT_TIMES.items():
        for day in range(1, SLOT_DAYS + 1):
            date = (today + timedelta(days=day)).date()
            for time in times:
                start = datetime.fromisoformat(f"{date}T{time}:00").replace(tzinfo=today.tzinfo)
                yield _slot(schedule, start)


def _slot(schedule: str, start: datetime) -> dict[str, Any]:
    id = f"{schedule}-{start:%Y%m%d-%H%M}"
    slot = {
        "resourceType": "Slot",
        "id": id,
        "schedule": {"reference": f"Schedule/{schedule}"},
        "status": "free",
        "start": start.isoformat(),
        "end": (start + SLOT_LENGTH).isoformat(),
    }
    return {"request": {"method": "PUT", "url": f"Slot/{id}"}, "resource": slot}
