//! The shape of the messages that make up a record, taken from the schema once.

use std::{collections::HashMap, sync::LazyLock};

use dateline_proto::DESCRIPTORS;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

/// The shapes of `Record` and of all messages in it.
pub(crate) static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    let mut shapes = Shapes::default();
    if let Some(record) = DESCRIPTORS.get_message_by_name("dateline.v1.Record") {
        shapes.add(&record);
    }
    shapes
});

/// Shapes of messages; the first is that of `Record`.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    messages: Vec<MessageShape>,
    by_name: HashMap<String, usize>,
}

/// The fields of a message, in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct MessageShape {
    pub fields: Vec<FieldShape>,
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct FieldShape {
    pub number: u32,
    /// Its name in JSON, in quotes and with a colon.
    pub key: Box<[u8]>,
    pub value: ValueShape,
    pub is_list: bool,
    /// True if it may be set to its default, so that it is written then.
    pub has_presence: bool,
    /// True if it shares a `oneof` with other fields.
    pub is_alternative: bool,
}

/// The type of a field's value.
#[derive(Debug)]
pub(crate) enum ValueShape {
    Text,
    Flag,
    /// A signed integer of 32 bits.
    Small,
    /// A signed integer of 64 bits.
    Integer,
    Double,
    Float,
    /// An enum: the names of its values in quotes, by number.
    Word(HashMap<i32, Box<[u8]>>),
    Time,
    /// A message, by its index.
    Message(usize),
    /// A type that no record has today.
    Other,
}

impl Shapes {
    /// Returns the shape of `Record`.
    pub(crate) fn record(&self) -> Option<&MessageShape> {
        self.messages.first()
    }

    /// Returns the shape of a message in a field.
    pub(crate) fn message(&self, index: usize) -> Option<&MessageShape> {
        self.messages.get(index)
    }

    fn add(&mut self, message: &MessageDescriptor) -> usize {
        if let Some(known) = self.by_name.get(message.full_name()) {
            return *known;
        }
        let index = self.messages.len();
        self.by_name.insert(message.full_name().to_owned(), index);
        self.messages.push(MessageShape::default());
        let mut fields: Vec<_> = message.fields().map(|field| self.field(&field)).collect();
        fields.sort_by_key(|field| field.number);
        self.messages[index].fields = fields;
        index
    }

    fn field(&mut self, field: &FieldDescriptor) -> FieldShape {
        let value = match field.kind() {
            _ if field.is_map() || field.is_group() => ValueShape::Other,
            Kind::String => ValueShape::Text,
            Kind::Bool => ValueShape::Flag,
            Kind::Int32 => ValueShape::Small,
            Kind::Int64 => ValueShape::Integer,
            Kind::Double => ValueShape::Double,
            Kind::Float => ValueShape::Float,
            Kind::Enum(words) => ValueShape::Word(names(&words)),
            Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => {
                ValueShape::Time
            }
            Kind::Message(message) if !message.full_name().starts_with("google.protobuf.") => {
                ValueShape::Message(self.add(&message))
            }
            _ => ValueShape::Other,
        };
        FieldShape {
            number: field.number(),
            key: format!("\"{}\":", field.json_name()).into_bytes().into(),
            value,
            is_list: field.cardinality() == Cardinality::Repeated,
            has_presence: field.supports_presence(),
            is_alternative: field
                .containing_oneof()
                .is_some_and(|it| !it.is_synthetic()),
        }
    }
}

fn names(words: &EnumDescriptor) -> HashMap<i32, Box<[u8]>> {
    // `get_value` decides which of several names of a number is used.
    let numbers = words.values().map(|value| value.number());
    numbers
        .filter_map(|number| {
            let name = words.get_value(number)?.name().to_owned();
            Some((number, format!("\"{name}\"").into_bytes().into()))
        })
        .collect()
}
