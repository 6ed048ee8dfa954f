//! Rules of the schema's fields (`field_rules.proto`), read by reflection.

use prost_reflect::{FieldDescriptor, Value};

/// True if the schema sets a rule of a field that is a switch, such as `output_only`.
#[must_use]
pub fn has_rule(field: &FieldDescriptor, rule: &str) -> bool {
    rule_of(field, rule).and_then(|value| value.as_bool()) == Some(true)
}

/// Returns the text of a rule of a field, such as `typed_default`; `None` if the schema does not set it.
#[must_use]
pub fn rule_text(field: &FieldDescriptor, rule: &str) -> Option<String> {
    let text = rule_of(field, rule)?;
    let text = text.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

fn rule_of(field: &FieldDescriptor, rule: &str) -> Option<Value> {
    let extension = field
        .parent_pool()
        .get_extension_by_name("dateline.v1.field")?;
    let options = field.options();
    let rules = options.get_extension(&extension);
    let value = rules.as_message()?.get_field_by_name(rule)?;
    Some(value.into_owned())
}
