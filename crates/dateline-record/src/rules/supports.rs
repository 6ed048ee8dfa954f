//! The paths by which evidence names the facts it supports: `period.start`, `participants[actors/nato]`. Fields are
//! those of the schema; an element is selected by its natural key, from the one table here ([`element`], documented for
//! clients in `common.proto`).

use std::collections::{HashMap, HashSet};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::{
    text,
    walk::{Node, Path, Rules, Visitor},
};

/// Fields of a record that are not facts.
const NO_FACTS: [&str; 3] = ["name", "meta", "evidence"];

/// Most keys or fields that an error lists.
const MAX_LISTED: usize = 12;

/// The key of an element in its list.
struct KeyedElement {
    key: String,
    /// Content for comparison; a second element with the same content is a repetition.
    says: String,
    /// True if two elements with the same key are refused, even if the rest differs.
    is_key_unique: bool,
}

/// The table of keys. Mentions and evidence have none.
fn element(node: &Node<'_>) -> Option<KeyedElement> {
    let (key, rest) = match node {
        Node::Participant(it) if it.actor.is_empty() => (&it.display_name, it.role.to_string()),
        Node::Participant(it) => (&it.actor, it.role.to_string()),
        Node::Topic(it) => (&it.id, String::new()),
        Node::EventLink(it) => (&it.event, it.r#type.to_string()),
        Node::Name(it) => (&it.text, format!("{}{}", it.language_code, it.r#type)),
        Node::Place(it) => (
            &it.display_name,
            format!("{}{}", it.region_code, it.subdivision_code),
        ),
        Node::Byline(it) => (&it.display_name, format!("{}{}", it.actor, it.role)),
        Node::SourceCredit(it) => (&it.display_name, format!("{}{}", it.actor, it.url)),
        Node::ExternalId(it) => {
            let key = format!("{}/{}", it.scheme, it.value);
            return Some(KeyedElement {
                says: key.clone(),
                key,
                is_key_unique: false,
            });
        }
        _ => return None,
    };
    Some(KeyedElement {
        key: key.clone(),
        says: format!("{key}\0{rest}"),
        is_key_unique: matches!(node, Node::Topic(_)),
    })
}

/// The keyed elements of a record, by their list: `places[0].external_ids`.
#[derive(Default)]
pub(super) struct Elements {
    lists: HashMap<String, KeyedList>,
}

#[derive(Default)]
struct KeyedList {
    elements: Vec<KeyedElement>,
    /// Position of the first element of a key: thousands of paths may be looked up in a list of thousands.
    places: HashMap<String, usize>,
}

impl KeyedList {
    fn push(&mut self, element: KeyedElement) {
        let place = self.elements.len();
        self.places.entry(element.key.clone()).or_insert(place);
        self.elements.push(element);
    }
}

/// An element that repeats an earlier one.
pub(super) struct Repeated {
    pub first: String,
    pub second: String,
    pub is_key_unique: bool,
}

impl Visitor for Elements {
    fn message(&mut self, at: &Path, node: Node<'_>) -> bool {
        if let Some(element) = element(&node)
            && let Some(list) = at.list()
        {
            self.lists.entry(list).or_default().push(element);
        }
        // Evidence may be long, and nothing in it has a key.
        !NO_FACTS.contains(&at.top().unwrap_or_default())
    }

    fn string(&mut self, at: &Path, _rules: &Rules, value: &mut String) {
        if at.depth() == 1
            && let Some(list) = at.list()
        {
            self.lists.entry(list).or_default().push(KeyedElement {
                key: value.clone(),
                says: value.clone(),
                is_key_unique: false,
            });
        }
    }
}

impl Elements {
    /// Elements that repeat an earlier one of their list, in the order of their paths.
    pub(super) fn repeated(&self) -> Vec<Repeated> {
        let mut found = Vec::new();
        let mut lists: Vec<_> = self.lists.iter().collect();
        lists.sort_by_key(|(list, _)| *list);
        for (list, found_in) in lists {
            let mut seen = HashMap::new();
            for (index, element) in found_in.elements.iter().enumerate() {
                let says = if element.is_key_unique {
                    &element.key
                } else {
                    &element.says
                };
                let first = *seen.entry(says).or_insert(index);
                if first != index && !says.is_empty() {
                    found.push(Repeated {
                        first: format!("{list}[{first}]"),
                        second: format!("{list}[{index}]"),
                        is_key_unique: element.is_key_unique,
                    });
                }
            }
        }
        found
    }

    fn position(&self, list: &str, key: &str) -> Option<usize> {
        self.lists.get(list)?.places.get(key).copied()
    }

    fn keys(&self, list: &str) -> String {
        let elements = self.lists.get(list).map(|list| list.elements.iter());
        let mut seen = HashSet::new();
        let keys = elements
            .into_iter()
            .flatten()
            .map(|element| element.key.as_str())
            .filter(|key| seen.insert(*key));
        listed(keys)
    }
}

/// One step of a path: a field, and the key of one of its elements.
struct PathStep<'a> {
    field: &'a str,
    key: Option<&'a str>,
}

/// Checks a path against the fields and elements of the record.
///
/// # Errors
/// The missing step, and the existing fields or keys.
pub(super) fn check(
    path: &str,
    root: &MessageDescriptor,
    elements: &Elements,
) -> Result<(), String> {
    // A malformed path was already refused as a string.
    let Some(steps) = parse(path) else {
        return Ok(());
    };
    let mut message = root.clone();
    let mut place = String::new();
    for (depth, step) in steps.iter().enumerate() {
        if depth == 0 && NO_FACTS.contains(&step.field) {
            return Err(format!(
                "{} is no fact that evidence could support; {}",
                step.field,
                fields(&message)
            ));
        }
        let field = message
            .get_field_by_name(step.field)
            .ok_or_else(|| unknown_field(step.field, &message))?;
        if !place.is_empty() {
            place.push('.');
        }
        place.push_str(step.field);
        pick(step, &field, elements, &mut place)?;
        if depth + 1 == steps.len() {
            return Ok(());
        }
        message = inside(step, &field)?;
    }
    Ok(())
}

/// Selects the element of a step, if the step has a key.
fn pick(
    step: &PathStep<'_>,
    field: &FieldDescriptor,
    elements: &Elements,
    place: &mut String,
) -> Result<(), String> {
    let Some(key) = step.key else { return Ok(()) };
    if !field.is_list() {
        return Err(format!("{} is no list; leave the brackets out", step.field));
    }
    let Some(index) = elements.position(place, key) else {
        let keys = elements.keys(place);
        let there = if keys.is_empty() {
            "the list has no elements that can be picked".to_owned()
        } else {
            format!("there are {keys}")
        };
        return Err(format!(
            "{} has no element {}; {there}",
            step.field,
            text::quote_for_error(key)
        ));
    };
    *place = format!("{place}[{index}]");
    Ok(())
}

/// The message in which the next step is resolved.
fn inside(step: &PathStep<'_>, field: &FieldDescriptor) -> Result<MessageDescriptor, String> {
    if field.is_list() && step.key.is_none() {
        return Err(format!(
            "{} is a list; pick an element of it by its key in brackets, like participants[actors/nato]",
            step.field
        ));
    }
    match field.kind() {
        Kind::Message(inner) => Ok(inner),
        _ => Err(format!("{} has no fields of its own", step.field)),
    }
}

fn unknown_field(field: &str, message: &MessageDescriptor) -> String {
    format!(
        "there is no field {} in {}; {}",
        text::quote_for_error(field),
        message.name(),
        fields(message)
    )
}

fn fields(message: &MessageDescriptor) -> String {
    let fields: Vec<_> = message.fields().collect();
    let names = fields
        .iter()
        .map(FieldDescriptor::name)
        .filter(|name| !NO_FACTS.contains(name));
    format!("there are {}", names.collect::<Vec<_>>().join(", "))
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.collect();
    let shown: Vec<_> = words
        .iter()
        .take(MAX_LISTED)
        .map(|word| text::quote_for_error(word))
        .collect();
    match words.len().checked_sub(MAX_LISTED) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

/// Splits a path at its dots; a dot inside brackets belongs to the key. `None` if it is malformed.
fn parse(path: &str) -> Option<Vec<PathStep<'_>>> {
    let mut steps = Vec::new();
    let mut rest = path;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (field, after) = rest.split_at(end);
        let (key, after) = match after.strip_prefix('[') {
            Some(inner) => {
                let (key, after) = inner.split_once(']')?;
                (Some(key), after)
            }
            None => (None, after),
        };
        if field.is_empty() || key.is_some_and(str::is_empty) {
            return None;
        }
        steps.push(PathStep { field, key });
        if after.is_empty() {
            return Some(steps);
        }
        rest = after.strip_prefix('.')?;
    }
}
