//! Checks the encoding of a record before any of it is used.

use std::str;

use dateline_record::wire::{WireFields, WireValue, varint};

use super::{FieldShape, MessageShape, SHAPES, ValueShape};

/// Deepest nesting of messages; records have less.
const MAX_DEPTH: usize = 16;

/// Returns the encoded message of a record's kind, if the record holds one and all of it is canonically encoded.
pub(crate) fn canonical_body(record: &[u8]) -> Option<&[u8]> {
    let mut fields = WireFields::new(record);
    let (number, WireValue::Bytes(body)) = fields.next_field()?? else {
        return None;
    };
    let kind = SHAPES
        .record()?
        .fields
        .iter()
        .find(|it| it.number == number)?;
    let ValueShape::Message(index) = kind.value else {
        return None;
    };
    fields.next_field()?.is_none().then_some(())?;
    check_message(SHAPES.message(index)?, body, 0)?;
    Some(body)
}

/// Checks that fields are in order, each once and of its type.
fn check_message(shape: &MessageShape, bytes: &[u8], depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut fields = WireFields::new(bytes);
    let mut known = shape.fields.iter().peekable();
    let mut last = 0;
    while let Some((number, value)) = fields.next_field()? {
        while known.next_if(|field| field.number < number).is_some() {}
        let Some(field) = known.peek().filter(|field| field.number == number) else {
            continue;
        };
        let is_again = std::mem::replace(&mut last, number) == number;
        if (is_again && !field.is_list) || field.is_alternative {
            return None;
        }
        check_value(field, value, depth)?;
    }
    Some(())
}

fn check_value(field: &FieldShape, value: WireValue, depth: usize) -> Option<()> {
    let is_right = match (&field.value, value) {
        (ValueShape::Text, WireValue::Bytes(bytes)) => str::from_utf8(bytes).is_ok(),
        (
            ValueShape::Flag | ValueShape::Small | ValueShape::Integer | ValueShape::Word(_),
            WireValue::Varint(_),
        )
        | (ValueShape::Double, WireValue::Fixed64(_))
        | (ValueShape::Float, WireValue::Fixed32(_)) => true,
        (
            ValueShape::Flag | ValueShape::Small | ValueShape::Integer | ValueShape::Word(_),
            WireValue::Bytes(mut packed),
        ) if field.is_list => {
            while !packed.is_empty() {
                varint(&mut packed)?;
            }
            true
        }
        (ValueShape::Time, WireValue::Bytes(bytes)) => is_time(bytes),
        (ValueShape::Message(index), WireValue::Bytes(bytes)) => {
            check_message(SHAPES.message(*index)?, bytes, depth + 1)?;
            true
        }
        _ => false,
    };
    is_right.then_some(())
}

fn is_time(bytes: &[u8]) -> bool {
    let mut fields = WireFields::new(bytes);
    loop {
        match fields.next_field() {
            Some(None) => return true,
            Some(Some((_, WireValue::Varint(_)))) => {}
            _ => return false,
        }
    }
}
