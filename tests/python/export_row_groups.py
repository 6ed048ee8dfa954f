"""Prints how many rows each row group of events has, and the state of the eighth: export_row_groups.py DIRECTORY"""

import pathlib
import sys

import pyarrow.parquet as parquet

file = parquet.ParquetFile(pathlib.Path(sys.argv[1]) / "events.parquet")
print(*(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)))
print(file.read_row_group(0, columns=["state"])["state"][7])
