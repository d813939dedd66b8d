"""The log: one JSON object a line on stderr, from our own code and from libraries."""

import json
import subprocess
import sys

SCRIPT = """
import logging
import structlog
from fhir_server.rest.log import configure_logging

configure_logging("info")
ours = structlog.get_logger("fhir_server.test")
ours.debug("quiet")
ours.info("request", status=404)
ours.error("bug", at=["a.py:1 f"])
logging.getLogger("uvicorn.error").info("quiet")
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
"""


def test_every_line_is_json_with_level_and_time():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("request", "info"),
        ("bug", "error"),
        ("Invalid HTTP request received.", "warning"),
    ]
    assert all(line["timestamp"] for line in lines)
    assert (lines[0]["status"], lines[1]["at"]) == (404, ["a.py:1 f"])
