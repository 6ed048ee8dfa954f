"""Generates the Python modules of Dateline's schemas: python generate.py [DIRECTORY], "generated" by default.

The schemas import buf/validate/validate.proto, so third_party is generated as well: without its module the
others cannot be imported.
"""

import pathlib
import sys

import grpc_tools
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
# timestamp.proto and its like come with grpcio-tools; their modules are part of the protobuf package.
WELL_KNOWN = pathlib.Path(grpc_tools.__file__).parent / "_proto"


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "generated")
    out.mkdir(parents=True, exist_ok=True)
    folders = [ROOT / "proto", ROOT / "third_party"]
    schemas = sorted(str(file) for folder in folders for file in folder.rglob("*.proto"))
    includes = [f"-I{folder}" for folder in [*folders, WELL_KNOWN]]
    # --pyi_out is for editors and type checkers.
    outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    failed = protoc.main(["protoc", *includes, *outputs, *schemas])
    if not failed:
        print(f"generated {len(schemas)} schemas into {out}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
