//! Differences between two revisions of a record: the deepest paths that cover them, with both values. Elements of
//! lists are matched by their identifying field, so an element that moved has not changed.

use std::collections::BTreeMap;

use dateline_proto::v1::{FieldDifference, record::Kind as Body};
use prost_reflect::{DynamicMessage, FieldDescriptor, SerializeOptions, Value};

/// Fields that identify an element of a list, the first one that is set.
const KEYS: [&str; 5] = ["actor", "id", "event", "text", "display_name"];

/// The differences between two contents, in the order of the schema.
#[must_use]
pub fn diff(before: &Body, after: &Body) -> Vec<FieldDifference> {
    let mut differences = Vec::new();
    messages(
        &before.to_dynamic(),
        &after.to_dynamic(),
        "",
        &mut differences,
    );
    differences
}

fn messages(
    before: &DynamicMessage,
    after: &DynamicMessage,
    at: &str,
    out: &mut Vec<FieldDifference>,
) {
    use prost_reflect::ReflectMessage;
    for field in before.descriptor().fields() {
        let (old, new) = (before.get_field(&field), after.get_field(&field));
        let there = (before.has_field(&field), after.has_field(&field));
        if old == new && there.0 == there.1 || field.name() == "meta" {
            continue;
        }
        let path = join(at, field.name());
        match (&*old, &*new, there) {
            (Value::Message(old), Value::Message(new), (true, true)) => {
                messages(old, new, &path, out);
            }
            (Value::List(old), Value::List(new), _) => lists(&field, old, new, &path, out),
            (old, new, (was, is)) => out.push(FieldDifference {
                path,
                before_json: if was {
                    json(&field, old)
                } else {
                    String::new()
                },
                after_json: if is { json(&field, new) } else { String::new() },
                ..FieldDifference::default()
            }),
        }
    }
}

fn lists(
    field: &FieldDescriptor,
    before: &[Value],
    after: &[Value],
    path: &str,
    out: &mut Vec<FieldDifference>,
) {
    let (old, new) = (keyed(before), keyed(after));
    let same_order = old.keys_in_order == new.keys_in_order;
    let known = out.len();
    for key in &old.keys_in_order {
        let at = format!("{path}[{key}]");
        match (old.by_key[key], new.by_key.get(key)) {
            (old, Some(new)) => elements(field, old, new, &at, out),
            (old, None) => out.push(FieldDifference {
                path: at,
                before_json: element_json(field, old),
                after_json: String::new(),
                ..FieldDifference::default()
            }),
        }
    }
    let added = new.keys_in_order.iter();
    for key in added.filter(|key| !old.by_key.contains_key(*key)) {
        out.push(FieldDifference {
            path: format!("{path}[{key}]"),
            before_json: String::new(),
            after_json: element_json(field, new.by_key[key]),
            ..FieldDifference::default()
        });
    }
    if out.len() == known && !same_order {
        out.push(FieldDifference {
            path: path.to_owned(),
            before_json: json(field, &Value::List(before.to_vec())),
            after_json: json(field, &Value::List(after.to_vec())),
            ..FieldDifference::default()
        });
    }
}

fn elements(
    field: &FieldDescriptor,
    before: &Value,
    after: &Value,
    at: &str,
    out: &mut Vec<FieldDifference>,
) {
    match (before, after) {
        _ if before == after => {}
        (Value::Message(old), Value::Message(new)) => messages(old, new, at, out),
        _ => out.push(FieldDifference {
            path: at.to_owned(),
            before_json: element_json(field, before),
            after_json: element_json(field, after),
            ..FieldDifference::default()
        }),
    }
}

struct Keyed<'a> {
    keys_in_order: Vec<String>,
    by_key: BTreeMap<String, &'a Value>,
}

/// Elements by identifying field; by position if there is none or if it repeats.
fn keyed(list: &[Value]) -> Keyed<'_> {
    let mut keyed = Keyed {
        keys_in_order: Vec::with_capacity(list.len()),
        by_key: BTreeMap::new(),
    };
    for (place, value) in list.iter().enumerate() {
        let key = key(value).filter(|key| !keyed.by_key.contains_key(key));
        let mut key = key.unwrap_or_else(|| place.to_string());
        while keyed.by_key.contains_key(&key) {
            // The identifying field of another element has the text of this position.
            key.push('\'');
        }
        keyed.keys_in_order.push(key.clone());
        keyed.by_key.insert(key, value);
    }
    keyed
}

fn key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Message(message) => KEYS.iter().find_map(|name| {
            let field = message.get_field_by_name(name)?;
            let text = field.as_str().filter(|text| !text.is_empty())?;
            Some(text.to_owned())
        }),
        _ => None,
    }
}

fn join(at: &str, field: &str) -> String {
    if at.is_empty() {
        field.to_owned()
    } else {
        format!("{at}.{field}")
    }
}

fn element_json(field: &FieldDescriptor, value: &Value) -> String {
    let list = document(field, &Value::List(vec![value.clone()]));
    list.get(0).map(ToString::to_string).unwrap_or_default()
}

/// The value as canonical proto-JSON.
fn json(field: &FieldDescriptor, value: &Value) -> String {
    document(field, value).to_string()
}

/// A single value has no JSON form of its own, so it is set as the only field of its message.
fn document(field: &FieldDescriptor, value: &Value) -> serde_json::Value {
    let mut message = DynamicMessage::new(field.parent_message().clone());
    message.set_field(field, value.clone());
    let options = SerializeOptions::new();
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .ok()
        .and_then(|mut document| {
            document
                .get_mut(field.json_name())
                .map(serde_json::Value::take)
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dateline_proto::v1::{Actor, Event, FuzzyDate, Participant, Period, participant::Role};

    fn event(participants: &[(&str, Role)], start: Option<&str>) -> Body {
        let participants = participants.iter().map(|(actor, role)| Participant {
            actor: format!("actors/{actor}"),
            role: (*role).into(),
            ..Participant::default()
        });
        Body::Event(Event {
            participants: participants.collect(),
            time: start.map(|edtf| Period {
                start: Some(FuzzyDate {
                    edtf: edtf.to_owned(),
                    ..FuzzyDate::default()
                }),
                ..Period::default()
            }),
            ..Event::default()
        })
    }

    fn differences(before: &Body, after: &Body) -> Vec<(String, String, String)> {
        let differences = diff(before, after).into_iter();
        differences
            .map(|it| (it.path, it.before_json, it.after_json))
            .collect()
    }

    fn difference(path: &str, before: &str, after: &str) -> (String, String, String) {
        (path.to_owned(), before.to_owned(), after.to_owned())
    }

    #[test]
    fn elements_are_matched_by_their_key_and_told_by_the_deepest_path() {
        let before = event(&[("nato", Role::Party), ("un", Role::Host)], Some("2021"));
        let after = event(&[("un", Role::Party), ("eu", Role::Host)], Some("2022"));
        assert_eq!(
            differences(&before, &after),
            [
                difference("time.start.edtf", "\"2021\"", "\"2022\""),
                difference(
                    "participants[actors/nato]",
                    "{\"actor\":\"actors/nato\",\"role\":\"ROLE_PARTY\"}",
                    ""
                ),
                difference(
                    "participants[actors/un].role",
                    "\"ROLE_HOST\"",
                    "\"ROLE_PARTY\""
                ),
                difference(
                    "participants[actors/eu]",
                    "",
                    "{\"actor\":\"actors/eu\",\"role\":\"ROLE_HOST\"}"
                ),
            ]
        );
    }

    #[test]
    fn what_came_or_went_has_one_side_and_what_is_the_same_has_none() {
        let (without, with) = (event(&[], None), event(&[], Some("2021")));
        let [only] = differences(&without, &with).try_into().unwrap();
        assert_eq!((only.0.as_str(), only.1.as_str()), ("time", ""));
        assert!(differences(&with, &with).is_empty());
        let named = |text: &str| {
            Body::Actor(Actor {
                display_name: text.to_owned(),
                ..Actor::default()
            })
        };
        assert_eq!(
            differences(&named(""), &named("NATO")),
            [difference("display_name", "", "\"NATO\"")]
        );
    }

    #[test]
    fn another_order_is_told_as_the_list() {
        let one = event(&[("nato", Role::Party), ("un", Role::Host)], None);
        let other = event(&[("un", Role::Host), ("nato", Role::Party)], None);
        let [only] = differences(&one, &other).try_into().unwrap();
        assert_eq!(only.0, "participants");
    }
}
