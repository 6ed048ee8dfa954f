"""Lists what the Parquet files of an export name: python export_references.py DIRECTORY

Prints a line of JSON for each name: the field in which it stands, and the name.
"""

import json
import pathlib
import sys

import pyarrow.parquet

NAMING = {"actor", "on_behalf_of", "capacity", "target", "article", "event", "subject", "object", "publisher", "venue", "attributed_to"}


def names(value, at):
    if isinstance(value, list):
        for element in value:
            yield from names(element, at)
    elif isinstance(value, dict):
        for key, inner in value.items():
            values = inner if isinstance(inner, list) else [inner]
            if key in NAMING and all(isinstance(name, str) for name in values):
                yield from ((f"{at}.{key}", name) for name in values if name.split("/")[0] in COLLECTIONS)
            else:
                yield from names(inner, f"{at}.{key}")


COLLECTIONS = ("actors", "articles", "events", "relations")
for collection in COLLECTIONS:
    for file in sorted(pathlib.Path(sys.argv[1]).glob(f"{collection}-*.parquet")):
        for row in pyarrow.parquet.read_table(file).to_pylist():
            if row["merged_into"]:
                print(json.dumps([f"{collection}.meta.merged_into", row["merged_into"]]))
            for field, name in names(row, collection):
                print(json.dumps([field, name]))
