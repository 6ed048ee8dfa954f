"""Reads the published gold records through every read of a Python client, and compares them with the file.

    python gold.py HOST:PORT gold.json

The generated modules are found by way of PYTHONPATH. What the service adds, `meta`, is left out on both sides.
"""

import json
import sys

import grpc
from google.protobuf import json_format
from dateline.v1 import (
    feed_service_pb2,
    feed_service_pb2_grpc,
    record_pb2,
    record_service_pb2,
    record_service_pb2_grpc,
)

KINDS = {"articles": "article", "actors": "actor", "relations": "relation", "events": "event"}
SECONDS = 30


def without_meta(record):
    """The record in proto-JSON, as a Python value."""
    value = json_format.MessageToDict(record)
    (body,) = value.values()
    assert body.pop("meta")["state"] == "STATE_PUBLISHED", body["name"]
    return value


def compare(read, gold, by):
    """The same records, in the same order, value for value; and the same once the file is read as messages."""
    values = [without_meta(record) for record in read]
    for value, expected in zip(values, gold):
        assert value == expected, f"{by}: {json.dumps(value)} is not {json.dumps(expected)}"
    assert len(values) == len(gold), f"{by}: {len(values)} records"
    for record, expected in zip(read, gold):
        bare = record_pb2.Record()
        bare.CopyFrom(record)
        getattr(bare, bare.WhichOneof("kind")).ClearField("meta")
        assert bare == json_format.ParseDict(expected, record_pb2.Record()), f"{by}: {bare}"
    print(f"{len(values)} records by {by} are equal")


def names(gold):
    return [next(iter(record.values()))["name"] for record in gold]


def get(records, gold):
    request = record_service_pb2.GetRecordRequest
    return [records.GetRecord(request(name=name), timeout=SECONDS).record for name in names(gold)]


def list_all(records):
    listed, token = [], ""
    while True:
        page = records.ListRecords(
            record_service_pb2.ListRecordsRequest(page_size=7, page_token=token), timeout=SECONDS
        )
        assert len(page.records) <= 7
        listed += page.records
        token = page.next_page_token
        if not token:
            return listed


def watch(feed, count, **start):
    """Changes from a start on, until there are `count`, and the cursors that came with the responses."""
    stream = feed.Watch(feed_service_pb2.WatchRequest(**start), timeout=SECONDS)
    changes, cursors = [], []
    for response in stream:
        changes += response.changes
        cursors.append((len(changes), response.cursor))
        if len(changes) >= count:
            stream.cancel()
            return changes, cursors


def main():
    server, file = sys.argv[1:]
    with open(file, encoding="utf-8") as opened:
        bundle = json.load(opened)
    gold = [{kind: record} for plural, kind in KINDS.items() for record in bundle[plural]]
    for record in gold:
        for entry in next(iter(record.values())).get("evidence", []):
            # The revision of the article that was published with them: readers never see its draft.
            entry["articleRevision"] = "2"
        next(iter(record.values())).pop("meta")
    with grpc.insecure_channel(server) as channel:
        records = record_service_pb2_grpc.RecordServiceStub(channel)
        feed = feed_service_pb2_grpc.FeedServiceStub(channel)
        compare(get(records, gold), gold, "GetRecord")
        by_name = sorted(gold, key=lambda record: names([record])[0])
        compare(list_all(records), by_name, "ListRecords")
        changes, cursors = watch(feed, len(gold), origin=feed_service_pb2.ORIGIN_BEGINNING)
        assert [change.sequence for change in changes] == list(range(1, len(gold) + 1))
        assert all(change.type == record_pb2.Change.TYPE_PUBLISHED for change in changes)
        assert [change.last_in_batch for change in changes] == [False] * (len(gold) - 1) + [True]
        compare([change.record for change in changes], gold, "Watch")
        # F4: every cursor resumes right after the response that it came with; after the last, with nothing.
        for seen, cursor in cursors:
            rest, _ = watch(feed, len(gold) - seen, cursor=cursor)
            assert rest == changes[seen:], f"the cursor after {seen} changes goes on with {len(rest)} others"
        print("every cursor resumes")


if __name__ == "__main__":
    main()
