//! CSV: one flat table per kind, for spreadsheets. A column per field of the schema, `time.start.edtf`; the
//! fields of a list's elements are columns of their own, their values parted by `; ` in the order of the
//! elements (`participants.actor`, `participants.role`), those of a list within a list by ` | `. A cell whose
//! value itself holds such a separator cannot be read back for certain and is counted as a loss.
//!
//! **Formulas.** Spreadsheets run what begins with `=`, `+`, `-`, `@`, a tab or a carriage return. Such texts
//! get an apostrophe before them; numbers do not. A tombstone is a row of a name and what `meta` says.

use ::csv::WriterBuilder;
use prost_reflect::{DynamicMessage, Value};

use super::{
    Actors, Encoder, Error, Losses, check_kind,
    columns::{Column, Shape, columns, timestamp, word},
};
use crate::{
    model::{encoded::Encoded, name::collection},
    proto::v1::Kind,
};

/// What parts the elements of a list, and those of a list within a list.
const SEPARATORS: [&str; 2] = ["; ", " | "];

/// Encoder of one file.
pub(super) struct Csv {
    kind: Kind,
    leaves: Vec<Leaf>,
}

/// A column of the table: where its values are in a record.
struct Leaf {
    name: String,
    steps: Vec<Column>,
}

impl Csv {
    /// For records of a kind.
    pub(super) fn new(kind: Kind) -> Self {
        let leaves = Vec::new();
        Self { kind, leaves }
    }

    /// Before the first row, the names of the columns.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.leaves.is_empty() {
            for column in columns(self.kind)? {
                add_leaves(&[], &column, &mut self.leaves);
            }
            write_row(self.leaves.iter().map(|leaf| leaf.name.as_str()), out)?;
        }
        Ok(())
    }
}

impl Encoder for Csv {
    fn write(
        &mut self,
        record: &Encoded,
        _actors: &Actors,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.begin(out)?;
        check_kind(record, self.kind)?;
        let document = record.body_document()?;
        let collection = collection(self.kind);
        let cells = self.leaves.iter().map(|leaf| {
            let mut cell = Cell::default();
            cell.visit(&leaf.steps, document, 0);
            if cell.ambiguous {
                losses.add(&format!("{collection}.{}", leaf.name), 1);
            }
            cell.finish()
        });
        write_row(cells, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.begin(out)
    }
}

fn write_row<Text: AsRef<[u8]>>(
    cells: impl Iterator<Item = Text>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut writer = WriterBuilder::new().from_writer(out);
    writer.write_record(cells)?;
    Ok(writer.flush().map_err(::csv::Error::from)?)
}

fn add_leaves(above: &[Column], column: &Column, leaves: &mut Vec<Leaf>) {
    let mut steps = above.to_vec();
    steps.push(column.clone());
    let inner = match &column.shape {
        Shape::List(element) => element,
        other => other,
    };
    if let Shape::Group(parts) = inner {
        for part in parts {
            add_leaves(&steps, part, leaves);
        }
    } else {
        let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
        let name = names.join(".");
        leaves.push(Leaf { name, steps });
    }
}

/// What is written into one cell.
#[derive(Default)]
struct Cell {
    text: String,
    /// A number stands alone, so it is not taken for a formula.
    is_number: bool,
    ambiguous: bool,
}

impl Cell {
    /// Goes down the steps, through lists of lists `depth` deep so far.
    fn visit(&mut self, steps: &[Column], message: &DynamicMessage, depth: usize) {
        let Some((step, rest)) = steps.split_first() else {
            return;
        };
        let Some(value) = step.value(message) else {
            return;
        };
        match (&step.shape, value.as_ref()) {
            (Shape::List(element), Value::List(elements)) => {
                self.list(element, rest, elements, depth);
            }
            (shape, value) => self.one(shape, rest, value, depth),
        }
    }

    fn list(&mut self, element: &Shape, rest: &[Column], elements: &[Value], depth: usize) {
        let separator = SEPARATORS[depth.min(SEPARATORS.len() - 1)];
        let mut parts = Vec::with_capacity(elements.len());
        for value in elements {
            let mut part = Cell::default();
            part.one(element, rest, value, depth + 1);
            self.ambiguous |= part.ambiguous || part.text.contains(separator);
            parts.push(part.text);
        }
        // A column in which no element says anything stays empty.
        if parts.iter().any(|part| !part.is_empty()) {
            self.text = parts.join(separator);
        }
    }

    fn one(&mut self, shape: &Shape, rest: &[Column], value: &Value, depth: usize) {
        match (shape, value) {
            (Shape::Group(_), Value::Message(inner)) => self.visit(rest, inner, depth),
            (Shape::Time, Value::Message(time)) => {
                self.text = timestamp(time)
                    .map(|time| time.to_string())
                    .unwrap_or_default();
            }
            (Shape::Word(words), Value::EnumNumber(number)) => {
                self.text = word(words, *number).unwrap_or_default();
            }
            (_, Value::String(text)) => self.text.clone_from(text),
            (_, value) => self.number(value),
        }
    }

    fn number(&mut self, value: &Value) {
        let text = match value {
            Value::Bool(flag) => flag.to_string(),
            Value::I32(number) => number.to_string(),
            Value::I64(number) => number.to_string(),
            Value::F32(number) => number.to_string(),
            Value::F64(number) => number.to_string(),
            _ => return,
        };
        self.is_number = true;
        self.text = text;
    }

    fn finish(self) -> String {
        if !self.is_number && self.text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            format!("'{}", self.text)
        } else {
            self.text
        }
    }
}
