//! Numbers, times and durations at their extremes, in every field of every request of the schema: each request succeeds
//! or is refused, and never causes an internal error.

use bytes::{Buf, BufMut, Bytes};
use dateline_proto::{DESCRIPTORS, v1::View};
use dateline_server::status::DOMAIN;
use futures_util::{StreamExt, stream};
use prost::Message;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_types::StatusExt;

use crate::support::{
    editing::{desk_record, start_server_with_base},
    records::meta,
    server::{TIMEOUT, TestServer},
};

/// Seconds: extremes of `int64`, then the limits of timestamps and durations, and one beyond.
const SECONDS: &[i64] = &[
    i64::MIN,
    -62_135_596_801,
    -62_135_596_800,
    -1,
    0,
    253_402_300_799,
    253_402_300_800,
    315_576_000_000,
    315_576_000_001,
    i64::MAX,
];
const NANOS: &[i32] = &[i32::MIN, -1, 999_999_999, i32::MAX];
/// Records are large, and the same in all requests: their fields are tested in these only.
const WITH_RECORDS: &[&str] = &["CreateRecord", "LoadRecords"];
/// Maximum nesting of messages.
const DEPTH: u32 = 5;

/// A codec that passes bytes unchanged.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Sends a request; reads a stream up to its first message.
async fn ask(server: &TestServer, path: &str, request: &DynamicMessage) -> Result<(), Status> {
    let mut grpc = Grpc::new(server.client.channel());
    grpc.ready().await.unwrap();
    let request = Request::new(stream::iter([Bytes::from(request.encode_to_vec())]));
    let asking = async {
        let answer = grpc
            .streaming(request, path.parse().unwrap(), Plain)
            .await?;
        answer.into_inner().message().await.map(drop)
    };
    tokio::time::timeout(TIMEOUT, asking)
        .await
        .unwrap_or_else(|_| panic!("{path} is not answered"))
}

/// Fills a request with a value for every field.
struct Filling {
    etag: String,
    record: DynamicMessage,
}

impl Filling {
    async fn start(server: &TestServer) -> Self {
        let record = desk_record(&server.client, "actors/one").await;
        Self {
            etag: meta(&record).etag,
            record: record.transcode_to_dynamic(),
        }
    }

    fn fill(&self, of: &MessageDescriptor) -> DynamicMessage {
        if of == &self.record.descriptor() {
            return self.record.clone();
        }
        let mut message = DynamicMessage::new(of.clone());
        for field in of.fields() {
            let value = match (field.name(), field.kind()) {
                ("name" | "names", Kind::String) => text("actors/one"),
                ("etag", _) => text(&self.etag),
                ("note", _) => text("a note"),
                ("feed", _) => text(&uuid::Uuid::nil().to_string()),
                ("id", _) => text("aaaaaaaa"),
                ("roles", _) => Value::EnumNumber(1),
                ("view", _) => Value::EnumNumber(View::Desk.into()),
                ("validate_only", _) => Value::Bool(true),
                ("record" | "records" | "into" | "writes", Kind::Message(of)) => {
                    Value::Message(self.fill(&of))
                }
                _ => continue,
            };
            // Of several actions only the last would remain: each is requested separately.
            if field.containing_oneof().is_some() && !field.is_list() && of.name() == "Write" {
                continue;
            }
            set(&mut message, &field, value);
        }
        message
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn set(message: &mut DynamicMessage, field: &FieldDescriptor, value: Value) {
    let value = if field.is_list() {
        Value::List(vec![value])
    } else {
        value
    };
    message.set_field(field, value);
}

/// The message with one value at an extreme, for each, and the path of that value.
fn extremes(
    message: &DynamicMessage,
    filling: &Filling,
    into_records: bool,
    depth: u32,
) -> Vec<(String, DynamicMessage)> {
    let mut all = Vec::new();
    for field in message.descriptor().fields() {
        for (within, value) in values(message, &field, filling, into_records, depth) {
            let mut changed = message.clone();
            set(&mut changed, &field, value);
            all.push((format!("{}{within}", field.name()), changed));
        }
    }
    all
}

fn values(
    message: &DynamicMessage,
    field: &FieldDescriptor,
    filling: &Filling,
    into_records: bool,
    depth: u32,
) -> Vec<(String, Value)> {
    let plain = |values: Vec<Value>| {
        let named = values
            .into_iter()
            .map(|value| (format!(" {value:?}"), value));
        named.collect()
    };
    match field.kind() {
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            plain([i64::MIN, -1, 0, 1, i64::MAX].map(Value::I64).into())
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            plain([i32::MIN, -1, 0, 1, i32::MAX].map(Value::I32).into())
        }
        Kind::Uint64 | Kind::Fixed64 => plain([0, 1, u64::MAX].map(Value::U64).into()),
        Kind::Uint32 | Kind::Fixed32 => plain([0, 1, u32::MAX].map(Value::U32).into()),
        Kind::Double => plain(
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -0.0]
                .map(Value::F64)
                .into(),
        ),
        Kind::Float => plain([f32::NAN, f32::INFINITY, f32::MIN].map(Value::F32).into()),
        Kind::Enum(_) => plain([i32::MIN, -1, 99, i32::MAX].map(Value::EnumNumber).into()),
        Kind::Message(of) if is_time(&of) => times(&of),
        Kind::Message(of) if depth < DEPTH && (into_records || of.name() != "Record") => {
            let there = message
                .has_field(field)
                .then(|| message.get_field(field).into_owned());
            let inner = match there {
                Some(Value::Message(inner)) => inner,
                Some(Value::List(list)) if !field.is_map() => match list.into_iter().next() {
                    Some(Value::Message(inner)) => inner,
                    _ => filling.fill(&of),
                },
                _ if field.is_map() => return Vec::new(),
                _ => filling.fill(&of),
            };
            let changed = extremes(&inner, filling, into_records, depth + 1).into_iter();
            changed
                .map(|(at, inner)| (format!(".{at}"), Value::Message(inner)))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn is_time(of: &MessageDescriptor) -> bool {
    ["google.protobuf.Timestamp", "google.protobuf.Duration"].contains(&of.full_name())
}

fn times(of: &MessageDescriptor) -> Vec<(String, Value)> {
    let exact = SECONDS.iter().map(|seconds| (*seconds, 0));
    let odd = SECONDS
        .iter()
        .flat_map(|seconds| NANOS.iter().map(|nanos| (*seconds, *nanos)));
    let times = exact.chain(odd).map(|(seconds, nanos)| {
        let mut time = DynamicMessage::new(of.clone());
        time.set_field_by_name("seconds", Value::I64(seconds));
        time.set_field_by_name("nanos", Value::I32(nanos));
        (format!(" {seconds} s {nanos} ns"), Value::Message(time))
    });
    times.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_or_time_of_any_request_is_an_error_of_ours() {
    let server = start_server_with_base().await;
    let filling = Filling::start(&server).await;
    let services = DESCRIPTORS.services();
    let ours = services.filter(|service| service.package_name() == "dateline.v1");
    let mut requests = Vec::new();
    for method in ours.flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let into_records = WITH_RECORDS.contains(&method.name());
        let mut filled = filling.fill(&method.input());
        if method.name() == "Watch" {
            // Only notifiers may set a maximum age.
            filled.set_field_by_name("consumer", Value::EnumNumber(2));
        }
        let changed = extremes(&filled, &filling, into_records, 0);
        for (at, request) in changed.into_iter().chain([(String::new(), filled)]) {
            requests.push((path.clone(), at, request));
        }
    }
    let number = requests.len();
    let (mut done, mut refused) = (0, 0);
    let mut wrong = Vec::new();
    let mut answers = stream::iter(requests)
        .map(|(path, at, request)| {
            let server = &server;
            async move { (ask(server, &path, &request).await, path, at) }
        })
        .buffer_unordered(8);
    while let Some((answer, path, at)) = answers.next().await {
        match answer {
            Ok(()) => done += 1,
            Err(status) => {
                let domain = status.get_details_error_info().map(|info| info.domain);
                let is_ours =
                    [Code::Internal, Code::Unknown, Code::Unavailable].contains(&status.code());
                if is_ours || domain.as_deref() != Some(DOMAIN) {
                    wrong.push(format!("{path} {at}: {status}"));
                }
                refused += 1;
            }
        }
    }
    drop(answers);
    assert!(
        wrong.is_empty(),
        "{} of {number}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{number} requests: {done} done, {refused} refused");
    // Most are refused; if none succeeded, the test reached nothing.
    assert!(
        number > 1500 && done > 100 && refused > 1000,
        "{number} {done} {refused}"
    );
    server.stop().await;
}
