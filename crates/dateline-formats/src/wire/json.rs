//! Canonical proto-JSON of an encoded record, equal to that of the decoded message ([`crate::json`]) byte for byte.

use std::{io::Write as _, str};

use dateline_record::wire::{WireFields, WireValue, low_half, varint};
use prost::Message as _;
use prost_types::Timestamp;

use super::{FieldShape, MessageShape, SHAPES, ValueShape};

/// Deepest nesting of messages; records have less.
const MAX_DEPTH: usize = 16;
/// Seconds of the years 1 to 9999, the times that JSON can have.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Appends a record as JSON. Returns false, and appends nothing, if its encoding is not canonical.
pub(crate) fn write_record(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let written = SHAPES
        .record()
        .and_then(|shape| message(shape, bytes, 0, out));
    if written.is_none() {
        out.truncate(start);
    }
    written.is_some()
}

fn message(shape: &MessageShape, bytes: &[u8], depth: usize, out: &mut Vec<u8>) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut fields = WireFields::new(bytes);
    let mut known = shape.fields.iter().peekable();
    let mut open: Option<&FieldShape> = None;
    let (mut is_first, mut has_alternative) = (true, false);
    out.push(b'{');
    while let Some((number, value)) = fields.next_field()? {
        if let Some(list) = open.filter(|list| list.number == number) {
            out.push(b',');
            elements(list, value, depth, out)?;
            continue;
        }
        if open.take().is_some() {
            out.push(b']');
        }
        while known.next_if(|field| field.number < number).is_some() {}
        let Some(field) = known.next_if(|field| field.number == number) else {
            // Of a newer schema, or for the second time.
            if shape.fields.iter().any(|field| field.number == number) {
                return None;
            }
            continue;
        };
        if field.is_alternative && std::mem::replace(&mut has_alternative, true) {
            return None;
        }
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        out.extend_from_slice(&field.key);
        if field.is_list {
            out.push(b'[');
            open = Some(field);
            elements(field, value, depth, out)?;
        } else {
            let is_default = single(field, value, depth, out)?;
            if is_default && !field.has_presence {
                return None;
            }
        }
    }
    if open.is_some() {
        out.push(b']');
    }
    out.push(b'}');
    Some(())
}

/// Appends an element of a list, or all elements of a packed list.
fn elements(field: &FieldShape, value: WireValue, depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let is_packed = matches!(value, WireValue::Bytes(_))
        && matches!(
            field.value,
            ValueShape::Flag | ValueShape::Small | ValueShape::Integer | ValueShape::Word(_)
        );
    let WireValue::Bytes(mut packed) = value else {
        return single(field, value, depth, out).map(drop);
    };
    if !is_packed {
        return single(field, value, depth, out).map(drop);
    }
    if packed.is_empty() {
        return None;
    }
    loop {
        let number = varint(&mut packed)?;
        single(field, WireValue::Varint(number), depth, out)?;
        if packed.is_empty() {
            return Some(());
        }
        out.push(b',');
    }
}

/// Appends one value; returns true if it is the default of its type.
fn single(field: &FieldShape, value: WireValue, depth: usize, out: &mut Vec<u8>) -> Option<bool> {
    match (&field.value, value) {
        (ValueShape::Text, WireValue::Bytes(bytes)) => {
            let text = str::from_utf8(bytes).ok()?;
            serde_json::to_writer(&mut *out, text).ok()?;
            Some(text.is_empty())
        }
        (ValueShape::Flag, WireValue::Varint(number)) => {
            let text: &[u8] = if number == 0 { b"false" } else { b"true" };
            out.extend_from_slice(text);
            Some(number == 0)
        }
        (ValueShape::Small, WireValue::Varint(number)) => {
            let number = low_half(number);
            write!(out, "{number}").ok()?;
            Some(number == 0)
        }
        (ValueShape::Integer, WireValue::Varint(number)) => {
            write!(out, "\"{}\"", number.cast_signed()).ok()?;
            Some(number == 0)
        }
        (ValueShape::Word(names), WireValue::Varint(number)) => {
            let number = low_half(number);
            match names.get(&number) {
                Some(name) => out.extend_from_slice(name),
                None => write!(out, "{number}").ok()?,
            }
            Some(number == 0)
        }
        (ValueShape::Double, WireValue::Fixed64(bits)) => {
            let number = f64::from_bits(bits);
            finite(number.is_finite(), &number, out)?;
            Some(bits == 0)
        }
        (ValueShape::Float, WireValue::Fixed32(bits)) => {
            let number = f32::from_bits(bits);
            finite(number.is_finite(), &number, out)?;
            Some(bits == 0)
        }
        (ValueShape::Time, WireValue::Bytes(bytes)) => {
            let time = Timestamp::decode(bytes).ok()?;
            let is_valid =
                SECONDS.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
            write!(out, "\"{}\"", is_valid.then_some(time)?).ok()?;
            Some(false)
        }
        (ValueShape::Message(index), WireValue::Bytes(bytes)) => {
            message(SHAPES.message(*index)?, bytes, depth + 1, out)?;
            Some(false)
        }
        _ => None,
    }
}

/// Appends a number; words for other than finite numbers are left to the decoded message.
fn finite(is_finite: bool, number: &impl serde::Serialize, out: &mut Vec<u8>) -> Option<()> {
    is_finite.then_some(())?;
    serde_json::to_writer(&mut *out, number).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use dateline_generate::RecordGenerator;
    use dateline_proto::v1::{Record, RecordMeta, State};
    use dateline_record::encoded::EncodedRecord;
    use proptest::prelude::*;
    use serde::Serialize as _;

    use super::*;

    /// Every field of every kind.
    const FULL: [&str; 4] = [
        include_str!("../../../../tests/data/full_actor.json"),
        include_str!("../../../../tests/data/full_article.json"),
        include_str!("../../../../tests/data/full_event.json"),
        include_str!("../../../../tests/data/full_relation.json"),
    ];

    fn full() -> impl Iterator<Item = Record> {
        FULL.into_iter()
            .map(|text| crate::json::read(text).unwrap())
    }

    /// The form that `prost-reflect` writes.
    fn reflected(bytes: &[u8]) -> Option<Vec<u8>> {
        let record = EncodedRecord::from_bytes(Bytes::copy_from_slice(bytes)).ok()?;
        let mut out = Vec::new();
        let document = record.document().ok()?;
        let written = document.serialize(&mut serde_json::Serializer::new(&mut out));
        written.ok().map(|()| out)
    }

    fn direct(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        let is_written = write_record(bytes, &mut out);
        let added = out.split_off(6);
        assert!(is_written || added.is_empty());
        is_written.then_some(added)
    }

    #[test]
    fn e2_every_record_is_written_as_its_decoded_message_is() {
        let meta = RecordMeta {
            uid: "0190a4b2-0000-7000-8000-000000000000".into(),
            state: State::Published.into(),
            revision: i64::MAX,
            create_time: Some(Timestamp {
                seconds: 1_700_000_000,
                nanos: 120_000,
            }),
            embargo_time: Some(Timestamp::default()),
            sequence: 7,
            ..RecordMeta::default()
        };
        let generated = RecordGenerator::new(3).take(300).map(|mut record| {
            record.kind.as_mut().unwrap().set_meta(Some(meta.clone()));
            record
        });
        for record in full().chain(generated) {
            let bytes = record.encode_to_vec();
            let written = direct(&bytes).expect("the encoding of prost is canonical");
            assert_eq!(Some(written), reflected(&bytes));
        }
    }

    #[test]
    fn e2_what_is_not_canonical_is_left_to_the_decoded_message() {
        let record = |inner: &[u8]| {
            let mut bytes = vec![0x0a, u8::try_from(inner.len()).unwrap()];
            bytes.extend_from_slice(inner);
            bytes
        };
        assert!(direct(&record(b"\x0a\x01a")).is_some());
        for inner in [
            // The name twice, out of order, of another type, not UTF-8; an empty one; a wrong length.
            &b"\x0a\x01a\x0a\x01b"[..],
            b"\x1a\x01a\x0a\x01b",
            b"\x08\x01",
            b"\x0a\x01\xff",
            b"\x0a\x00",
            b"\x0a\x05a",
        ] {
            assert_eq!(direct(&record(inner)), None, "{inner:?}");
        }
        // Two kinds in one record.
        let two = [record(b"\x0a\x01a"), vec![0x12, 0x00]].concat();
        assert_eq!(direct(&two), None);
    }

    proptest! {
        #[test]
        fn e2_no_bytes_are_written_otherwise(at in any::<prop::sample::Index>(), byte: u8, which in 0..4_usize) {
            let mut bytes = full().nth(which).unwrap().encode_to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(written) = direct(&bytes) {
                prop_assert_eq!(Some(written), reflected(&bytes));
            }
        }
    }
}
