"""The command line: exit codes, one clear line for an error, a trace only with --debug."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = "mappings/yunqi-township/examples/ref_i12.in.hl7"


def run(*arguments, **environment):
    command = [sys.executable, "-m", "fhir_server", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
        check=False,
    )


ROWS = [
    # arguments, environment, exit code, part of stdout, part of stderr
    (["--help"], {}, 0, "serve", ""),
    (["settings"], {}, 0, "FHIR_STORE", ""),
    (["settings"], {"FHIR_STORE": "mongodb://u:secret@h/d"}, 0, "***", ""),
    (["settings"], {"FHIR_PORT": "many"}, 2, "", "FHIR_PORT"),
    (["settings"], {"FHIR_AUTH": "off", "FHIR_HOST": "0.0.0.0"}, 2, "", "loopback"),
    (["settings"], {"FHIR_TIMEZONE": "Mars/Base"}, 2, "", "Asia/Shanghai"),
    (["settings"], {"FHIR_MAX_BODY": "a lot"}, 2, "", "64 MiB"),
    (["bogus"], {}, 2, "", "bogus"),
    (["validate", "absent.json"], {}, 1, "", "absent.json"),
    (["map", "yunqi-township", EXAMPLE], {}, 0, "ServiceRequest", ""),
    (["map", "yunqi-township", EXAMPLE, "--trace"], {}, 0, "ServiceRequest", "Patient.gender ← PID"),
    (["map", "nowhere", EXAMPLE], {}, 1, "", "yunqi-township"),
    (["map", "yunqi-township", "README.md"], {}, 2, "", ".hl7"),
    (["check-mapping"], {}, 0, "fine", ""),
    (["send", EXAMPLE, "--to", "ftp://x"], {}, 2, "", "mllp://"),
    (["send", EXAMPLE, "--to", "mllp://127.0.0.1:1"], {}, 3, "", "fhir-server:"),
    (["load", "absent", "--base", "http://127.0.0.1:1/fhir"], {}, 1, "", "absent"),
    (["load", EXAMPLE, "--base", "http://127.0.0.1:1/fhir", "--store", "sqlite:///x"], {}, 2, "", "exclude"),
    (["serve", "--store", "postgres://x"], {"FHIR_MLLP_PORT": "0"}, 3, "", "sqlite"),
    (["demo", "--clients", "absent.json"], {}, 2, "", "absent.json"),
]


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "out", "err"),
    ROWS,
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_a_command_ends_as_it_should(arguments, environment, code, out, err):
    done = run(*arguments, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert out in done.stdout
    assert err in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_trace():
    assert "Traceback" in run("validate", "absent.json", "--debug").stderr


def test_validate_names_every_fault(tmp_path):
    file = tmp_path / "p.json"
    file.write_text('{"resourceType":"Patient","gender":"banana","birthDate":"2026-02-30","bogus":1}')
    done = run("validate", file)
    assert done.returncode == 1
    assert all(place in done.stdout for place in ("Patient.gender", "Patient.birthDate", "bogus"))


def test_clients_are_added_listed_rotated_and_removed(tmp_path):
    store = ["--store", f"sqlite:///{tmp_path}/c.db"]
    added = run("client", "add", "--organization", "Organization/h1", "--id", "emr", "--name", "EMR", *store)
    assert added.returncode == 0, added.stderr
    secret = added.stdout.split("client secret")[1].split()[0]
    assert "emr\tOrganization/h1\tactive" in run("client", "list", *store).stdout
    assert secret not in run("client", "rotate", "emr", *store).stdout
    assert run("client", "remove", "emr", *store).returncode == 0
    assert run("client", "list", *store).stdout == ""
    assert run("client", "rotate", "emr", *store).returncode == 1
    assert secret.encode() not in (tmp_path / "c.db").read_bytes()
