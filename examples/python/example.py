"""One article and an actor that it tells of: in, published, read back, and followed on the wire.

    python example.py [HOST:PORT]

Safe to run again: a second run finds what is there.
"""

import json
import os
import pathlib
import sys
import time
import unicodedata
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.append(str(pathlib.Path(__file__).parent / "generated"))
from dateline.v1 import (  # noqa: E402
    actor_pb2,
    article_pb2,
    common_pb2,
    editorial_service_pb2,
    editorial_service_pb2_grpc,
    feed_service_pb2,
    feed_service_pb2_grpc,
    record_pb2,
    record_service_pb2,
    record_service_pb2_grpc,
)

ARTICLE = "articles/python-example"
ACTOR = "actors/python-example-port-authority"
# Every call gets a deadline. Watch has none: a stream is meant to stay.
SECONDS = 30

# UNAVAILABLE means "try again", and gRPC can do so by itself. A write is sent again with the same request_id,
# so it happens once however often it is sent.
RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.2s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


def article():
    # Offsets of quotes count code points of the text in NFC.
    body = unicodedata.normalize(
        "NFC",
        "SANDVIK - The Sandvik Port Authority reopened the harbour on Monday, two days after the storm.\n\n"
        "“Every berth is in use again,” it said.",
    )
    return article_pb2.Article(
        name=ARTICLE,
        headline="Sandvik Harbour Reopens After Storm",
        body=body,
        language_code="en",
        sources=[article_pb2.SourceCredit(display_name="Sandvik Port Authority", actor=ACTOR)],
    )


def actor():
    """The actor, with the words of the article that say so: nothing is published without its source."""
    name, body = "Sandvik Port Authority", article().body
    start = body.index(name)
    evidence = common_pb2.Evidence(
        article=ARTICLE,
        article_revision=1,
        quote=common_pb2.TextSpan(
            part=common_pb2.TextSpan.PART_BODY, start=start, end=start + len(name), exact=name
        ),
        supports=["names"],
        modality=common_pb2.Evidence.MODALITY_ASSERTED,
    )
    return actor_pb2.Actor(
        name=ACTOR,
        type=actor_pb2.Actor.TYPE_GOVERNMENT_BODY,
        display_name=name,
        names=[common_pb2.Name(text=name, language_code="en", type=common_pb2.Name.TYPE_FULL)],
        evidence=[evidence],
    )


def body_of(record):
    """The article, actor, relation or event in a Record."""
    return getattr(record, record.WhichOneof("kind"))


def create_what_is_missing(records, editorial):
    """Makes drafts of the records that are not there yet, all of them or none."""
    wanted = {
        ARTICLE: record_pb2.Record(article=article()),
        ACTOR: record_pb2.Record(actor=actor()),
    }
    there = records.BatchGetRecords(
        record_service_pb2.BatchGetRecordsRequest(names=wanted, view=record_pb2.VIEW_DESK), timeout=SECONDS
    )
    if there.missing:
        create = editorial_service_pb2.Write.Create
        answer = editorial.Commit(
            editorial_service_pb2.CommitRequest(
                writes=[editorial_service_pb2.Write(create=create(record=wanted[name])) for name in there.missing],
                request_id=str(uuid.uuid4()),
            ),
            timeout=SECONDS,
        )
        there.records.extend(answer.records)
    print(f"created {len(there.missing)}, found {len(wanted) - len(there.missing)}")
    return [body_of(record) for record in there.records]


def publish_drafts(editorial, bodies):
    """Publishes as one batch what is a draft. The etag says which revision was looked at."""
    drafts = [
        editorial_service_pb2.RecordVersion(name=body.name, etag=body.meta.etag)
        for body in bodies
        if body.meta.state == common_pb2.STATE_DRAFT
    ]
    if drafts:
        editorial.PublishRecords(
            editorial_service_pb2.PublishRecordsRequest(records=drafts, request_id=str(uuid.uuid4())),
            timeout=SECONDS,
        )
    print(f"published {len(drafts)}")


def read_back(records):
    """Reads as the public does, and finds the quote where the evidence says that it is."""
    read = records.GetRecord(record_service_pb2.GetRecordRequest(name=ACTOR), timeout=SECONDS).record.actor
    quote = read.evidence[0].quote
    source = records.GetRecord(
        record_service_pb2.GetRecordRequest(name=read.evidence[0].article), timeout=SECONDS
    ).record.article
    print(f"read {read.name}: {read.display_name}")
    print(f"  says {source.name}, code points {quote.start} to {quote.end}: {source.body[quote.start:quote.end]}")


def make_a_mistake(records):
    """Every error has one reason to act on, and a bad record every violation."""
    wrong = record_pb2.Record(actor=actor_pb2.Actor(name=ACTOR, region_code="Norway"))
    try:
        records.CreateRecord(
            record_service_pb2.CreateRecordRequest(record=wrong, validate_only=True), timeout=SECONDS
        )
    except grpc.RpcError as error:
        print(f"refused: {error.code().name} {reason(error)}")
        for violation in violations(error):
            print(f"  {violation.field}: {violation.description}")


def details(error, kind):
    """The details of that type in an error."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        message = kind()
        if detail.Unpack(message):
            yield message


def reason(error):
    return next((info.reason for info in details(error, error_details_pb2.ErrorInfo)), "no reason given")


def violations(error):
    return [one for bad in details(error, error_details_pb2.BadRequest) for one in bad.field_violations]


def follow(feed, cursor=None):
    """Responses of the wire that name our actor, for ever: from the beginning, or right after a cursor.

    Connects again from the last cursor when the server goes away. A consumer that stores the cursor together
    with the effects of the changes takes in each change once.
    """
    while True:
        request = feed_service_pb2.WatchRequest(filter=record_pb2.RecordFilter(actors=[ACTOR]))
        if cursor:
            request.cursor = cursor
        else:
            request.origin = feed_service_pb2.ORIGIN_BEGINNING
        stream = feed.Watch(request)
        try:
            for response in stream:
                cursor = response.cursor
                yield response
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            time.sleep(1)
        finally:
            stream.cancel()


def watch(feed):
    missing, cursor = {ARTICLE, ACTOR}, None
    for response in follow(feed):
        for change in response.changes:
            print(f"wire: {record_pb2.Change.Type.Name(change.type)} {change.name}")
            missing.discard(change.name)
        cursor = response.cursor
        if not missing:
            break
    # As if we had been away. The first response of a stream says where it stands.
    first = next(follow(feed, cursor))
    print(f"resumed after sequence {first.checkpoint.sequence}, {len(first.changes)} changes came twice")


def main():
    server = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DATELINE_SERVER", "127.0.0.1:7400")
    with grpc.insecure_channel(server, [("grpc.service_config", RETRIES)]) as channel:
        records = record_service_pb2_grpc.RecordServiceStub(channel)
        editorial = editorial_service_pb2_grpc.EditorialServiceStub(channel)
        feed = feed_service_pb2_grpc.FeedServiceStub(channel)
        try:
            publish_drafts(editorial, create_what_is_missing(records, editorial))
            read_back(records)
            make_a_mistake(records)
            watch(feed)
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name} {reason(error)}: {error.details()}")


if __name__ == "__main__":
    main()
