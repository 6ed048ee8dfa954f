"""Validates ninjs items: python export_ninjs.py DIRECTORY, which holds the files and the schema."""

import json
import pathlib
import sys

import jsonschema

directory = pathlib.Path(sys.argv[1])
schema = json.loads((directory / "schema.json").read_text(encoding="utf-8"))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
wrong = 0
for file in sorted(directory.glob("*.ninjs.ndjson")):
    items = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for item in items:
        for error in validator.iter_errors(item):
            wrong += 1
            print(f"{item['uri']}: {error.json_path}: {error.message}")
    print(f"{file.name}: {len(items)} items")
sys.exit(wrong > 0)
