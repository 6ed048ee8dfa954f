//! CSV: one flat table per kind, for spreadsheets. Each field of the schema is a column, `time.start.edtf`. Fields of a
//! list's elements are columns of their own (`participants.actor`, `participants.role`), with values separated by `; `
//! in the order of the elements, and by ` | ` for a list within a list. A value that contains such a separator cannot
//! be split reliably and is counted as a loss.
//!
//! **Formulas.** Spreadsheets run cells as formulas, see [`is_risky`]. A text that could be one gets an apostrophe in
//! front, and so does a text that begins with an apostrophe: removing one leading apostrophe restores the text. Single
//! numbers are not changed. Every cell is quoted, so that a program with other separators (semicolons or tabs) finds no
//! cell that begins inside a text.
//!
//! A tombstone is a row with a name and the columns of `meta`.

use ::csv::{QuoteStyle, WriterBuilder};
use dateline_proto::v1::Kind;
use dateline_record::{encoded::EncodedRecord, name::collection, text::is_blank};
use prost_reflect::{DynamicMessage, Value};
use unicode_normalization::UnicodeNormalization;

use super::{
    Encoder, Error, Losses, Referents, check_kind,
    columns::{Column, ColumnType, columns, timestamp, word},
};

/// Separators of the elements of a list, and of those of a list within a list.
const SEPARATORS: [&str; 2] = ["; ", " | "];

/// Encoder of one file.
pub(super) struct Csv {
    kind: Kind,
    leaves: Vec<Leaf>,
}

/// A column of the table, with the path of its values in a record.
struct Leaf {
    name: String,
    steps: Vec<Column>,
}

impl Csv {
    /// An encoder for records of a kind.
    pub(super) fn new(kind: Kind) -> Self {
        let leaves = Vec::new();
        Self { kind, leaves }
    }

    /// Writes the names of the columns before the first row.
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
        record: &EncodedRecord,
        _referents: &Referents,
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
    let mut writer = WriterBuilder::new()
        .quote_style(QuoteStyle::Always)
        .from_writer(out);
    writer.write_record(cells)?;
    Ok(writer.flush().map_err(::csv::Error::from)?)
}

fn add_leaves(above: &[Column], column: &Column, leaves: &mut Vec<Leaf>) {
    let mut steps = above.to_vec();
    steps.push(column.clone());
    let inner = match &column.value_type {
        ColumnType::List(element) => element,
        other => other,
    };
    if let ColumnType::Group(parts) = inner {
        for part in parts {
            add_leaves(&steps, part, leaves);
        }
    } else {
        let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
        let name = names.join(".");
        leaves.push(Leaf { name, steps });
    }
}

/// Content of one cell.
#[derive(Default)]
struct Cell {
    text: String,
    /// A single number is not treated as a formula.
    is_number: bool,
    ambiguous: bool,
}

impl Cell {
    /// Visits the values below these steps; `depth` counts the lists passed so far.
    fn visit(&mut self, steps: &[Column], message: &DynamicMessage, depth: usize) {
        let Some((step, rest)) = steps.split_first() else {
            return;
        };
        let Some(value) = step.value(message) else {
            return;
        };
        match (&step.value_type, value.as_ref()) {
            (ColumnType::List(element), Value::List(elements)) => {
                self.list(element, rest, elements, depth);
            }
            (column_type, value) => self.one(column_type, rest, value, depth),
        }
    }

    fn list(&mut self, element: &ColumnType, rest: &[Column], elements: &[Value], depth: usize) {
        let separator = SEPARATORS[depth.min(SEPARATORS.len() - 1)];
        let mut parts = Vec::with_capacity(elements.len());
        for value in elements {
            let mut part = Cell::default();
            part.one(element, rest, value, depth + 1);
            self.ambiguous |= part.ambiguous || part.text.contains(separator);
            parts.push(part.text);
        }
        // A column without a value in any element stays empty.
        if parts.iter().any(|part| !part.is_empty()) {
            self.text = parts.join(separator);
        }
    }

    fn one(&mut self, column_type: &ColumnType, rest: &[Column], value: &Value, depth: usize) {
        match (column_type, value) {
            (ColumnType::Group(_), Value::Message(inner)) => self.visit(rest, inner, depth),
            (ColumnType::Time, Value::Message(time)) => {
                self.text = timestamp(time)
                    .map(|time| time.to_string())
                    .unwrap_or_default();
            }
            (ColumnType::Word(words), Value::EnumNumber(number)) => {
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
        if !self.is_number && (self.text.starts_with(GUARD) || is_risky(&self.text)) {
            format!("{GUARD}{}", self.text)
        } else {
            self.text
        }
    }
}

/// Prefix of a text that could be a formula.
const GUARD: char = '\'';

/// Returns true if a spreadsheet may run a text as a formula: it begins with a control character such as a tab,
/// carriage return or line feed, or with `=`, `+`, `-` or `@` in any form (full-width, small, superscript, a minus
/// sign), also after characters that some programs skip or do not display: spaces of any width, joiners, direction
/// marks, a byte order mark. OWASP's list ("CSV Injection") has `=`, `+`, `-`, `@`, tab, carriage return, line feed and
/// the full-width forms.
fn is_risky(text: &str) -> bool {
    if text.starts_with(char::is_control) || text.starts_with(['\u{2028}', '\u{2029}']) {
        return true;
    }
    let is_skipped = |it: &char| is_blank(it.encode_utf8(&mut [0; 4]));
    let first = text.chars().find(|it| !is_skipped(it));
    first.is_some_and(|first| {
        let plain = std::iter::once(first).nfkc().next();
        plain.is_some_and(|plain| matches!(plain, '=' | '+' | '-' | '@' | '\u{2212}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_a_spreadsheet_may_run_are_risky_whatever_stands_before_the_sign() {
        let before = [
            "",
            " ",
            "\u{a0}",
            "\u{202f}",
            "\u{3000}",
            "\u{200b}",
            "\u{200d}",
            "\u{2060}",
            "\u{feff}",
            "\u{202e}",
            "\u{2066}",
            "\u{200f}",
            "\u{61c}",
            "\u{ad}",
            "\u{fe0f}",
            "\u{e0020}",
            "\u{feff} \u{200b}",
        ];
        let signs = "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}\u{fe66}\u{fe62}\u{fe63}\u{fe6b}\u{207c}\u{207a}\u{2212}";
        for before in before {
            for sign in signs.chars() {
                assert!(is_risky(&format!("{before}{sign}1")), "{before:?} {sign:?}");
            }
            assert!(!is_risky(&format!("{before}text=1")), "{before:?}");
        }
        for begin in [
            "\t", "\r", "\n", "\0", "\u{b}", "\u{c}", "\u{85}", "\u{2028}",
        ] {
            assert!(is_risky(&format!("{begin}text")), "{begin:?}");
        }
        assert!(!is_risky("") && !is_risky(" ") && !is_risky("«=»") && !is_risky("1-2"));
    }
}
