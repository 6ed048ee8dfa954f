//! Fields of records as people type them: comment, type, bounds and words, read from the descriptors.

use anyhow::{Context, Result};
use dateline_formats::enum_names::value_names;
use dateline_proto::{DESCRIPTORS, has_rule, rule_text, v1::Kind};
use dateline_record::name::kind_label;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind as Type,
    MessageDescriptor, Value,
};

/// Most letters of an abbreviation, with a mark before it.
const MAX_ABBREVIATION: usize = 4;

/// Returns the message of a kind of record.
pub(super) fn message_of(kind: Kind) -> Result<MessageDescriptor> {
    let record = DESCRIPTORS.get_message_by_name("dateline.v1.Record");
    let field = record.and_then(|record| record.get_field_by_name(kind_label(kind)));
    let message = field.and_then(|field| field.kind().as_message().cloned());
    message.context("the schema has no such kind of record")
}

/// Returns the fields of a message that people set, in the order of the schema.
pub(super) fn typed_fields(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let mut fields: Vec<_> = message.fields().filter(is_typed).collect();
    fields.sort_by_key(FieldDescriptor::number);
    fields
}

/// True if people set the field; otherwise the service does.
pub(super) fn is_typed(field: &FieldDescriptor) -> bool {
    field.name() != "meta" && !has_rule(field, "output_only")
}

/// Returns the field that a plain text in place of the message sets.
pub(super) fn typed_alone(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    message
        .fields()
        .find(|field| has_rule(field, "typed_alone"))
}

/// Returns the comment of the schema on a field, with its line breaks; empty if there is none.
pub(super) fn field_comment(field: &FieldDescriptor) -> String {
    comment(&field.parent_file(), field.path())
}

/// Returns the comment of the schema on a message.
pub(super) fn message_comment(message: &MessageDescriptor) -> String {
    comment(&message.parent_file(), message.path())
}

/// Returns the words of an enum, each with its comment.
pub(super) fn words(words: &EnumDescriptor) -> Vec<(String, String)> {
    let file = words.parent_file();
    let comments = words
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| comment(&file, value.path()));
    value_names(words).zip(comments).collect()
}

fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let locations = info.map(|info| info.location.iter()).into_iter().flatten();
    let found = locations
        .filter(|location| location.path == path)
        .find_map(|location| location.leading_comments.as_deref());
    let lines = found.unwrap_or_default().lines();
    let lines: Vec<_> = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    lines.join("\n").trim_end().to_owned()
}

/// Returns the first sentence of a comment, on one line.
pub(super) fn first_sentence(comment: &str) -> String {
    let text = comment.split_whitespace().collect::<Vec<_>>().join(" ");
    let ends = text.match_indices(". ").map(|(end, _)| end);
    // "Gen. Lt." ends no sentence.
    let mut ends = ends.filter(|end| {
        let word = text[..*end].rsplit(' ').next().unwrap_or_default();
        word.chars().count() > MAX_ABBREVIATION
    });
    match ends.next() {
        Some(end) => text[..=end].to_owned(),
        None => text,
    }
}

/// True if a pattern fits the empty text.
fn fits_nothing(pattern: &str) -> bool {
    regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(""))
}

/// Returns a number among the rules of a field (`buf.validate`), such as `max_len`; rules of a list's elements are those
/// of the list itself only if the field is no list.
pub(super) fn bound(field: &FieldDescriptor, rule: &str) -> Option<u64> {
    match rule_value(field, rule)? {
        Value::U64(number) => Some(number),
        _ => None,
    }
}

/// Returns the pattern of a string, or of the strings of a list.
pub(super) fn pattern(field: &FieldDescriptor) -> Option<String> {
    let pattern = rule_value(field, "pattern")?;
    pattern.as_str().map(str::to_owned)
}

fn rule_value(field: &FieldDescriptor, rule: &str) -> Option<Value> {
    let rules = rules(field)?;
    let typed = rules
        .fields()
        .find_map(|(_, value)| value.as_message().cloned());
    value_in(&typed?, rule)
}

/// Returns the value of a rule that is set, also inside the rules of a list's elements.
fn value_in(rules: &DynamicMessage, rule: &str) -> Option<Value> {
    for (field, value) in rules.fields() {
        if field.name() == rule {
            return Some(value.clone());
        }
        if field.name() == "items"
            && let Some(items) = value.as_message()
        {
            let typed = items
                .fields()
                .find_map(|(_, value)| value.as_message().cloned());
            return value_in(&typed?, rule);
        }
    }
    None
}

fn rules(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let extension = DESCRIPTORS.get_extension_by_name("buf.validate.field")?;
    let options = field.options();
    options.get_extension(&extension).as_message().cloned()
}

/// True if a typed record has to have the field.
pub(super) fn is_required(field: &FieldDescriptor) -> bool {
    // An actor without names has the one that is displayed.
    let is_filled_in = rule_text(field, "typed_default").is_some()
        || field.full_name() == "dateline.v1.Actor.names"
        || field.full_name() == "dateline.v1.Evidence.article";
    let is_set = rules(field)
        .and_then(|rules| Some(rules.get_field_by_name("required")?.as_bool() == Some(true)));
    let needs_text = !field.is_list() && bound(field, "min_len").is_some_and(|length| length > 0);
    let needs_name = !field.is_list() && pattern(field).is_some_and(|it| !fits_nothing(&it));
    let needs_elements = bound(field, "min_items").is_some_and(|count| count > 0);
    let needs_word = matches!(field.kind(), Type::Enum(_))
        && matches!(rule_value(field, "not_in"), Some(Value::List(_)));
    !is_filled_in
        && (is_set == Some(true) || needs_text || needs_name || needs_elements || needs_word)
}
