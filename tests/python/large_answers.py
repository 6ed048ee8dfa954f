# A client with gRPC's default of 4 MiB per received message publishes 700 articles of 6.5 kB in one call, and reads them.
import sys, uuid, grpc
from dateline.v1 import article_pb2, record_pb2, editorial_service_pb2 as e, record_service_pb2 as r
from dateline.v1 import editorial_service_pb2_grpc, record_service_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1])
editorial = editorial_service_pb2_grpc.EditorialServiceStub(channel)
records = record_service_pb2_grpc.RecordServiceStub(channel)
names = [f"articles/wire-{number}" for number in range(700)]
body = ("The ministers met on Monday. " * 230)[:6499]


def article(name):
    return record_pb2.Record(article=article_pb2.Article(name=name, headline="Wire", body=body, language_code="en"))


versions = []
for part in (names[:350], names[350:]):
    writes = [e.Write(create=e.Write.Create(record=article(name))) for name in part]
    made = editorial.Commit(e.CommitRequest(request_id=str(uuid.uuid4()), omit_content=True, writes=writes))
    versions += [e.RecordVersion(name=it.article.name, etag=it.article.meta.etag) for it in made.records]

publish = e.PublishRecordsRequest(request_id=str(uuid.uuid4()), records=versions)
answer = editorial.PublishRecords(publish)
again = editorial.PublishRecords(publish)
omitted = "content omitted" if answer.content_omitted else "all of it"
print(f"{len(answer.records)} published, {omitted}; {'the same' if again == answer else 'another answer'} again")

asked, found, answers = names, [], 0
while asked:
    answer = records.BatchGetRecords(r.BatchGetRecordsRequest(names=asked, view=record_pb2.VIEW_DESK))
    found += [it.article.name for it in answer.records]
    asked, answers = list(answer.omitted), answers + 1
assert found == names, "not the records that were asked for"
print(f"{len(found)} read in {answers} answers")
