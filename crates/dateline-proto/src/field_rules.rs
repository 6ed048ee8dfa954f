//! Rules of the schema's fields (`field_rules.proto`), read by reflection.

use prost_reflect::FieldDescriptor;

use super::DESCRIPTORS;

/// True if the schema sets a rule of a field that is a switch, such as `output_only`.
#[must_use]
pub fn has_rule(field: &FieldDescriptor, rule: &str) -> bool {
    let Some(extension) = DESCRIPTORS.get_extension_by_name("dateline.v1.field") else {
        return false;
    };
    let options = field.options();
    let rules = options.get_extension(&extension);
    let rule = rules
        .as_message()
        .and_then(|rules| rules.get_field_by_name(rule).map(|rule| rule.as_bool()));
    rule.flatten().unwrap_or(false)
}
