"""Reads length-delimited records, and compares each with its line of canonical JSON, value for value.

    python export_protobuf.py events.binpb events.ndjson

The generated modules are found by way of PYTHONPATH.
"""

import io
import json
import sys

from dateline.v1 import record_pb2
from google.protobuf import json_format, proto


def main():
    binary, lines = sys.argv[1:]
    with open(binary, "rb") as file:
        stream = io.BytesIO(file.read())
    records = []
    while (record := proto.parse_length_prefixed(record_pb2.Record, stream)) is not None:
        records.append(json_format.MessageToDict(record))
    with open(lines, encoding="utf-8") as file:
        expected = [json.loads(line) for line in file]
    assert records == expected, "the records differ"
    print(f"{len(records)} records are those of the NDJSON")


if __name__ == "__main__":
    main()
