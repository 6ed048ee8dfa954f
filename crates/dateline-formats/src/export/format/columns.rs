//! The columns of a table, derived from the schema of a kind, so that a new field is a new column. CSV and Parquet use
//! them.
//!
//! Fields of `meta` are columns beside those of the record, under their own names. Enums are lower-case words, as in
//! filters (`meeting`); unset values and empty texts are null.

use std::borrow::Cow;

use dateline_proto::{DESCRIPTORS, has_rule, v1::Kind};
use dateline_record::name::kind_label;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind as Type, MessageDescriptor, Value,
};
use prost_types::Timestamp;

/// The reason why a kind has no table.
#[derive(Debug, thiserror::Error)]
pub enum NoTable {
    /// Records of no kind.
    #[error("a table of no kind")]
    Kind,
    /// A field of the schema for which there is no column type.
    #[error("the field {0} fits no column")]
    Column(String),
}

/// A column, or a field of a structured column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// The field's own name.
    pub name: String,
    /// Type of its values.
    pub value_type: ColumnType,
    /// The message field that contains it (`meta`), if it is not a field of the record itself.
    inside: Option<FieldDescriptor>,
    field: FieldDescriptor,
}

/// Type of the values of a column.
#[derive(Debug, Clone)]
pub(super) enum ColumnType {
    /// Text; empty is null.
    Text,
    /// The word of an enum's value; unspecified is null.
    Word(EnumDescriptor),
    /// A 64-bit integer.
    Integer,
    /// A 32-bit integer.
    Small,
    /// A double.
    Number,
    /// A float.
    Single,
    /// A boolean.
    Flag,
    /// A timestamp in UTC.
    Time,
    /// An ISO day as text; empty is null.
    Day,
    /// A message with its fields.
    Group(Vec<Column>),
    /// A list.
    List(Box<ColumnType>),
}

/// The columns of a kind's table, in the order of the schema, with those of `meta` at the position of `meta`.
pub(super) fn columns(kind: Kind) -> Result<Vec<Column>, NoTable> {
    let name = kind_label(kind);
    let record = DESCRIPTORS.get_message_by_name("dateline.v1.Record");
    let field = record.and_then(|record| record.get_field_by_name(name));
    let Some(Type::Message(schema)) = field.map(|field| field.kind()) else {
        return Err(NoTable::Kind);
    };
    let mut columns = Vec::new();
    for column in fields(&schema)? {
        match column.value_type {
            ColumnType::Group(inner) if column.name == "meta" => {
                columns.extend(inner.into_iter().map(|inner| Column {
                    inside: Some(column.field.clone()),
                    ..inner
                }));
            }
            _ => columns.push(column),
        }
    }
    Ok(columns)
}

fn fields(schema: &MessageDescriptor) -> Result<Vec<Column>, NoTable> {
    // Numbers are in the order of the schema.
    let stored = schema
        .fields()
        .filter(|field| !has_rule(field, "input_only"));
    let fields = stored.map(|field| {
        Ok(Column {
            name: field.name().to_owned(),
            value_type: column_type(&field)?,
            inside: None,
            field,
        })
    });
    fields.collect()
}

fn column_type(field: &FieldDescriptor) -> Result<ColumnType, NoTable> {
    let one = match field.kind() {
        Type::String if is_day(field) => ColumnType::Day,
        Type::String => ColumnType::Text,
        Type::Enum(words) => ColumnType::Word(words),
        Type::Int64 | Type::Sint64 | Type::Sfixed64 => ColumnType::Integer,
        Type::Int32 | Type::Sint32 | Type::Sfixed32 => ColumnType::Small,
        Type::Double => ColumnType::Number,
        Type::Float => ColumnType::Single,
        Type::Bool => ColumnType::Flag,
        Type::Message(message) if message.full_name() == "google.protobuf.Timestamp" => {
            ColumnType::Time
        }
        Type::Message(message) if !field.is_map() => ColumnType::Group(fields(&message)?),
        _ => return Err(NoTable::Column(field.full_name().to_owned())),
    };
    Ok(if field.is_list() {
        ColumnType::List(Box::new(one))
    } else {
        one
    })
}

/// True for the bounds that the service computes for a fuzzy date.
fn is_day(field: &FieldDescriptor) -> bool {
    let name = field.full_name();
    name == "dateline.v1.FuzzyDate.earliest" || name == "dateline.v1.FuzzyDate.latest"
}

/// For rows that are made from their encoding.
#[cfg(feature = "parquet")]
impl Column {
    /// Number of its field.
    pub(super) fn number(&self) -> u32 {
        self.field.number()
    }

    /// True if it is null when it is not set.
    pub(super) fn has_presence(&self) -> bool {
        self.field.supports_presence()
    }

    /// Number of the message field that contains it, if it is not a field of the record itself.
    pub(super) fn inside_number(&self) -> Option<u32> {
        self.inside.as_ref().map(FieldDescriptor::number)
    }
}

impl Column {
    /// Its value in a message; `None` if it is not set.
    pub(super) fn value<'a>(&self, message: &'a DynamicMessage) -> Option<Cow<'a, Value>> {
        match &self.inside {
            None => value(message, &self.field),
            Some(inside) => match value(message, inside)? {
                Cow::Borrowed(Value::Message(inner)) => value(inner, &self.field),
                _ => None,
            },
        }
    }
}

fn value<'a>(message: &'a DynamicMessage, field: &FieldDescriptor) -> Option<Cow<'a, Value>> {
    let unset = field.supports_presence() && !message.has_field(field);
    (!unset).then(|| message.get_field(field))
}

/// The word of an enum's value: `meeting` for `TYPE_MEETING`, its number if the schema does not have it; `None` for the
/// unspecified value.
pub(super) fn word(words: &EnumDescriptor, number: i32) -> Option<String> {
    if number == 0 {
        return None;
    }
    let Some(known) = words.get_value(number) else {
        return Some(number.to_string());
    };
    let unspecified = words.default_value();
    let prefix = unspecified.name().trim_end_matches("UNSPECIFIED");
    let word = known.name().strip_prefix(prefix).unwrap_or(known.name());
    Some(word.to_ascii_lowercase())
}

/// Converts a reflected timestamp.
pub(super) fn timestamp(message: &DynamicMessage) -> Option<Timestamp> {
    let [seconds, nanos] = [1, 2].map(|number| message.get_field_by_number(number));
    Some(Timestamp {
        seconds: seconds?.as_i64()?,
        nanos: nanos?.as_i32()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dateline_record::name::KINDS;

    #[test]
    fn every_field_of_every_kind_is_a_column_and_names_are_unique() {
        for kind in KINDS {
            let columns = columns(kind).unwrap();
            let mut names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            assert_eq!(names[..3], ["name", "uid", "state"]);
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{kind:?}");
        }
    }

    #[test]
    fn words_are_those_that_filters_take() {
        let state = DESCRIPTORS.get_enum_by_name("dateline.v1.State").unwrap();
        assert_eq!(word(&state, 2).as_deref(), Some("in_review"));
        assert_eq!(word(&state, 0), None);
        assert_eq!(word(&state, 77).as_deref(), Some("77"));
    }
}
