//! Estimates the decoded size of a message from its wire bytes, and detects messages that would expand out of
//! proportion. Two bytes can encode an empty element of a list, which takes some hundred bytes in memory: 4 MB of them
//! would become gigabytes (#9 of the second catalogue of bad input). Ordinary requests stay far below the limit,
//! whatever their lists hold; validation limits the length of lists, with a clear error.

use std::{collections::HashMap, sync::LazyLock};

use dateline_proto::DESCRIPTORS;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// Messages up to this size are not checked: they cannot expand to much.
const SMALL_BYTES: usize = 16 * 1024;
/// The decoded size may be this many times the wire size …
const MAX_GROWTH: usize = 8;
/// … plus this, which a thousand small writes need.
const ALLOWANCE_BYTES: usize = 8 * 1024 * 1024;
/// More than the decoder's own recursion limit.
const MAX_DEPTH: usize = 100;

/// Size of a `String` or a `Vec`, without its content.
const HANDLE_BYTES: usize = 24;
/// Size of a number, or of the discriminant of an optional value.
const WORD_BYTES: usize = 8;

/// Returns true if the decoded message would take memory out of proportion to its wire bytes. Bytes that cannot be
/// decoded count as nothing: the decoder rejects them.
#[must_use]
pub fn exceeds_decoded_size(message: &MessageDescriptor, bytes: &[u8]) -> bool {
    if bytes.len() <= SMALL_BYTES {
        return false;
    }
    let limit = bytes.len() * MAX_GROWTH + ALLOWANCE_BYTES;
    let mut estimate = SizeEstimate { weight: 0, limit };
    estimate.add(message, bytes, 0);
    estimate.weight > limit
}

struct SizeEstimate {
    weight: usize,
    limit: usize,
}

impl SizeEstimate {
    /// Adds the sizes of the list elements inside a message. `None` if the bytes are not a message, or once the limit
    /// is exceeded.
    fn add(&mut self, message: &MessageDescriptor, mut bytes: &[u8], depth: usize) -> Option<()> {
        while !bytes.is_empty() && self.weight <= self.limit && depth < MAX_DEPTH {
            let (number, wire_type) = decode_key(&mut bytes).ok()?;
            let length = match wire_type {
                WireType::Varint => {
                    decode_varint(&mut bytes).ok()?;
                    0
                }
                WireType::SixtyFourBit => 8,
                WireType::ThirtyTwoBit => 4,
                WireType::LengthDelimited => {
                    usize::try_from(decode_varint(&mut bytes).ok()?).ok()?
                }
                WireType::StartGroup => {
                    // No field of the schema is a group: the decoder skips it and keeps nothing.
                    skip_field(wire_type, number, &mut bytes, DecodeContext::default()).ok()?;
                    continue;
                }
                WireType::EndGroup => return None,
            };
            let (value, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            if let Some(field) = message.get_field(number) {
                self.add_field(&field, value, depth)?;
            }
        }
        Some(())
    }

    fn add_field(&mut self, field: &FieldDescriptor, value: &[u8], depth: usize) -> Option<()> {
        if field.is_list() {
            // A list that grows by one element has up to twice the capacity that it needs.
            self.weight += 2 * element_bytes(field);
        }
        if let Kind::Message(inner) = field.kind() {
            return self.add(&inner, value, depth + 1);
        }
        self.weight += value.len();
        Some(())
    }
}

/// Returns the inline size of one value, without the heap memory that it points to.
fn element_bytes(field: &FieldDescriptor) -> usize {
    match field.kind() {
        Kind::Message(inner) => SIZES
            .get(inner.full_name())
            .copied()
            .unwrap_or(HANDLE_BYTES),
        Kind::String | Kind::Bytes => HANDLE_BYTES,
        _ => WORD_BYTES,
    }
}

/// The approximate `size_of` of each message of the schema, by full name.
static SIZES: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    DESCRIPTORS
        .all_messages()
        .filter(|message| message.package_name() == "dateline.v1")
        .map(|message| (message.full_name().to_owned(), size(&message, 0)))
        .collect()
});

fn size(message: &MessageDescriptor, depth: usize) -> usize {
    let of = |field: &FieldDescriptor| match field.kind() {
        _ if field.is_list() || field.is_map() => HANDLE_BYTES,
        Kind::Message(inner) if depth < MAX_DEPTH => WORD_BYTES + size(&inner, depth + 1),
        Kind::String | Kind::Bytes => HANDLE_BYTES,
        _ => WORD_BYTES,
    };
    let fields = message
        .fields()
        .filter(|field| field.containing_oneof().is_none())
        .map(|field| of(&field));
    let oneofs = message.oneofs().map(|oneof| {
        let largest = oneof.fields().map(|field| of(&field)).max();
        WORD_BYTES + largest.unwrap_or_default()
    });
    fields.chain(oneofs).sum()
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_reflect::ReflectMessage;

    use super::*;
    use dateline_proto::v1::{self, CommitRequest, RecordVersion, Write, write};

    fn bloated(request: &CommitRequest) -> bool {
        exceeds_decoded_size(&request.descriptor(), &request.encode_to_vec())
    }

    #[test]
    fn a_flood_of_empty_elements_is_bloated_at_any_depth() {
        let writes = vec![Write::default(); 20_000];
        let flood = CommitRequest {
            writes,
            ..CommitRequest::default()
        };
        assert!(bloated(&flood));
        let mentions = vec![v1::Mention::default(); 1_000_000];
        let article = v1::Article {
            mentions,
            ..v1::Article::default()
        };
        let record = Some(v1::record::Kind::Article(article).into());
        let create = write::Action::Create(write::Create {
            record,
            original: Vec::new(),
        });
        let deep = CommitRequest {
            writes: vec![Write {
                action: Some(create),
            }],
            ..CommitRequest::default()
        };
        assert!(bloated(&deep));
    }

    #[test]
    fn a_flood_behind_a_group_that_nobody_knows_is_bloated_too() {
        let descriptor = CommitRequest::default().descriptor();
        // Field 1000 as an empty group, which the decoder skips.
        let group = b"\xc3\x3e\xc4\x3e";
        let flood = [&group[..], &b"\x0a\x00".repeat(1_000_000)].concat();
        assert!(exceeds_decoded_size(&descriptor, &flood));
        let empty = [&group[..], &[0x0a, 0x00]].concat();
        assert_eq!(
            CommitRequest::decode(&empty[..]).unwrap().writes.len(),
            1,
            "the decoder goes on behind it"
        );
    }

    #[test]
    fn thousand_small_writes_and_one_long_text_are_not() {
        let delete = write::Action::Delete(RecordVersion {
            name: "actors/a".to_owned(),
            etag: "1".to_owned(),
        });
        let write = Write {
            action: Some(delete),
        };
        let many = CommitRequest {
            writes: vec![write; 1000],
            ..CommitRequest::default()
        };
        assert!(!bloated(&many));
        let long = CommitRequest {
            request_id: "a".repeat(4_000_000),
            ..CommitRequest::default()
        };
        assert!(!bloated(&long));
    }

    #[test]
    fn sizes_are_about_those_of_the_messages() {
        for (name, bytes) in [
            ("Write", size_of::<Write>()),
            ("Record", size_of::<v1::Record>()),
            ("Mention", size_of::<v1::Mention>()),
            ("Evidence", size_of::<v1::Evidence>()),
        ] {
            let estimated = SIZES[&format!("dateline.v1.{name}")];
            assert!(
                estimated >= bytes / 2 && estimated <= bytes * 2,
                "{name}: {estimated}, {bytes}"
            );
        }
    }
}
