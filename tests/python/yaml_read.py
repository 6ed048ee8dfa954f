"""Reads YAML of records with PyYAML, by both of its loaders, and compares it with what it was written from.

Each line of stdin is a JSON list: the YAML text, and the value that it has to be read as.
"""

import json
import sys

import yaml

count = 0
for line in sys.stdin:
    text, expected = json.loads(line)
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        try:
            found = yaml.load(text, Loader=loader)
        except yaml.YAMLError as error:
            sys.exit(f"{loader.__name__} cannot read {text!r}: {error}")
        if found != expected:
            sys.exit(f"{loader.__name__} reads {text!r} as {found!r}, not as {expected!r}")
    count += 1
print(f"{count} documents")
