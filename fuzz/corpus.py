#!/usr/bin/env python3
"""Packs and unpacks the corpora of the fuzz targets: `fuzz/corpus.py unpack|pack [TARGET…]`, all targets by default.

The repository holds one file per target, `fuzz/corpus/TARGET.txt`: one input per line in base64, sorted, each once. An
input that somebody named has its name behind it, after a space. libFuzzer wants a directory with one file per input:
`unpack` writes `fuzz/corpus/TARGET/` (not tracked), `pack` writes the file from the directory."""

import base64
import hashlib
import pathlib
import sys

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def digest(data):
    """The name that libFuzzer gives to an input."""
    return hashlib.sha1(data).hexdigest()


def unpack(target):
    directory = CORPUS / target
    directory.mkdir(exist_ok=True)
    lines = (CORPUS / f"{target}.txt").read_text().splitlines()
    for line in lines:
        encoded, _, name = line.partition(" ")
        data = base64.b64decode(encoded, validate=True)
        (directory / (name or digest(data))).write_bytes(data)
    print(f"{target}: {len(lines)} inputs in {directory}")


def pack(target):
    directory = CORPUS / target
    if not directory.is_dir():
        sys.exit(f"{directory}: no such directory; run `fuzz/corpus.py unpack {target}` first")
    lines = {}
    for path in sorted(directory.iterdir()):
        data = path.read_bytes()
        name = "" if path.name == digest(data) else f" {path.name}"
        # Of two files with the same bytes the named one stays.
        encoded = base64.b64encode(data).decode()
        lines[encoded] = max(lines.get(encoded, ""), name)
    packed = "".join(sorted(f"{encoded}{name}\n" for encoded, name in lines.items()))
    (CORPUS / f"{target}.txt").write_text(packed)
    print(f"{target}: {len(lines)} inputs, {len(packed)} bytes")


def main(arguments):
    commands = {"pack": pack, "unpack": unpack}
    if not arguments or arguments[0] not in commands:
        sys.exit(__doc__)
    for target in arguments[1:] or sorted({path.stem for path in CORPUS.iterdir()}):
        commands[arguments[0]](target)


if __name__ == "__main__":
    main(sys.argv[1:])
