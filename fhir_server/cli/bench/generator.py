"""Load on a server: 16 connections unless a row has its own number, requests made beforehand, every answer checked.

``wrk`` does it when it is installed; otherwise a generator of our own, which is slower than the
server and says so.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run gave: answers per second, latencies in milliseconds, wrong answers, all answers."""

    rps: float
    p50_ms: float
    p99_ms: float
    errors: int
    answers: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests (whole HTTP/1.1 messages) to be sent in turn, and what each answer must be.

    ``status``, and ``text`` in the body: exactly ``times`` times, or at least once when that is 0.
    """

    requests: Sequence[bytes]
    status: int
    text: bytes = b""
    times: int = 0
    connections: int = CONNECTIONS


def has_wrk() -> bool:
    """True when wrk can be used."""
    return shutil.which("wrk") is not None


def measure(port: int, plan: Plan, seconds: float, folder: Path) -> Measured:
    """Put load on ``127.0.0.1:port`` for ``seconds``."""
    if has_wrk():
        return _measure_with_wrk(port, plan, seconds, folder)
    return asyncio.run(_measure_here(port, plan, seconds))


# ── wrk ───────────────────────────────────────────────────────────────────────

_SCRIPT = """
local requests, index = {}, 0
wrong = 0
function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
  expected_status, expected_text, times = tonumber(args[2]), args[3] or "", tonumber(args[4])
end
function count(body)
  local found, from = 0, 1
  while true do
    local first, last = string.find(body, expected_text, from, true)
    if not first then return found end
    found, from = found + 1, last + 1
  end
end
function good(body)
  if expected_text == "" then return true end
  if times == 0 then return string.find(body, expected_text, 1, true) end
  return count(body) == times
end
function request()
  index = index % #requests + 1
  return requests[index]
end
function response(status, headers, body)
  if status ~= expected_status or not good(body) then
    wrong = wrong + 1
  end
end
local thread
function setup(it) thread = it end
function done(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format('\\nRESULT {"requests":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99), failed + thread:get("wrong")))
end
"""


def _measure_with_wrk(port: int, plan: Plan, seconds: float, folder: Path) -> Measured:
    script, requests = folder / "row.lua", folder / "row.requests"
    script.write_text(_SCRIPT)
    requests.write_bytes(b"".join(b"%d\n%b" % (len(request), request) for request in plan.requests))
    command = [
        "wrk",
        "-t1",
        f"-c{plan.connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "30s",
        "-s",
        str(script),
    ]
    arguments = ["--", str(requests), str(plan.status), plan.text.decode(), str(plan.times)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/", *arguments], capture_output=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith(b"RESULT "))
    result = orjson.loads(line.removeprefix(b"RESULT "))
    rate = result["requests"] / (result["us"] / 1e6)
    return Measured(rate, result["p50"] / 1000, result["p99"] / 1000, result["errors"], result["requests"])


# ── our own ───────────────────────────────────────────────────────────────────


async def _measure_here(port: int, plan: Plan, seconds: float) -> Measured:
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    connections = range(plan.connections)
    wrong = await asyncio.gather(*(_connection(port, plan, n, until, latencies) for n in connections))
    latencies.sort()
    p50, p99 = (_quantile_ms(latencies, share) for share in (0.5, 0.99))
    return Measured(len(latencies) / seconds, p50, p99, sum(wrong), len(latencies))


def _quantile_ms(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


async def _connection(port: int, plan: Plan, first: int, until: float, latencies: list[float]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wrong, index = 0, first
    while (began := time.perf_counter()) < until:
        writer.write(plan.requests[index % len(plan.requests)])
        index += plan.connections
        status, body = await _answer(reader)
        latencies.append(time.perf_counter() - began)
        wrong += status != plan.status or not _good(plan, body)
    writer.close()
    return wrong


def _good(plan: Plan, body: bytes) -> bool:
    return body.count(plan.text) == plan.times if plan.times else plan.text in body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ),
        0,
    )
    return int(head[9:12]), await reader.readexactly(length)
