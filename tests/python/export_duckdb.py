"""Runs the query of a file on the Parquet tables of a directory: python export_duckdb.py DIRECTORY"""

import os
import pathlib
import sys

import duckdb

os.chdir(sys.argv[1])
for (value,) in duckdb.sql(pathlib.Path("query.sql").read_text(encoding="utf-8")).fetchall():
    print(value)
