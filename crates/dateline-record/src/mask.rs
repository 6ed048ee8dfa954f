//! Field masks: the fields that an update sets, and the fields that differ between two revisions.

use dateline_proto::{has_rule, v1::record::Kind as Body};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage};

use super::violation::Violation;

/// Most paths of a mask.
const MAX_PATHS: usize = 256;

/// Fields of every record that no client sets.
const OWNED: [&str; 2] = ["name", "meta"];

/// Copies the masked fields of `update` into `base`. An empty mask or `*` means every field except name, meta and
/// output-only fields. A list is replaced as a whole.
///
/// # Errors
/// A violation for each path that does not exist or that the service owns, under `at`.
pub fn apply(
    base: &Body,
    update: &Body,
    paths: &[String],
    at: &str,
) -> Result<Body, Vec<Violation>> {
    let (mut merged, source) = (base.to_dynamic(), update.to_dynamic());
    let mut violations = Vec::new();
    if paths.len() > MAX_PATHS {
        return Err(vec![Violation::new(
            at,
            format!("has {} paths; at most {MAX_PATHS} are allowed", paths.len()),
        )]);
    }
    if paths.is_empty() || paths == ["*"] {
        for field in source
            .descriptor()
            .fields()
            .filter(|field| !is_owned(field))
        {
            copy(&mut merged, &source, &[field.name()]);
        }
    }
    for (index, path) in paths
        .iter()
        .enumerate()
        .filter(|(_, path)| *path != "*" || paths.len() > 1)
    {
        let steps: Vec<_> = path.split('.').collect();
        match check(&source.descriptor(), &steps) {
            Ok(()) => copy(&mut merged, &source, &steps),
            Err(why) => violations.push(Violation::new(format!("{at}.paths[{index}]"), why)),
        }
    }
    if !violations.is_empty() {
        return Err(violations);
    }
    from_dynamic(base, &merged).map_err(|error| vec![Violation::new(at, error.to_string())])
}

fn from_dynamic(like: &Body, message: &DynamicMessage) -> Result<Body, prost::DecodeError> {
    use prost::Message;
    // The kind of `like` is set, so there is always a message of it.
    Ok(Body::decode(like.kind(), &message.encode_to_vec())?.unwrap_or_else(|| like.clone()))
}

/// True if the service owns a field: values from clients are ignored.
fn is_owned(field: &prost_reflect::FieldDescriptor) -> bool {
    OWNED.contains(&field.name()) || has_rule(field, "output_only")
}

fn check(message: &MessageDescriptor, steps: &[&str]) -> Result<(), String> {
    let mut message = message.clone();
    for (depth, step) in steps.iter().enumerate() {
        let Some(field) = message.get_field_by_name(step) else {
            return Err(format!(
                "there is no field {:?} in {}",
                clip(step),
                message.name()
            ));
        };
        if is_owned(&field) {
            return Err(format!(
                "{} is set by the service and cannot be updated",
                field.name()
            ));
        }
        if depth + 1 == steps.len() {
            return Ok(());
        }
        match field.kind() {
            Kind::Message(inner) if !field.is_list() => message = inner,
            _ => {
                return Err(format!(
                    "{} has no fields of its own; a list is replaced whole",
                    field.name()
                ));
            }
        }
    }
    Ok(())
}

/// Shortens input of a client for an error text.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Copies a field that `check` has found in both messages.
fn copy(target: &mut DynamicMessage, source: &DynamicMessage, steps: &[&str]) {
    let [step, rest @ ..] = steps else { return };
    if rest.is_empty() {
        if source.has_field_by_name(step) {
            target.set_field_by_name(
                step,
                source.get_field_by_name(step).map_or_else(
                    || prost_reflect::Value::Bool(false),
                    std::borrow::Cow::into_owned,
                ),
            );
        } else {
            target.clear_field_by_name(step);
        }
        return;
    }
    let inner = source.get_field_by_name(step);
    let Some(inner) = inner.as_ref().and_then(|value| value.as_message()) else {
        return;
    };
    if !source.has_field_by_name(step) && !target.has_field_by_name(step) {
        return;
    }
    if let Some(target) = target
        .get_field_by_name_mut(step)
        .and_then(prost_reflect::Value::as_message_mut)
    {
        copy(target, inner, rest);
    }
}

/// Top-level fields in which two revisions of a record differ, in the order of the schema.
#[must_use]
pub fn changed_fields(before: &Body, after: &Body) -> Vec<String> {
    let (before, after) = (before.to_dynamic(), after.to_dynamic());
    before
        .descriptor()
        .fields()
        .filter(|field| field.name() != "meta" && before.get_field(field) != after.get_field(field))
        .map(|field| field.name().to_owned())
        .collect()
}
