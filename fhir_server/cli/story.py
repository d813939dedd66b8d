"""The story of the demo: 周瑋 is referred from 云栖镇卫生院 to 晨溪县人民医院 and back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import typer

from fhir_server.cli.messages import send_mllp
from fhir_server.cli.targets import fetch_token
from fhir_server.errors import Conflict

TOWNSHIP, COUNTY = "yunqi-township-hospital", "chenxi-county-hospital"
H1, H2 = "Organization/h1", "Organization/h2"
H1_SID, H2_SID = (
    "http://cmc.example.org/sid/12999001MB0000019A",
    "http://cmc.example.org/sid/12999001MB00000275",
)
CODES = "http://cmc.example.org/fhir/CodeSystem"
TABLE_TYPE = "text/csv; charset=gb18030"

# The numbers of the story's documents; told a second time, it needs new ones. Message control ids end a
# field of MSH, the others are numbers that the two HIS gave to the referral, the visits and the reports.
NUMBERS = re.compile(
    rb"(NHIS2026\d{14}|LIS2026\d{14}|RIS2026\d{14}|ZZ20260302\d{4}|MZLS20260302\d{3}|ZYLS20260302\d{3}"
    rb"|BG20260302\d{5}|CT20260302\d{5}|SQ20260302\d{5}|YJ20260302\d{3})"
)
Json = dict[str, Any]


@dataclass(slots=True)
class Teller:
    """The connections to the server: one token for each hospital, and the HL7 v2 door."""

    http: httpx.AsyncClient
    base: str
    mllp: tuple[str, int]
    secrets: dict[str, str]
    tokens: dict[str, str] = field(default_factory=dict)
    step: int = 0

    async def call(self, client: str, method: str, path: str, body: Any = None, **headers: str) -> Json:
        """One FHIR request as ``client``; returns the JSON answer. Raises Conflict when it is refused."""
        if client not in self.tokens:
            self.tokens[client] = await fetch_token(self.http, self.base, client, self.secrets[client])
        sent = {"Authorization": f"Bearer {self.tokens[client]}", "Content-Type": "application/fhir+json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else orjson.dumps(body) if body is not None else None
        url = path if path.startswith("http") else f"{self.base}/{path}"
        answer = await self.http.request(method, url, content=content, headers=sent)
        if not answer.is_success:
            raise Conflict(f"{method} {path} was refused with {answer.status_code}: {answer.text[:500]}")
        found: Json = orjson.loads(answer.content) if answer.content else {}
        return found

    async def search(self, client: str, query: str) -> list[Json]:
        """The resources a search finds, includes left out."""
        bundle = await self.call(client, "GET", query)
        return [entry["resource"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == "match"]

    async def send(self, raw: bytes) -> None:
        """Send one message over MLLP; raises Conflict unless it was accepted."""
        answer = await send_mllp(raw, *self.mllp)
        status = next((line for line in answer.split(b"\r") if line.startswith(b"MSA")), b"MSA|?")
        self.say(f"answered   {status.decode('gb18030')}")
        if not status.startswith(b"MSA|AA"):
            raise Conflict(f"the message was not accepted: {answer.decode('gb18030')}")

    def chapter(self, title: str) -> None:
        """Begin the next step."""
        self.step += 1
        typer.echo(f"\n{self.step}. {title}")

    def say(self, line: str) -> None:
        """A line of the step."""
        typer.echo(f"   {line}")

    def link(self, what: str, resource: Json) -> None:
        """A line with the address of a resource."""
        self.say(f"{what:<10} {self.base}/{resource['resourceType']}/{resource['id']}")


class Story:
    """The chapters, in order. Each sends what really would be sent and says what it became and who must act next."""

    def __init__(self, teller: Teller) -> None:
        self.teller = teller
        self.ending = b""
        self.referral: Json = {}
        self.task: Json = {}
        self.encounter: Json = {}

    def message(self, his: str, name: str) -> bytes:
        """An example message of ``mappings/<his>``, with numbers of its own when the story is told again."""
        from fhir_server.settings import Settings

        raw = (Path(Settings().mappings) / his / "examples" / name).read_bytes()
        return NUMBERS.sub(rb"\1" + self.ending, raw) if self.ending else raw

    async def township_refers(self) -> None:
        """REF^I12 in GBK becomes ServiceRequest and Task."""
        self.teller.chapter("云栖镇卫生院's HIS sends a referral (HL7 v2.4 REF^I12, GBK) to the HL7 v2 door")
        if await self._find_referral():
            self.ending = datetime.now().strftime("-%m%d%H%M%S").encode()
            self.teller.say("the story was told on this server before: this time with new numbers")
        raw = self.message("yunqi-township", "ref_i12.in.hl7")
        self.teller.say(f"came in    {len(raw)} bytes over MLLP; the name 周瑋 has the byte 7C ('|') in it")
        await self.teller.send(raw)
        self.referral = (await self._find_referral())[0]
        found = await self.teller.search(
            TOWNSHIP, f"Task?focus=ServiceRequest/{self.referral['id']}&code=fulfill"
        )
        self.task = found[0]
        self.teller.link("became", self.referral)
        self.teller.link("became", self.task)
        self.teller.say(f"next       晨溪县人民医院: {self.teller.base}/Task?owner={H1}&status=requested")

    async def _find_referral(self) -> list[Json]:
        number = f"ZZ202603020001{self.ending.decode()}"
        return await self.teller.search(TOWNSHIP, f"ServiceRequest?identifier={H2_SID}/referral|{number}")

    async def township_sends_its_table(self) -> None:
        """A row of the 中间库 (GB18030 CSV) becomes a second referral."""
        self.teller.chapter(
            "its second system exports 转院记录 rows (中间库 CSV, GB18030) to POST /inbound/yunqi-township"
        )
        raw = self.message("yunqi-township", "zzyjl_second_patient.in.csv")
        url = f"{self.teller.base.removesuffix('/fhir')}/inbound/yunqi-township"
        await self.teller.call(TOWNSHIP, "POST", url, raw, Content_Type=TABLE_TYPE)
        waiting = await self.teller.search(COUNTY, f"Task?owner={H1}&status=requested&_sort=-authored-on")
        self.teller.say(f"became     another referral; {len(waiting)} now wait for 晨溪县人民医院")

    async def county_looks_into_its_inbox(self) -> None:
        """The inbox is one search; $available-actions says what can be done."""
        self.teller.chapter("晨溪县人民医院 opens its inbox: one search")
        inbox = await self.teller.search(
            COUNTY, f"Task?owner={H1}&status=requested,received&_include=Task:focus"
        )
        self.teller.say(
            f"GET        {self.teller.base}/Task?owner={H1}&status=requested,received  → {len(inbox)} Tasks"
        )
        actions = await self.teller.call(COUNTY, "GET", f"Task/{self.task['id']}/$available-actions")
        self.teller.say(f"allowed    {', '.join(_allowed(actions))}")

    async def county_asks_and_accepts(self) -> None:
        """$receive, then $accept: an Encounter is planned."""
        self.teller.chapter("the referral office takes it up and accepts it")
        for operation in ("receive", "accept"):
            await self._act(COUNTY, operation)
        planned = await self.teller.search(COUNTY, f"Encounter?based-on=ServiceRequest/{self.referral['id']}")
        self.encounter = planned[0]
        self.teller.link("planned", self.encounter)

    async def patient_is_admitted(self) -> None:
        """ADT^A01 arrives the planned Encounter and moves the Task."""
        self.teller.chapter("the patient is there: the county's HIS sends ADT^A01 (GBK)")
        await self.teller.send(self.message("chenxi-county", "adt_a01.in.hl7"))
        arrived = await self.teller.call(COUNTY, "GET", f"Encounter/{self.encounter['id']}")
        self.teller.say(f"became     the planned Encounter is now {arrived['status']}")
        await self._show_task()
        if _business(self.task) == "arrived":
            await self._act(COUNTY, "start")

    async def results_arrive(self) -> None:
        """OUL^R21 and ORU^R01 become DiagnosticReports of the Encounter."""
        self.teller.chapter("laboratory and radiology report: OUL^R21 and ORU^R01")
        for name in ("oul_r21.in.hl7", "oru_r01.in.hl7"):
            await self.teller.send(self.message("chenxi-county", name))
        query = f"DiagnosticReport?encounter=Encounter/{self.encounter['id']}"
        for report in await self.teller.search(COUNTY, query):
            self.teller.link(report["code"].get("text") or "report", report)

    async def patient_is_discharged(self) -> None:
        """ADT^A03 finishes the Encounter."""
        self.teller.chapter("ten days later the patient goes home: ADT^A03")
        await self.teller.send(self.message("chenxi-county", "adt_a03.in.hl7"))
        done = await self.teller.call(COUNTY, "GET", f"Encounter/{self.encounter['id']}")
        self.teller.say(
            f"became     the Encounter is {done['status']}, {done['period']['start']} to {done['period']['end']}"
        )

    async def county_replies(self) -> None:
        """$complete with the discharge summary; the sender is asked to read it."""
        self.teller.chapter("the county hospital writes the discharge summary and completes the referral")
        summary = await self.teller.call(COUNTY, "POST", "DocumentReference", self._summary())
        self.teller.link("reply", summary)
        reply = {"reference": f"DocumentReference/{summary['id']}", "display": "出院小结"}
        outcome = {"system": f"{CODES}/referral-outcome", "code": "treated"}
        parameters: list[Json] = [
            {"name": "reply", "valueReference": reply},
            {"name": "outcome", "valueCodeableConcept": {"coding": [outcome], "text": "好转出院"}},
            {"name": "next-step", "valueString": "规律服药，两周后云栖镇卫生院复诊"},
        ]
        await self._act(COUNTY, "complete", parameters)
        self.teller.say(f"next       云栖镇卫生院: {self.teller.base}/Task?owner={H2}&status=requested")

    def _summary(self) -> Json:
        return {
            "resourceType": "DocumentReference",
            "status": "current",
            "type": {
                "coding": [{"system": "urn:oid:2.16.156.10011.2.4", "code": "C0053", "display": "出院小结"}]
            },
            "subject": self.referral["subject"],
            "author": [{"reference": H1}],
            "context": {
                "encounter": [{"reference": f"Encounter/{self.encounter['id']}"}],
                "related": [{"reference": f"ServiceRequest/{self.referral['id']}"}],
            },
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain; charset=utf-8",
                        "title": "出院小结",
                        "data": _DISCHARGE,
                    }
                }
            ],
        }

    async def township_reads_the_reply(self) -> None:
        """The child Task review-reply is completed: the loop is closed."""
        self.teller.chapter("云栖镇卫生院 finds the reply in its inbox, reads it, and says so")
        query = f"Task?owner={H2}&status=requested&part-of=Task/{self.task['id']}"
        review = (await self.teller.search(TOWNSHIP, query))[0]
        self.teller.link("to read", review)
        tag = f'W/"{review["meta"]["versionId"]}"'
        await self.teller.call(
            TOWNSHIP, "PUT", f"Task/{review['id']}", review | {"status": "completed"}, If_Match=tag
        )
        closed = await self.teller.call(TOWNSHIP, "GET", f"ServiceRequest/{self.referral['id']}")
        self.teller.say(f"became     the ServiceRequest is {closed['status']}: the loop is closed")
        if closed["status"] != "completed":
            raise Conflict("the loop did not close")

    async def _act(self, client: str, operation: str, parameters: list[Json] | None = None) -> None:
        tag = f'W/"{self.task["meta"]["versionId"]}"'
        body = (
            {"resourceType": "Parameters", "parameter": parameters}
            if parameters
            else {"resourceType": "Parameters"}
        )
        await self.teller.call(client, "POST", f"Task/{self.task['id']}/${operation}", body, If_Match=tag)
        self.teller.say(f"POST       {self.teller.base}/Task/{self.task['id']}/${operation}")
        await self._show_task()

    async def _show_task(self) -> None:
        self.task = await self.teller.call(COUNTY, "GET", f"Task/{self.task['id']}")
        self.teller.say(f"now        Task is {self.task['status']} / {_business(self.task)}")


# 出院小结, base64 of UTF-8 text.
_DISCHARGE = (
    "5Ye66Zmi5bCP57uT77ya5LiN56iz5a6a5Z6L5b+D57ue55eb77yM5aW96L2s5Ye66Zmi44CC6KeE5b6L5pyN6I2v77yM5Lik5ZGo"
    "5ZCO5LqR5qCW6ZWH5Y2r55Sf6Zmi5aSN6K+K44CC"
)


def _business(task: Json) -> str:
    code: str = task["businessStatus"]["coding"][0]["code"]
    return code


def _allowed(parameters: Json) -> list[str]:
    actions = [parameter["part"] for parameter in parameters["parameter"] if parameter["name"] == "action"]
    as_dicts = [
        {part["name"]: next(v for k, v in part.items() if k != "name") for part in parts} for parts in actions
    ]
    return [action["operation"] for action in as_dicts if action["allowed"]]
