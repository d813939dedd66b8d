"""The MLLP door over real sockets: frames, peers, charsets, order, and what it does with the hostile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest
from inbound_scene import COUNTY, TOWNSHIP, Scene, changed, connection, example, line_to

from fhir_server.inbound import mllp
from fhir_server.inbound.frames import Limits, frame_of
from fhir_server.inbound.mllp import serve_mllp


async def test_a_message_is_acknowledged_in_the_senders_charset(inbound: Scene) -> None:
    async with line_to(inbound) as line:
        msh, msa = await line.ask(example("ref_i12"))
    assert msh[2:6] == ["CDR", "999001", "NHIS", "12999001MB00000275"]
    assert msh[8] == "ACK^I12"
    assert msh[11] == "2.4"
    assert msh[17] == "GBK"
    assert msa[1:] == ["AA", "NHIS202603020912000002", "processed"]
    assert len(await inbound.all("Task")) == 1


async def test_a_message_left_aside_on_purpose_is_told_so(inbound: Scene) -> None:
    async with line_to(inbound) as line:
        _, msa = await line.ask(changed(example("adt_a01"), ("ADT^A01^ADT_A01", "DFT^P03^DFT_P03")))
    assert msa[1] == "AA"
    assert "aside on purpose" in msa[3]


async def test_several_messages_on_one_line_are_answered_in_order(inbound: Scene) -> None:
    names = ["ref_i12", "adt_a01", "oul_r21", "oru_r01", "adt_a03"]
    async with line_to(inbound) as line:
        await line.send(b"".join(frame_of(example(name)) for name in names))
        answers = [await line.answer() for _ in names]
    assert [answer[1][1] for answer in answers] == ["AA"] * 5
    assert [answer[1][2][:6] for answer in answers] == ["NHIS20", "NHIS20", "LIS202", "RIS202", "NHIS20"]


async def test_a_message_that_comes_byte_by_byte_is_one_message(inbound: Scene) -> None:
    async with line_to(inbound) as line:
        for byte in frame_of(example("ref_i12")):
            await line.send(bytes([byte]))
        assert (await line.answer())[1][1] == "AA"


async def test_noise_between_frames_is_skipped(inbound: Scene) -> None:
    async with line_to(inbound) as line:
        await line.send(b"\r\n\x00noise" + frame_of(example("ref_i12")) + b"\r\n")
        assert (await line.answer())[1][1] == "AA"
        assert (await line.ask(example("adt_a01")))[1][1] == "AA"


async def test_endless_noise_is_cut_off(inbound: Scene) -> None:
    async with line_to(inbound) as line:
        await line.send(b"GET / HTTP/1.1\r\n" * 400)
        assert await line.is_closed()


async def test_every_reason_stands_in_err(inbound: Scene) -> None:
    wrong = changed(example("ref_i12"), ("|S^急|", "|Q^急|"), ("||周瑋||", "||||"))
    async with line_to(inbound) as line:
        _, msa, err = await line.ask(wrong)
    assert msa[1] == "AE"
    assert "more)" in msa[3]
    entries = [entry.split("^") for entry in err[1].split("~")]
    told = {(entry[0], entry[2], entry[3].split("&")[0], entry[3].split("&")[3]) for entry in entries}
    assert ("RF1", "2", "103", "UNMAPPED_CODE") in told
    assert any(code == "101" and rule == "MISSING_REQUIRED" for *_, code, rule in told)


async def test_a_broken_charset_is_told_with_its_offset(inbound: Scene) -> None:
    raw = example("ref_i12")
    at = raw.index("周瑋".encode("gb18030"))
    async with line_to(inbound) as line:
        _, msa, err = await line.ask(raw[:at] + b"\xff" + raw[at + 1 :])
    assert msa[1:3] == ["AE", "NHIS202603020912000002"]
    assert str(at) in err[1]
    assert "周瑋" not in "".join(err)


async def test_a_truncated_frame_is_refused_and_leaves_the_store_as_it_was(inbound: Scene) -> None:
    before = await inbound.server.store.changes(0, 1000)
    async with line_to(inbound) as line:
        await line.send(frame_of(example("ref_i12"))[:-300])
        line.writer.write_eof()
        _, msa, err = await line.answer()
        assert await line.is_closed()
    assert msa[1:3] == ["AE", "NHIS202603020912000002"]
    assert "TRUNCATED_FRAME" in err[1]
    assert await inbound.server.store.changes(0, 1000) == before


async def test_a_lone_fs_does_not_end_a_message(inbound: Scene) -> None:
    raw = example("oul_r21")
    cut = raw.index(b"OBX|3")
    async with line_to(inbound) as line:
        answer = await line.ask(raw[:cut] + b"\x1c" + raw[cut:])
    assert answer[1][1] == "AE"
    assert await inbound.all("Observation") == []


async def test_a_message_over_the_limit_is_refused(inbound: Scene) -> None:
    before = await inbound.server.store.changes(0, 1000)
    async with line_to(inbound, Limits(message=20_000)) as line:
        await line.send(frame_of(example("ref_i12") + b"NTE|1||" + b"x" * 100_000))
        _, msa, err = await line.answer()
    assert msa[1:3] == ["AR", "NHIS202603020912000002"]
    assert "FRAME_TOO_LONG" in err[1]
    assert await inbound.server.store.changes(0, 1000) == before


async def test_who_sends_too_slowly_is_cut_off(inbound: Scene) -> None:
    async with line_to(inbound, Limits(frame=0.2)) as line:
        await line.send(frame_of(example("ref_i12"))[:50])
        _, msa, err = await line.answer()
        assert await line.is_closed()
    assert msa[1] == "AE"
    assert "FRAME_TIMEOUT" in err[1]


async def test_who_says_nothing_is_cut_off(inbound: Scene) -> None:
    async with line_to(inbound, Limits(idle=0.1)) as line:
        assert await line.is_closed()


async def test_who_is_in_no_folder_is_not_even_read(inbound: Scene) -> None:
    elsewhere = {
        key: replace(his, peers=(ip_network("10.0.0.0/8"),)) for key, his in inbound.mappings.his.items()
    }
    closed = Scene(inbound.server, replace(inbound.mappings, his=elsewhere))
    async with line_to(closed) as line:
        assert await line.is_closed()


async def test_a_his_may_send_only_from_its_own_addresses(inbound: Scene) -> None:
    county = replace(inbound.mappings.his[COUNTY], peers=(ip_network("10.0.0.0/8"),))
    his = {COUNTY: county, TOWNSHIP: inbound.mappings.his[TOWNSHIP]}
    before = await inbound.server.store.changes(0, 1000)
    async with line_to(Scene(inbound.server, replace(inbound.mappings, his=his))) as line:
        _, msa, err = await line.ask(example("adt_a01"))
        assert msa[1] == "AR"
        assert "PEER_NOT_ALLOWED" in err[1]
        assert await inbound.server.store.changes(0, 1000) == before
        assert (await line.ask(example("ref_i12")))[1][1] == "AA"


async def test_an_unknown_his_is_told_ar(inbound: Scene) -> None:
    async with line_to(inbound) as line:
        _, msa, err = await line.ask(changed(example("ref_i12"), ("|12999001MB00000275|CDR", "|nobody|CDR")))
    assert msa[1] == "AR"
    assert "UNKNOWN_HIS" in err[1]


async def test_more_connections_than_allowed_are_cut_off(
    inbound: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mllp, "MAX_CONNECTIONS", 2)
    async with serve_mllp(inbound.server, lambda: inbound.mappings, host="127.0.0.1", port=0) as port:
        async with connection(port) as one, connection(port) as two:
            assert (await one.ask(example("ref_i12")))[1][1] == "AA"
            assert (await two.ask(example("adt_a01")))[1][1] == "AA"
            async with connection(port) as three:
                assert await three.is_closed()
        async with connection(port) as again:
            assert (await again.ask(example("adt_a01")))[1][3] == "processed before"


async def test_a_closing_door_lets_what_is_under_way_finish(
    inbound: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fhir_server.inbound.receive import receive

    started = asyncio.Event()

    async def slow(*given: object, **named: object) -> object:
        started.set()
        await asyncio.sleep(0.2)
        return await receive(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(mllp, "receive", slow)
    door = serve_mllp(inbound.server, lambda: inbound.mappings, host="127.0.0.1", port=0)
    port = await door.__aenter__()
    async with connection(port) as line:
        await line.send(frame_of(example("ref_i12")))
        await started.wait()
        closing = asyncio.create_task(door.__aexit__(None, None, None))
        assert (await line.answer())[1][1] == "AA"
        await closing
        assert await line.is_closed()


async def test_the_sender_waits_while_its_message_is_under_way(
    inbound: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fhir_server.inbound.receive import receive

    under_way, most = 0, 0

    async def counted(*given: object, **named: object) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await receive(*given, **named)  # type: ignore[arg-type]
        finally:
            under_way -= 1

    monkeypatch.setattr(mllp, "receive", counted)
    async with line_to(inbound) as line:
        await line.send(frame_of(example("ref_i12")) * 5)
        assert [(await line.answer())[1][1] for _ in range(5)] == ["AA"] * 5
    assert most == 1
