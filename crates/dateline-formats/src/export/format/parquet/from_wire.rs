//! Rows from encoded records, without reflected messages in between. The values are those of [`Builder::append`] for the
//! decoded message; the encoding has to be canonical (`crate::wire::canonical_body`).

use std::str;

use dateline_record::wire::{WireFields, WireValue, low_half, varint};
use prost::Message as _;
use prost_types::Timestamp;

use super::super::columns::Column;
use super::builder::{Builder, Group, List, days, micros};

/// Appends a row of a message: a value or null to each of its columns, which are in the order of their numbers.
pub(super) fn append_message(columns: &mut [(Column, Builder)], bytes: &[u8]) {
    let mut fields = Fields::new(bytes);
    let mut rest = columns;
    while let Some(((first, _), _)) = rest.split_first() {
        // The columns of a message that is spread over its parent's columns, such as `meta`.
        let inside = first.inside_number();
        let end = rest
            .iter()
            .position(|(column, _)| column.inside_number() != inside);
        let (together, behind) = rest.split_at_mut(end.unwrap_or(rest.len()));
        rest = behind;
        match inside {
            None => append_fields(together, &mut fields),
            Some(number) => match fields.take(number) {
                Some(WireValue::Bytes(bytes)) => append_fields(together, &mut Fields::new(bytes)),
                _ => together
                    .iter_mut()
                    .for_each(|(_, builder)| builder.append(None)),
            },
        }
    }
}

fn append_fields(columns: &mut [(Column, Builder)], fields: &mut Fields) {
    for (column, builder) in columns {
        match builder {
            Builder::List(rows) => append_list(rows, fields, column.number()),
            builder => match fields.take(column.number()) {
                Some(value) => append_value(builder, value),
                None if column.has_presence() => builder.append(None),
                None => append_default(builder),
            },
        }
    }
}

fn append_list(rows: &mut List, fields: &mut Fields, number: u32) {
    let mut length = 0;
    while let Some(value) = fields.take(number) {
        match value {
            WireValue::Bytes(mut packed) if rows.elements.is_packable() => {
                while let Some(number) = varint(&mut packed) {
                    append_value(&mut rows.elements, WireValue::Varint(number));
                    length += 1;
                }
            }
            value => {
                append_value(&mut rows.elements, value);
                length += 1;
            }
        }
    }
    rows.lengths.push(length);
}

fn append_value(builder: &mut Builder, value: WireValue) {
    match (builder, value) {
        (Builder::Text(rows), WireValue::Bytes(bytes)) => rows.append_option(text(bytes)),
        (Builder::Word(words, rows), WireValue::Varint(number)) => {
            rows.append_option(words.word(low_half(number)));
        }
        (Builder::Integer(rows), WireValue::Varint(number)) => {
            rows.append_value(number.cast_signed());
        }
        (Builder::Small(rows), WireValue::Varint(number)) => rows.append_value(low_half(number)),
        (Builder::Flag(rows), WireValue::Varint(number)) => rows.append_value(number != 0),
        (Builder::Number(rows), WireValue::Fixed64(bits)) => {
            rows.append_value(f64::from_bits(bits));
        }
        (Builder::Single(rows), WireValue::Fixed32(bits)) => {
            rows.append_value(f32::from_bits(bits));
        }
        (Builder::Time(rows), WireValue::Bytes(bytes)) => {
            rows.append_option(Timestamp::decode(bytes).ok().as_ref().and_then(micros));
        }
        (Builder::Day(rows), WireValue::Bytes(bytes)) => {
            rows.append_option(text(bytes).and_then(days));
        }
        (Builder::Group(Group { parts, valid, .. }), WireValue::Bytes(bytes)) => {
            valid.append(true);
            append_message(parts, bytes);
        }
        // Not in a canonical encoding.
        (builder, _) => builder.append(None),
    }
}

/// Appends the value of a field that is not set and has no presence.
fn append_default(builder: &mut Builder) {
    match builder {
        Builder::Integer(rows) => rows.append_value(0),
        Builder::Small(rows) => rows.append_value(0),
        Builder::Number(rows) => rows.append_value(0.0),
        Builder::Single(rows) => rows.append_value(0.0),
        Builder::Flag(rows) => rows.append_value(false),
        builder => builder.append(None),
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// The fields of a message, taken in the order of their numbers.
struct Fields<'a> {
    fields: WireFields<'a>,
    next: Option<(u32, WireValue<'a>)>,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut fields = WireFields::new(bytes);
        let next = fields.next_field().flatten();
        Self { fields, next }
    }

    /// Takes the next value of a field, and skips fields with smaller numbers, which have no column.
    fn take(&mut self, number: u32) -> Option<WireValue<'a>> {
        while let Some((found, value)) = self.next {
            if found > number {
                return None;
            }
            self.next = self.fields.next_field().flatten();
            if found == number {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array, ArrayRef};
    use dateline_generate::RecordGenerator;
    use dateline_proto::v1::{Kind, Record, RecordMeta, State};
    use dateline_record::{encoded::EncodedRecord, name::KINDS};

    use super::{super::columns, *};
    use crate::wire;

    /// Every field of every kind.
    const FULL: [&str; 4] = [
        include_str!("../../../../../../tests/data/full_actor.json"),
        include_str!("../../../../../../tests/data/full_article.json"),
        include_str!("../../../../../../tests/data/full_event.json"),
        include_str!("../../../../../../tests/data/full_relation.json"),
    ];

    fn records() -> Vec<EncodedRecord> {
        let full = FULL.map(|text| crate::json::read::<Record>(text).unwrap());
        let meta = RecordMeta {
            state: State::Published.into(),
            ..RecordMeta::default()
        };
        let generated = RecordGenerator::new(5).take(300);
        let with_and_without_meta = generated.enumerate().map(|(number, mut record)| {
            let meta = (number % 2 == 0).then(|| meta.clone());
            record.kind.as_mut().unwrap().set_meta(meta);
            record
        });
        let empty = KINDS.map(|kind| {
            let field = u8::try_from(kind as u32).unwrap() << 3 | 2;
            EncodedRecord::from_bytes(vec![field, 0].into()).unwrap()
        });
        let encoded = full.into_iter().chain(with_and_without_meta);
        let encoded = encoded.map(|record| EncodedRecord::from_record(record).unwrap());
        encoded.chain(empty).collect()
    }

    fn table(kind: Kind, mut append: impl FnMut(&mut Vec<(Column, Builder)>)) -> Vec<ArrayRef> {
        let columns = columns(kind).unwrap().into_iter();
        let mut columns: Vec<_> = columns
            .map(|column| {
                let builder = Builder::new(&column.value_type);
                (column, builder)
            })
            .collect();
        append(&mut columns);
        let arrays = columns.iter_mut().map(|(_, builder)| builder.finish());
        arrays.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn e2_rows_of_encoded_records_are_those_of_decoded_ones() {
        let records = records();
        for kind in KINDS {
            let of_kind = || records.iter().filter(|record| record.kind() == kind);
            let read = table(kind, |columns| {
                for record in of_kind() {
                    let body = wire::canonical_body(record.bytes());
                    append_message(columns, body.expect("the encoding of prost is canonical"));
                }
            });
            let decoded = table(kind, |columns| {
                for record in of_kind() {
                    let document = record.body_document().unwrap();
                    for (column, builder) in columns.iter_mut() {
                        builder.append(column.value(document).as_deref());
                    }
                }
            });
            assert!(read[0].len() > 10);
            assert_eq!(read, decoded, "{kind:?}");
        }
    }

    #[test]
    fn e2_a_row_that_is_not_canonical_is_left_to_the_decoder() {
        assert!(wire::canonical_body(b"\x0a\x03\x0a\x01a").is_some());
        for record in [
            // The name twice, out of order, of another type, not UTF-8; two kinds; a wrong length.
            &b"\x0a\x06\x0a\x01a\x0a\x01b"[..],
            b"\x0a\x06\x1a\x01a\x0a\x01b",
            b"\x0a\x02\x08\x01",
            b"\x0a\x03\x0a\x01\xff",
            b"\x0a\x00\x12\x00",
            b"\x0a\x03\x0a\x05a",
        ] {
            assert_eq!(wire::canonical_body(record), None, "{record:?}");
        }
    }
}
