//! `dateline explain`: a field, its meaning, its bounds, and the fields or words inside it.

use std::fmt::Write;

use anyhow::{Result, bail};
use dateline_proto::rule_text;
use dateline_record::name::{KINDS, kind_label};
use prost_reflect::{FieldDescriptor, Kind as Type, MessageDescriptor};

use super::field::{
    bound, field_comment, first_sentence, is_required, message_comment, message_of, typed_alone,
    typed_fields, words,
};
use crate::table::Table;

/// Returns the explanation of a path such as `event.participants`.
pub(super) fn text(path: &str) -> Result<String> {
    let mut steps = path.split('.');
    let kind = steps.next().unwrap_or_default();
    let Some(kind) = KINDS.into_iter().find(|it| kind_label(*it) == kind) else {
        let kinds: Vec<_> = KINDS.into_iter().map(kind_label).collect();
        bail!("there is no kind {kind:?}; there are: {}", kinds.join(", "));
    };
    let mut message = message_of(kind)?;
    let mut field: Option<FieldDescriptor> = None;
    for step in steps {
        let Some(found) = typed_fields(&message)
            .into_iter()
            .find(|it| it.json_name() == step || it.name() == step)
        else {
            let names: Vec<_> = typed_fields(&message)
                .iter()
                .map(|it| it.json_name().to_owned())
                .collect();
            bail!(
                "{} has no field {step:?}; there are: {}",
                message.name(),
                names.join(", ")
            );
        };
        if let Type::Message(inner) = found.kind() {
            message = inner;
        }
        field = Some(found);
    }
    match field {
        None => Ok(explain_message(path, &message)),
        Some(field) => Ok(explain_field(path, &field)),
    }
}

fn explain_message(path: &str, message: &MessageDescriptor) -> String {
    let mut out = format!("{path}\n\n{}\n\n", message_comment(message));
    add_fields(&mut out, message);
    out
}

fn explain_field(path: &str, field: &FieldDescriptor) -> String {
    let mut out = format!("{path}: {}\n", type_of(field));
    let comment = field_comment(field);
    if !comment.is_empty() {
        let _ = writeln!(out, "\n{comment}");
    }
    match field.kind() {
        Type::Enum(of) => {
            let default = rule_text(field, "typed_default");
            out.push('\n');
            let mut table = Table::new(&[]);
            for (word, comment) in words(&of) {
                let is_default = default
                    .as_deref()
                    .is_some_and(|it| it.to_lowercase().ends_with(&format!("_{word}")));
                let mark = if is_default { " (default)" } else { "" };
                table.add_row([format!("  {word}{mark}"), first_sentence(&comment)]);
            }
            let _ = writeln!(out, "{table}");
        }
        Type::Message(inner) if inner.package_name() == "dateline.v1" => {
            if let Some(alone) = typed_alone(&inner) {
                let _ = writeln!(out, "\nA plain text sets {}.", alone.json_name());
            }
            out.push('\n');
            add_fields(&mut out, &inner);
        }
        _ => {}
    }
    out
}

fn add_fields(out: &mut String, message: &MessageDescriptor) {
    let mut table = Table::new(&[]);
    for field in typed_fields(message) {
        let mark = if is_required(&field) { "*" } else { "" };
        table.add_row([
            format!("  {}{mark}", field.json_name()),
            type_of(&field),
            first_sentence(&field_comment(&field)),
        ]);
    }
    let _ = writeln!(out, "{table}\n\n* required");
}

/// Describes the type of a field with its bounds.
fn type_of(field: &FieldDescriptor) -> String {
    let one = match field.kind() {
        Type::String => "text".to_owned(),
        Type::Enum(_) => "word".to_owned(),
        Type::Bool => "true or false".to_owned(),
        Type::Bytes => "bytes".to_owned(),
        Type::Double | Type::Float => "number".to_owned(),
        Type::Message(message) => message.name().to_owned(),
        _ => "integer".to_owned(),
    };
    let one = match bound(field, "max_len") {
        Some(most) => format!("{one} of at most {most} characters"),
        None => one,
    };
    match (field.is_list(), bound(field, "max_items")) {
        (false, _) => one,
        (true, None) => format!("list of {one}"),
        (true, Some(most)) => format!("list of {one}, at most {most}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_every_field_and_no_further() {
        let told = text("event.participants").unwrap();
        for words in [
            "list of Participant",
            "A plain text sets actor",
            "role",
            "displayName",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let told = text("event.participants.role").unwrap();
        assert!(
            told.contains("party (default)") && told.contains("beneficiary"),
            "{told}"
        );
        let told = text("actor").unwrap();
        assert!(
            told.contains("displayName*") && !told.contains("meta"),
            "{told}"
        );
        assert!(
            text("actor.evidence.article_revision")
                .unwrap()
                .contains("integer")
        );
        let error = text("actor.nope").unwrap_err().to_string();
        assert!(
            error.contains("there are: name, type, displayName"),
            "{error}"
        );
        let error = text("person").unwrap_err().to_string();
        assert!(error.contains("there are: article, actor"), "{error}");
    }
}
