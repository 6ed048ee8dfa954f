//! Converts reflected values to Arrow columns: one builder per column, nested like its type.

use std::{borrow::Cow, collections::HashMap, mem, sync::Arc};

use arrow_array::{
    ArrayRef, ListArray, StructArray,
    builder::{
        ArrayBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int32Builder,
        Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
    },
};
use arrow_buffer::{NullBufferBuilder, OffsetBufferBuilder};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, TimeUnit};
use prost_reflect::{DynamicMessage, EnumDescriptor, Value};
use prost_types::Timestamp;
use time::{Date, macros::format_description};

use super::super::columns::{Column, ColumnType, timestamp, word};

/// The Unix epoch, from which Arrow counts days.
const EPOCH: Date = time::macros::date!(1970 - 01 - 01);

/// Arrow fields of columns.
pub(super) fn fields(columns: &[Column]) -> Fields {
    let field = |column: &Column| Field::new(&column.name, data_type(&column.value_type), true);
    columns.iter().map(field).collect()
}

fn data_type(column_type: &ColumnType) -> DataType {
    match column_type {
        ColumnType::Text | ColumnType::Word(_) => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Small => DataType::Int32,
        ColumnType::Number => DataType::Float64,
        ColumnType::Single => DataType::Float32,
        ColumnType::Flag => DataType::Boolean,
        ColumnType::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Day => DataType::Date32,
        ColumnType::Group(columns) => DataType::Struct(fields(columns)),
        ColumnType::List(element) => DataType::List(element_field(element)),
    }
}

/// The element field of a list, with the name from the Parquet standard.
fn element_field(element: &ColumnType) -> FieldRef {
    Arc::new(Field::new("element", data_type(element), true))
}

/// Collects the values of a column, row by row.
pub(super) enum Builder {
    Text(StringBuilder),
    Word(Words, StringBuilder),
    Integer(Int64Builder),
    Small(Int32Builder),
    Number(Float64Builder),
    Single(Float32Builder),
    Flag(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    Day(Date32Builder),
    Group(Group),
    List(List),
}

/// The words of an enum, each made once.
pub(super) struct Words {
    words: EnumDescriptor,
    known: HashMap<i32, Option<String>>,
}

impl Words {
    fn new(words: &EnumDescriptor) -> Self {
        Self {
            words: words.clone(),
            known: HashMap::new(),
        }
    }

    /// The word of a value; `None` for the unspecified one. Only words of the schema are kept.
    pub(super) fn word(&mut self, number: i32) -> Option<Cow<'_, str>> {
        if self.words.get_value(number).is_none() {
            return word(&self.words, number).map(Cow::Owned);
        }
        let known = self.known.entry(number);
        let known = known.or_insert_with(|| word(&self.words, number));
        known.as_deref().map(Cow::Borrowed)
    }
}

/// Builder of structs: the fields, and the validity of each row.
pub(super) struct Group {
    fields: Fields,
    pub(super) parts: Vec<(Column, Builder)>,
    pub(super) valid: NullBufferBuilder,
}

/// Builder of lists: all elements in sequence, and the number in each row.
pub(super) struct List {
    field: FieldRef,
    pub(super) lengths: Vec<usize>,
    pub(super) elements: Box<Builder>,
}

impl Builder {
    /// A builder without rows.
    pub(super) fn new(column_type: &ColumnType) -> Self {
        match column_type {
            ColumnType::Text => Builder::Text(StringBuilder::new()),
            ColumnType::Word(words) => Builder::Word(Words::new(words), StringBuilder::new()),
            ColumnType::Integer => Builder::Integer(Int64Builder::new()),
            ColumnType::Small => Builder::Small(Int32Builder::new()),
            ColumnType::Number => Builder::Number(Float64Builder::new()),
            ColumnType::Single => Builder::Single(Float32Builder::new()),
            ColumnType::Flag => Builder::Flag(BooleanBuilder::new()),
            ColumnType::Time => Builder::Time(
                TimestampMicrosecondBuilder::new().with_data_type(data_type(column_type)),
            ),
            ColumnType::Day => Builder::Day(Date32Builder::new()),
            ColumnType::Group(columns) => Builder::Group(Group::new(columns)),
            ColumnType::List(element) => Builder::List(List {
                field: element_field(element),
                lengths: Vec::new(),
                elements: Box::new(Builder::new(element)),
            }),
        }
    }

    /// Appends a row; null if there is no value or an empty one.
    pub(super) fn append(&mut self, value: Option<&Value>) {
        match self {
            Builder::Text(rows) => rows.append_option(text(value)),
            Builder::Word(words, rows) => {
                let number = value.and_then(Value::as_enum_number);
                rows.append_option(number.and_then(|number| words.word(number)));
            }
            Builder::Integer(rows) => rows.append_option(value.and_then(Value::as_i64)),
            Builder::Small(rows) => rows.append_option(value.and_then(Value::as_i32)),
            Builder::Number(rows) => rows.append_option(value.and_then(Value::as_f64)),
            Builder::Single(rows) => rows.append_option(value.and_then(Value::as_f32)),
            Builder::Flag(rows) => rows.append_option(value.and_then(Value::as_bool)),
            Builder::Time(rows) => {
                let time = value.and_then(Value::as_message).and_then(timestamp);
                rows.append_option(time.as_ref().and_then(micros));
            }
            Builder::Day(rows) => rows.append_option(text(value).and_then(days)),
            Builder::Group(rows) => rows.append(value.and_then(Value::as_message)),
            Builder::List(rows) => rows.append(value.and_then(Value::as_list).unwrap_or_default()),
        }
    }

    /// True if the values of a list may be encoded without keys between them.
    pub(super) fn is_packable(&self) -> bool {
        matches!(
            self,
            Builder::Word(..) | Builder::Integer(_) | Builder::Small(_) | Builder::Flag(_)
        )
    }

    /// Returns the column, and resets the builder.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Builder::Text(rows) | Builder::Word(_, rows) => ArrayBuilder::finish(rows),
            Builder::Integer(rows) => ArrayBuilder::finish(rows),
            Builder::Small(rows) => ArrayBuilder::finish(rows),
            Builder::Number(rows) => ArrayBuilder::finish(rows),
            Builder::Single(rows) => ArrayBuilder::finish(rows),
            Builder::Flag(rows) => ArrayBuilder::finish(rows),
            Builder::Time(rows) => ArrayBuilder::finish(rows),
            Builder::Day(rows) => ArrayBuilder::finish(rows),
            Builder::Group(rows) => Arc::new(rows.finish()?),
            Builder::List(rows) => Arc::new(rows.finish()?),
        })
    }
}

impl Group {
    fn new(columns: &[Column]) -> Self {
        let part = |column: &Column| (column.clone(), Builder::new(&column.value_type));
        Self {
            fields: fields(columns),
            parts: columns.iter().map(part).collect(),
            valid: NullBufferBuilder::new(0),
        }
    }

    fn append(&mut self, message: Option<&DynamicMessage>) {
        self.valid.append(message.is_some());
        for (column, builder) in &mut self.parts {
            let value = message.and_then(|message| column.value(message));
            builder.append(value.as_deref());
        }
    }

    fn finish(&mut self) -> Result<StructArray, ArrowError> {
        let length = self.valid.len();
        let parts = self.parts.iter_mut().map(|(_, builder)| builder.finish());
        let parts = parts.collect::<Result<_, _>>()?;
        StructArray::try_new_with_length(self.fields.clone(), parts, self.valid.finish(), length)
    }
}

impl List {
    fn append(&mut self, elements: &[Value]) {
        self.lengths.push(elements.len());
        for element in elements {
            self.elements.append(Some(element));
        }
    }

    fn finish(&mut self) -> Result<ListArray, ArrowError> {
        let mut offsets = OffsetBufferBuilder::<i32>::new(self.lengths.len());
        for length in mem::take(&mut self.lengths) {
            offsets.push_length(length);
        }
        let offsets = offsets
            .try_finish()
            .map_err(|error| ArrowError::ComputeError(error.to_string()))?;
        ListArray::try_new(self.field.clone(), offsets, self.elements.finish()?, None)
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// Microseconds from the epoch.
pub(super) fn micros(time: &Timestamp) -> Option<i64> {
    let whole = time.seconds.checked_mul(1_000_000)?;
    whole.checked_add(i64::from(time.nanos) / 1_000)
}

/// Days from the epoch to an ISO day.
pub(super) fn days(iso: &str) -> Option<i32> {
    let day = Date::parse(iso, format_description!("[year]-[month]-[day]")).ok()?;
    Some(day.to_julian_day() - EPOCH.to_julian_day())
}
