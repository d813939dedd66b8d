"""A real server process, killed with SIGKILL again and again while messages and transactions come in.

After every kill: what was acknowledged is there, whole; nothing is there in part; and the next start finishes
what had been kept. Two lanes, each with a store and a server of its own, so that both processors have work.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import socket
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess as Process
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvicorn

from fhir_server.inbound import journal
from fhir_server.search.index import IndexValues
from fhir_server.store import Record
from fhir_server.stores.sqlite.store import SqliteStore

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
KILLS = 50
LONGEST_LIFE = 4.0
"""Seconds, on a machine that is so busy that servers do little before they are killed."""
LANES = 2
SENDERS = 6
ENTRIES = 8
REFERRAL = next((ROOT / "mappings").glob("*/examples/ref_i12.in.hl7")).read_bytes().decode("gb18030")
FHIR_JSON = {"Content-Type": "application/fhir+json"}
ORGANIZATIONS = {"h1": "12999001MB0000019A", "h2": "12999001MB00000275"}


@dataclass(slots=True)
class Lane:
    """One store, its server of the moment, and what the senders were told."""

    folder: Path
    random: random.Random
    port: int = 0
    mllp_port: int = 0
    number: int = 0
    longest_life: float = 0.3
    acknowledged: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)
    seen: int = 0
    targets: dict[str, list[str]] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    patients: Counter[str] = field(default_factory=Counter)

    @property
    def store(self) -> Path:
        return self.folder / "fhir.db"

    def did_enough(self, lives: int) -> bool:
        """So much was acknowledged in so many ``lives`` that its loss would be noticed."""
        return len(self.acknowledged) > lives and len(self.committed) > lives / 4

    def next(self) -> int:
        self.number += 1
        return self.number


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(settings: dict[str, str], port: int, log: str) -> None:
    """What the server's process does: be a server until it is killed."""
    descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(settings)
    uvicorn.run("fhir_server.app:create", factory=True, port=port, log_level="error", access_log=False)


def start(lane: Lane) -> Process:
    """A process of its own, forked from one that has only imported: it starts faster, and dies as any other."""
    lane.port, lane.mllp_port = free_port(), free_port()
    settings = {
        "FHIR_STORE": f"sqlite:///{lane.store}",
        "FHIR_AUTH": "off",
        "FHIR_MLLP_PORT": str(lane.mllp_port),
        "FHIR_LOG": "error",
        "FHIR_PROFILES": str(ROOT / "profiles"),
        "FHIR_MAPPINGS": str(ROOT / "mappings"),
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fhir_server.app", "uvicorn"])
    process = context.Process(
        target=serve, args=(settings, lane.port, str(lane.folder / "server.log")), daemon=True
    )
    process.start()
    return process


async def until_ready(lane: Lane, server: Process) -> None:
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(30):
        while True:
            assert server.is_alive(), (lane.folder / "server.log").read_text()
            try:
                answer = await http.get(f"http://127.0.0.1:{lane.port}/health/ready")
                assert answer.status_code == 200
                return
            except httpx.TransportError:
                await asyncio.sleep(0.02)


# ── traffic, until the line breaks ────────────────────────────────────────────


def message(lane: Lane) -> tuple[str, bytes]:
    number = lane.next()
    control = f"KILL{number:08d}"
    text = REFERRAL.replace("NHIS202603020912000002", control).replace("ZZ202603020001", f"ZZ{number:08d}")
    return control, text.encode("gb18030")


async def send_messages(lane: Lane) -> None:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", lane.mllp_port)
        try:
            while True:
                control, raw = message(lane)
                writer.write(b"\x0b" + raw + b"\x1c\r")
                answer = await reader.readuntil(b"\x1c\r")
                assert f"MSA|AA|{control}|".encode() in answer, answer.decode("gb18030")
                lane.acknowledged.add(control)
        finally:
            writer.close()
    except (OSError, asyncio.IncompleteReadError):
        return


async def send_transactions(lane: Lane) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{lane.port}") as http:
        while True:
            name = f"batch-{lane.next()}"
            try:
                answer = await http.post("/fhir", content=bundle(name), headers=FHIR_JSON)
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            lane.committed.add(name)


def bundle(name: str) -> bytes:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:batch", "value": name}]}
    entry = {"resource": patient, "request": {"method": "POST", "url": "Patient"}}
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry] * ENTRIES})


async def load_organizations(lane: Lane) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{lane.port}") as http:
        for id, uscc in ORGANIZATIONS.items():
            identifier = {"system": "http://cmc.example.org/sid/uscc", "value": uscc}
            data = {"resourceType": "Organization", "id": id, "identifier": [identifier]}
            answer = await http.put(f"/fhir/Organization/{id}", json=data, headers=FHIR_JSON)
            assert answer.status_code == 201, answer.text


# ── what must be true of the store of a dead server ───────────────────────────


async def inspect(lane: Lane, *, finished: bool = False) -> None:
    """Nothing acknowledged is missing, nothing is there in part."""
    store = SqliteStore.open(lane.store, extract=lambda type, content: IndexValues(), durability="full")
    try:
        await take_in(lane, store)
        waiting = await journal.find_ids(store, "received")
        quarantined = await journal.find_ids(store, "quarantined")
        processed = set(await journal.find_ids(store, "processed"))
        controls = {
            message.control for message in [await journal.read(store, id) for id in processed] if message
        }
    finally:
        await store.close()
    assert quarantined == []
    assert not (finished and waiting)
    assert lane.acknowledged <= set(lane.targets), "an acknowledged message is lost"
    assert controls == set(lane.targets), (
        "a message is marked processed and not written, or the other way round"
    )
    for control, references in lane.targets.items():
        assert set(references) <= lane.present, f"{control} is there in part"
    assert lane.committed <= set(lane.patients), "an acknowledged transaction is lost"
    assert set(lane.patients.values()) <= {ENTRIES}, "a transaction is there in part"


async def take_in(lane: Lane, store: SqliteStore) -> None:
    """What was written since the last look."""
    while records := await store.changes(lane.seen, 5000):
        for record in records:
            assert record.sequence > lane.seen
            lane.seen = record.sequence
            lane.present.add(f"{record.type}/{record.id}")
            note(lane, record)


def note(lane: Lane, record: Record) -> None:
    if record.type == "Provenance":
        data = orjson.loads(record.content)
        control = data["entity"][0]["what"]["identifier"]["value"].rpartition("|")[2]
        assert control not in lane.targets, f"{control} was written twice"
        lane.targets[control] = [target["reference"] for target in data["target"]]
    if record.type == "Patient" and b'"urn:batch"' in record.content:
        lane.patients[orjson.loads(record.content)["identifier"][0]["value"]] += 1


# ── the test ──────────────────────────────────────────────────────────────────


async def live_and_die(lane: Lane) -> None:
    """Start, take traffic for a random moment, be killed."""
    server = start(lane)
    try:
        await until_ready(lane, server)
        if not lane.seen:
            await load_organizations(lane)
        traffic = [asyncio.create_task(send_messages(lane)) for _ in range(SENDERS)]
        traffic.append(asyncio.create_task(send_transactions(lane)))
        await asyncio.sleep(lane.random.uniform(0.01, lane.longest_life))
    finally:
        server.kill()
        await asyncio.to_thread(server.join)
    assert server.exitcode == -signal.SIGKILL
    await asyncio.gather(*traffic)


async def run_lane(folder: Path, seed: int) -> Lane:
    lane = Lane(folder, random.Random(seed))
    for turn in range(1, KILLS // LANES + 1):
        await live_and_die(lane)
        await inspect(lane)
        if not lane.did_enough(turn):
            lane.longest_life = min(lane.longest_life * 1.3, LONGEST_LIFE)
    server = start(lane)
    await until_ready(lane, server)
    server.terminate()
    await asyncio.to_thread(server.join)
    await inspect(lane, finished=True)
    return lane


async def test_a_server_killed_fifty_times_keeps_what_it_acknowledged_and_nothing_in_part(
    tmp_path: Path,
) -> None:
    folders = [tmp_path / f"lane-{number}" for number in range(LANES)]
    for folder in folders:
        folder.mkdir()
    lanes = await asyncio.gather(*[run_lane(folder, seed) for seed, folder in enumerate(folders)])
    for lane in lanes:
        assert lane.did_enough(KILLS // LANES)
        assert lane.number > len(lane.acknowledged) + len(lane.committed), "no kill met anything under way"
