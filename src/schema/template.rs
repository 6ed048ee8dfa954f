//! `dateline template`: a record with all its fields, the required ones to fill in, the others as comments.

use std::fmt::Write;

use anyhow::Result;
use dateline_proto::v1::Kind;
use dateline_record::name::{collection, kind_label};
use prost_reflect::{FieldDescriptor, Kind as Type, MessageDescriptor};

use super::field::{
    field_comment, first_sentence, is_required, message_comment, message_of, typed_alone,
    typed_fields, words,
};

/// Deepest nesting of a placeholder.
const MAX_DEPTH: usize = 3;

/// Returns the template of a kind, as YAML that `dateline create` reads.
pub(super) fn text(kind: Kind) -> Result<String> {
    let message = message_of(kind)?;
    let mut out = String::new();
    for line in message_comment(&message).lines() {
        let _ = writeln!(out, "# {line}");
    }
    let _ = writeln!(out, "{}:", kind_label(kind));
    for field in typed_fields(&message) {
        let mark = if is_required(&field) { "" } else { "# " };
        let value = if field.name() == "name" {
            format!("{}/NAME", collection(kind))
        } else {
            placeholder(&field, MAX_DEPTH)
        };
        for line in [first_sentence(&field_comment(&field)), word_list(&field)] {
            if !line.is_empty() {
                let _ = writeln!(out, "  # {line}");
            }
        }
        let _ = writeln!(out, "  {mark}{}: {value}", field.json_name());
    }
    Ok(out)
}

/// Lists the words of an enum.
fn word_list(field: &FieldDescriptor) -> String {
    let Type::Enum(of) = field.kind() else {
        return String::new();
    };
    let words: Vec<_> = words(&of).into_iter().map(|(word, _)| word).collect();
    format!("One of {}", words.join(", "))
}

/// Returns a value of the field's type, in YAML's flow style.
fn placeholder(field: &FieldDescriptor, depth: usize) -> String {
    let one = match field.kind() {
        Type::Message(message) => message_placeholder(&message, depth),
        Type::Enum(of) => words(&of)
            .into_iter()
            .next()
            .map_or("\"\"".to_owned(), |(word, _)| word),
        Type::String | Type::Bytes => "\"\"".to_owned(),
        Type::Bool => "false".to_owned(),
        _ => "0".to_owned(),
    };
    if field.is_list() {
        format!("[{one}]")
    } else {
        one
    }
}

fn message_placeholder(message: &MessageDescriptor, depth: usize) -> String {
    if message.full_name() == "google.protobuf.Timestamp" {
        return "2026-01-01T00:00:00Z".to_owned();
    }
    if typed_alone(message).is_some() {
        return "\"\"".to_owned();
    }
    let fields = typed_fields(message)
        .into_iter()
        .filter(|field| depth > 0 && is_required(field));
    let fields: Vec<_> = fields
        .map(|field| format!("{}: {}", field.json_name(), placeholder(&field, depth - 1)))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use dateline_record::name::KINDS;

    use super::*;
    use crate::desk::read_document;

    #[test]
    fn every_template_is_a_record_with_and_without_its_comments() {
        for kind in KINDS {
            let template = text(kind).unwrap();
            let record = read_document(&template, None)
                .unwrap_or_else(|error| panic!("{error:?}: {template}"));
            assert_eq!(record.kind.unwrap().kind(), kind);
            let is_field = |line: &&str| {
                !line.starts_with('#')
                    && (!line.starts_with("  # ")
                        || line.contains(": ") && {
                            let key = line
                                .trim_start_matches("  # ")
                                .split(": ")
                                .next()
                                .unwrap_or_default();
                            message_of(kind)
                                .unwrap()
                                .get_field_by_json_name(key)
                                .is_some()
                        })
            };
            let whole: Vec<_> = template
                .lines()
                .filter(is_field)
                .map(|line| line.replacen("  # ", "  ", 1))
                .collect();
            let whole = whole.join("\n");
            read_document(&whole, None).unwrap_or_else(|error| panic!("{error:?}: {whole}"));
        }
    }
}
