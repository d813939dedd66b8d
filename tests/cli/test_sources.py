"""Files become resources: JSON, NDJSON, gzip, folders, in an order in which references resolve."""

import gzip

import pytest

from fhir_server.cli.sources import find_files, read_items

PATIENT = b'{"resourceType":"Patient","id":"a"}'


def test_a_folder_is_walked_and_what_others_point_at_comes_first(tmp_path):
    for name in ("Observation.ndjson", "Patient.000.ndjson", "Organization.ndjson", "notes.txt", "b.json"):
        (tmp_path / name).write_bytes(PATIENT)
    found = [file.name for file in find_files([tmp_path])]
    assert found == ["Organization.ndjson", "Patient.000.ndjson", "Observation.ndjson", "b.json"]


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        find_files([tmp_path / "absent.json"])


@pytest.mark.parametrize("packed", [False, True])
def test_ndjson_names_the_line_and_skips_empty_ones(tmp_path, packed):
    file = tmp_path / ("x.ndjson.gz" if packed else "x.ndjson")
    content = PATIENT + b"\n\n" + PATIENT + b"\n"
    file.write_bytes(gzip.compress(content) if packed else content)
    items = list(read_items([file]))
    assert [item.name for item in items] == [f"{file}:1", f"{file}:3"]
    assert items[0].head().resource_type == "Patient"


def test_a_byte_order_mark_is_not_part_of_the_resource(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf" + PATIENT)
    assert next(read_items([tmp_path / "x.json"])).raw == PATIENT


@pytest.mark.parametrize(
    ("raw", "runs"),
    [
        (b'{"resourceType":"Bundle","type":"transaction"}', True),
        (b'{"resourceType":"Bundle","type":"batch"}', True),
        (b'{"resourceType":"Bundle","type":"transaction","id":"an-example"}', False),
        (b'{"resourceType":"Bundle","type":"collection"}', False),
        (b'{"resourceType":"Encounter","type":[{"text":"x"}]}', False),
        (b"not json", False),
    ],
)
def test_only_transactions_and_batches_without_an_id_are_carried_out(tmp_path, raw, runs):
    (tmp_path / "x.json").write_bytes(raw)
    assert next(read_items([tmp_path / "x.json"])).head().runs is runs
