"""Compares Parquet tables with the same records as canonical JSON: python export_pyarrow.py DIRECTORY

Every value of the JSON has to be in the table, and no other.
"""

import datetime
import json
import pathlib
import re
import sys

import pyarrow.parquet as parquet

directory = pathlib.Path(sys.argv[1])
ENUM = re.compile(r"^[A-Z]+(_[A-Z]+)*$")
# Enums whose values begin with the name of the enum, as the schema writes them.
PREFIXES = "STATE TYPE FORM STATUS ROLE MODALITY CONFIDENCE PRECISION BOUND BASIS PART KIND".split()


def snake(name):
    return re.sub("[A-Z]", lambda letter: "_" + letter.group().lower(), name)


def from_json(value, key=""):
    """The value of canonical JSON as the tables say it."""
    if isinstance(value, dict):
        return {snake(key): from_json(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [from_json(inner, key) for inner in value]
    if isinstance(value, str) and ENUM.match(value) and value.split("_")[0] in PREFIXES and "_" in value:
        return value.split("_", 1)[1].lower()
    if isinstance(value, str) and key in ("revision", "sequence", "articleRevision"):
        return int(value)
    return value


def from_table(value):
    """The value of a table without what says nothing."""
    if isinstance(value, dict):
        inner = {key: from_table(inner) for key, inner in value.items()}
        return {key: inner for key, inner in inner.items() if inner not in (None, [], False, 0)}
    if isinstance(value, list):
        return [from_table(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def same(table, line, path):
    if isinstance(line, dict) and isinstance(table, dict):
        assert set(table) <= set(line), f"{path}: {set(table) - set(line)} is too much"
        for key, value in line.items():
            if key not in table:
                assert value in (0, False, 0.0, {}), f"{path}.{key}: {value!r} is missing"
            else:
                same(table[key], value, f"{path}.{key}")
    elif isinstance(line, list):
        assert len(table) == len(line), path
        for position, (left, right) in enumerate(zip(table, line)):
            same(left, right, f"{path}[{position}]")
    elif isinstance(line, float):
        assert abs(table - line) < 1e-6, f"{path}: {table} is not {line}"
    else:
        assert table == line, f"{path}: {table!r} is not {line!r}"


def main():
    expected = {}
    for line in (directory / "expected.ndjson").read_text(encoding="utf-8").splitlines():
        (record,) = json.loads(line).values()
        record.update(record.pop("meta", {}))
        expected[record["name"]] = from_json(record)
    found = 0
    for file in sorted(directory.glob("*.parquet")):
        table = parquet.read_table(file)
        created_by = parquet.ParquetFile(file).metadata.created_by
        print(f"{file.stem.split('-')[0]}: {table.num_rows} rows, created by {created_by}")
        for row in table.to_pylist():
            same(from_table(row), expected[row["name"]], row["name"])
            found += 1
    assert found == len(expected)
    print(f"{found} records are those of the NDJSON")


if __name__ == "__main__":
    main()
