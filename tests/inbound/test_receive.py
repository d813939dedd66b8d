"""``receive``: kept first, written once and whole, acknowledged truthfully, replayable."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from inbound_scene import COUNTY, TOWNSHIP, Json, Scene, changed, example

from fhir_server.errors import Conflict, NotFound, StoreUnavailable
from fhir_server.inbound import journal
from fhir_server.inbound.identity import identify
from fhir_server.inbound.receive import discard, recover, replay
from fhir_server.store import Record


async def kept(scene: Scene, id: str | None) -> journal.Message:
    message = await journal.read(scene.server.store, id or "")
    assert message is not None
    return message


# ── the good way ──────────────────────────────────────────────────────────────


async def test_a_referral_message_becomes_a_referral(inbound: Scene) -> None:
    receipt = await inbound.receive(example("ref_i12"))
    assert (receipt.ack, receipt.http, receipt.repeated) == ("AA", 200, False)
    (task,) = await inbound.all("Task")
    assert f"Task/{task['id']}" in receipt.references
    assert task["status"] == "requested"
    assert task["requester"]["reference"] == "Organization/h2"
    assert task["owner"]["reference"] == "Organization/h1"
    (patient,) = await inbound.all("Patient")
    assert patient["name"][0]["text"] == "周瑋"
    message = await kept(inbound, receipt.id)
    assert (message.status, message.his, message.kind) == ("processed", TOWNSHIP, "REF^I12")
    assert message.references == receipt.references
    assert message.map == "yunqi-township.referral@1.0.0"
    assert await journal.read_raw(inbound.server.store, message) == example("ref_i12")


async def test_what_is_written_names_message_mapping_and_version(inbound: Scene) -> None:
    await inbound.receive(example("ref_i12"))
    (provenance,) = await inbound.all("Provenance")
    (task,) = await inbound.all("Task")
    assert {"reference": f"Task/{task['id']}"} in provenance["target"]
    assert provenance["policy"] == ["http://cmc.example.org/fhir/mapping/yunqi-township.referral|1.0.0"]
    assert provenance["entity"][0]["what"]["identifier"]["value"].endswith("NHIS202603020912000002")


async def test_the_message_is_durable_before_anything_is_done_with_it(
    inbound: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Json] = []

    async def look(*_: object, **__: object) -> None:
        seen.extend(await inbound.all("_Message"))
        raise StoreUnavailable("stop here")

    monkeypatch.setattr("fhir_server.inbound.receive.transaction", look)
    receipt = await inbound.receive(example("ref_i12"))
    assert [message["status"] for message in seen] == ["received"]
    assert receipt.ack == "AR"


async def test_a_repeat_gets_the_first_answer_and_writes_nothing(inbound: Scene) -> None:
    first = await inbound.receive(example("ref_i12"))
    before = await inbound.clinical()
    again = await inbound.receive(example("ref_i12"))
    assert again == replace(first, repeated=True)
    assert await inbound.clinical() == before


async def test_ten_senders_of_one_message_at_the_same_time_write_it_once(inbound: Scene) -> None:
    receipts = await asyncio.gather(*[inbound.receive(example("ref_i12")) for _ in range(10)])
    assert {receipt.ack for receipt in receipts} == {"AA"}
    assert len({receipt.id for receipt in receipts}) == 1
    assert len(await inbound.all("Task")) == 1
    assert len(await inbound.all("Provenance")) == 1


async def test_a_row_of_a_table_is_known_again_by_its_key(inbound: Scene) -> None:
    raw = example("zzyjl_referral")
    first = await inbound.receive(raw, TOWNSHIP, "text/csv")
    assert first.ack == "AA"
    assert (await inbound.receive(raw, TOWNSHIP, "text/csv")).repeated


async def test_what_the_his_folder_leaves_aside_is_acknowledged_counted_and_not_written(
    inbound: Scene,
) -> None:
    raw = changed(example("adt_a01"), ("ADT^A01^ADT_A01", "DFT^P03^DFT_P03"))
    before = await inbound.clinical()
    receipt = await inbound.receive(raw)
    assert (receipt.ack, receipt.http, receipt.references) == ("AA", 200, ())
    assert await inbound.clinical() == before
    assert (await kept(inbound, receipt.id)).status == "ignored"
    assert (await inbound.receive(raw)).repeated


# ── bad input: each names the fault, is kept, and leaves the store as it was ──


async def refused(
    scene: Scene, raw: bytes, his: str | None = None, content_type: str | None = None
) -> journal.Message:
    before = await scene.clinical()
    receipt = await scene.receive(raw, his, content_type)
    assert receipt.ack != "AA"
    assert await scene.clinical() == before
    message = await kept(scene, receipt.id)
    assert (message.status, message.ack) == ("quarantined", receipt.ack)
    assert message.reasons == receipt.issues != ()
    return message


async def test_a_broken_charset_is_named_by_its_offset(inbound: Scene) -> None:
    raw = example("ref_i12")
    at = raw.index("周瑋".encode("gb18030"))
    broken = raw[:at] + b"\xff" + raw[at + 1 :]
    message = await refused(inbound, broken)
    assert message.ack == "AE"
    assert message.reasons[0].rule == "BAD_BYTES"
    assert str(at) in message.reasons[0].text + str(message.reasons[0].diagnostics)
    assert b"\xef\xbf\xbd" not in b"".join(r.content for r in await inbound.server.store.changes(0, 1000))


async def test_an_unknown_his_is_refused(inbound: Scene) -> None:
    message = await refused(inbound, changed(example("ref_i12"), ("NHIS|12999001MB00000275", "NHIS|nobody")))
    assert (message.ack, message.his) == ("AR", "unknown")
    assert message.reasons[0].rule == "UNKNOWN_HIS"


async def test_an_unsupported_message_is_refused_and_kept(inbound: Scene) -> None:
    message = await refused(inbound, changed(example("ref_i12"), ("REF^I12^REF_I12", "MFN^M01^MFN_M01")))
    assert (message.ack, message.his) == ("AR", TOWNSHIP)
    assert message.reasons[0].rule == "UNSUPPORTED_MESSAGE"


async def test_every_missing_required_field_is_named_at_once(inbound: Scene) -> None:
    raw = changed(example("ref_i12"), ("||周瑋||", "||||"), ("|ZZ202603020001|", "||"))
    message = await refused(inbound, raw)
    assert message.ack == "AE"
    assert {reason.rule for reason in message.reasons} == {"MISSING_REQUIRED"}
    assert len(message.reasons) >= 2


async def test_an_unmapped_code_is_named(inbound: Scene) -> None:
    message = await refused(inbound, changed(example("ref_i12"), ("|S^急|", "|Q^急|")))
    assert message.reasons[0].rule == "UNMAPPED_CODE"
    assert "Q" in message.reasons[0].text


@pytest.mark.parametrize(
    "raw", [b"", b"hello", b"MSH", b"MSH|^~\\&|A\r", b"\x00" * 50, b"MSH|^~\\&|" + b"x" * 9000]
)
async def test_what_is_no_message_is_refused_and_kept(inbound: Scene, raw: bytes) -> None:
    message = await refused(inbound, raw, COUNTY, "x-application/hl7-v2+er7")
    assert message.ack in {"AE", "AR"}


async def test_a_message_that_ends_too_soon_is_refused(inbound: Scene) -> None:
    raw = example("ref_i12")
    await refused(inbound, raw[: raw.index(b"PID|")])


async def test_the_same_number_with_other_bytes_is_a_conflict(inbound: Scene) -> None:
    first = await inbound.receive(example("ref_i12"))
    message = await refused(inbound, changed(example("ref_i12"), ("19900000001", "19900000009")))
    assert message.id != first.id
    assert (message.ack, message.reasons[0].rule) == ("AE", "CONTROL_ID_REUSED")
    assert (await inbound.receive(example("ref_i12"))).repeated


async def test_the_number_of_a_discarded_message_may_be_used_again(inbound: Scene) -> None:
    wrong = await refused(inbound, changed(example("ref_i12"), ("|S^急|", "|Q^急|")))
    await discard(inbound.server, wrong.id, "wrong priority, will be sent again")
    receipt = await inbound.receive(example("ref_i12"))
    assert receipt.ack == "AA"
    assert len(await inbound.all("Task")) == 1


async def test_a_his_whose_organisation_is_not_here_is_refused(inbound: Scene) -> None:
    from fhir_server.interactions.delete import delete
    from fhir_server.security.caller import SYSTEM

    await delete(inbound.server, SYSTEM, "Organization", "h2")
    message = await refused(inbound, example("ref_i12"))
    assert (message.ack, message.reasons[0].rule) == ("AR", "UNKNOWN_ORGANIZATION")


async def test_a_bug_is_told_by_number_and_kept_without_its_text(
    inbound: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("周瑋 broke it")

    monkeypatch.setattr("fhir_server.inbound.receive.translate", explode)
    message = await refused(inbound, example("ref_i12"))
    assert message.ack == "AR"
    assert message.id in message.reasons[0].text
    assert "周瑋" not in message.reasons[0].text


# ── trying again ──────────────────────────────────────────────────────────────


async def test_after_ar_the_sender_may_simply_send_again(
    inbound: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("fhir_server.inbound.receive.transaction", away)
        receipt = await inbound.receive(example("ref_i12"))
    assert (receipt.ack, receipt.http) == ("AR", 503)
    again = await inbound.receive(example("ref_i12"))
    assert (again.ack, again.repeated) == ("AA", False)
    assert len(await inbound.all("Task")) == 1


async def test_a_store_that_is_away_is_told_as_ar(inbound: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(type(inbound.server.store), "transaction", lambda self: away())
    receipt = await inbound.receive(example("ref_i12"))
    assert (receipt.ack, receipt.http, receipt.id) == ("AR", 503, None)


async def test_a_quarantined_message_is_replayed_when_its_map_was_repaired(inbound: Scene) -> None:
    maps = inbound.mappings
    broken = replace(maps, maps={**maps.maps, TOWNSHIP: ()})
    receipt = await Scene(inbound.server, broken).receive(example("ref_i12"))
    assert receipt.ack == "AR"
    assert (await replay(inbound.server, broken, receipt.id or "")).ack == "AR"
    done = await replay(inbound.server, maps, receipt.id or "")
    assert done.ack == "AA"
    message = await kept(inbound, receipt.id)
    assert (message.status, message.attempts) == ("processed", 3)
    with pytest.raises(Conflict, match="processed, not quarantined"):
        await replay(inbound.server, maps, receipt.id or "")
    with pytest.raises(NotFound):
        await replay(inbound.server, maps, "nothing")


async def test_a_discarded_message_keeps_its_reason_and_is_not_replayed(inbound: Scene) -> None:
    message = await refused(inbound, b"hello", TOWNSHIP, "x-application/hl7-v2+er7")
    await discard(inbound.server, message.id, "a test of the line")
    gone = await kept(inbound, message.id)
    assert (gone.status, gone.discarded) == ("discarded", "a test of the line")
    with pytest.raises(Conflict):
        await replay(inbound.server, inbound.mappings, message.id)
    assert await journal.read_raw(inbound.server.store, gone) == b"hello"


async def test_what_was_kept_but_not_finished_is_finished_at_the_next_start(
    inbound: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object, **__: object) -> None:
        raise StoreUnavailable("killed")

    names = ["ref_i12", "adt_a01", "oul_r21"]
    with monkeypatch.context() as patched:
        patched.setattr("fhir_server.inbound.receive.transaction", die)
        for name in names:
            assert (await inbound.receive(example(name))).ack == "AR"
    assert await recover(inbound.server, inbound.mappings) == 3
    messages = await inbound.all("_Message")
    assert {message["status"] for message in messages} == {"processed"}
    assert await recover(inbound.server, inbound.mappings) == 0


async def test_the_quarantine_is_searched_by_his_and_reason(inbound: Scene, clock: Any) -> None:
    unmapped = await refused(inbound, changed(example("ref_i12"), ("|S^急|", "|Q^急|")))
    clock.advance(seconds=1)
    other = await refused(inbound, b"hello", COUNTY, "x-application/hl7-v2+er7")
    store = inbound.server.store
    assert await journal.find_ids(store, "quarantined", rule="UNMAPPED_CODE") == [unmapped.id]
    assert await journal.find_ids(store, "quarantined", his=COUNTY) == [other.id]
    assert await journal.find_ids(store, "quarantined") == [unmapped.id, other.id]
    assert await journal.find_ids(store, "received") == []


def test_an_identity_does_not_depend_on_what_can_be_read(inbound: Scene) -> None:
    raw = example("ref_i12")
    whole = identify(inbound.mappings, None, raw)
    unsupported = identify(inbound.mappings, None, changed(raw, ("REF^I12^REF_I12", "ADT^A60^ADT_A60")))
    assert whole.key == unsupported.key
    assert whole.recognised is not None
    assert unsupported.recognised is None


async def test_a_journal_record_comes_back_as_it_was_written(inbound: Scene) -> None:
    receipt = await inbound.receive(example("oul_r21"))
    (record,) = [
        r for r in await inbound.server.store.changes(0, 1000) if r.id == receipt.id and r.version == 2
    ]
    assert isinstance(record, Record)
    assert b'"raw"' not in record.content
    assert len(await journal.read_raw(inbound.server.store, await kept(inbound, receipt.id))) > 500
