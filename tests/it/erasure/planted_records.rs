//! Records in which every text says a word of its own. The schema says which texts there are: a field that is added to
//! it is planted too, or the test says that it does not know how.

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::{
    has_rule,
    v1::{
        Kind, Record, RecordMeta, Write, evidence::Modality, place::Precision, record::Kind as Body,
    },
};
use dateline_record::{
    name::collection,
    walk::{Node, Path, Rules, StringFormat, Visitor, Walk},
};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind as Type, MessageDescriptor, ReflectMessage, Value,
    prost::Message,
};
use regex::Regex;

use crate::support::records::{HEADLINE, SOURCE, evidence_quoting, record_of_kind};

/// Words that stand nowhere else, with the field that each was planted in.
pub struct PlantedWords {
    prefix: &'static str,
    pub planted: BTreeMap<String, String>,
}

impl PlantedWords {
    /// `prefix` is two letters, of which one is no hexadecimal digit.
    pub fn new(prefix: &'static str) -> Self {
        let planted = BTreeMap::new();
        Self { prefix, planted }
    }

    /// Seven lower-case letters, which fit a subtag of a language too, and are no hexadecimal number.
    pub fn plant(&mut self, field: &str) -> String {
        let number = self.planted.len();
        let letter = |place: u32| char::from(b"ghijklmnop"[number / 10_usize.pow(place) % 10]);
        let word: String = (0..5).map(letter).collect();
        let word = format!("{}{word}", self.prefix);
        let before = self.planted.insert(word.clone(), field.to_owned());
        assert_eq!(before, None, "each word once");
        word
    }

    /// Something else that must be found nowhere.
    pub fn add(&mut self, word: String, field: &str) {
        self.planted.insert(word, field.to_owned());
    }
}

/// The record that a full one refers to, of each kind.
#[derive(Clone)]
pub struct ReferenceTargets {
    names: BTreeMap<Kind, String>,
    /// Referred to wherever there is a choice.
    preferred: Kind,
}

impl ReferenceTargets {
    pub fn new() -> Self {
        let names = [
            (Kind::Article, SOURCE),
            (Kind::Actor, "actors/one"),
            (Kind::Relation, "relations/companion"),
            (Kind::Event, "events/companion"),
        ];
        Self {
            names: names.map(|(kind, name)| (kind, name.to_owned())).into(),
            preferred: Kind::Actor,
        }
    }

    /// The same, but for one kind.
    pub fn with(mut self, kind: Kind, name: &str) -> Self {
        self.names.insert(kind, name.to_owned());
        self.preferred = kind;
        self
    }

    fn first_of(&self, collections: &[&str]) -> String {
        let preferred = collection(self.preferred);
        let preferred = collections.iter().find(|it| **it == preferred);
        let wanted = preferred.unwrap_or(&collections[0]);
        let mut names = self.names.iter();
        let found = names.find(|(kind, _)| collection(**kind) == *wanted);
        found
            .unwrap_or_else(|| panic!("no record of {wanted}"))
            .1
            .clone()
    }
}

/// The fields that are stored.
fn stored_fields(message: &MessageDescriptor) -> impl Iterator<Item = FieldDescriptor> {
    message
        .fields()
        .filter(|field| !has_rule(field, "input_only"))
}

/// A value of everything that a message can hold, each list with one element.
fn filled(message: &MessageDescriptor) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in stored_fields(message) {
        let value = value(&field.kind(), field.full_name());
        let value = if field.is_list() {
            Value::List(vec![value])
        } else {
            value
        };
        filled.set_field(&field, value);
    }
    filled
}

fn value(of: &Type, field: &str) -> Value {
    match of {
        Type::Message(message) => Value::Message(filled(message)),
        Type::Enum(values) => {
            let mut values = values.values().map(|value| value.number());
            Value::EnumNumber(values.find(|number| *number != 0).unwrap())
        }
        Type::String => Value::String(String::new()),
        Type::Bool => Value::Bool(false),
        Type::Double => Value::F64(1.5),
        Type::Float => Value::F32(0.5),
        Type::Int32 => Value::I32(1),
        Type::Int64 => Value::I64(1),
        other => panic!("say what to put into {field}, which is {other:?}"),
    }
}

/// The strings of a message, as paths without indexes.
fn strings(message: &MessageDescriptor, at: &str, found: &mut BTreeSet<String>) {
    for field in stored_fields(message) {
        let here = if at.is_empty() {
            field.name().to_owned()
        } else {
            format!("{at}.{}", field.name())
        };
        match field.kind() {
            Type::String => drop(found.insert(here)),
            Type::Message(inner) if here != "meta" => strings(&inner, &here, found),
            _ => {}
        }
    }
}

/// A record that has every field of its kind, and a new word in each text that can hold one.
pub fn full(
    kind: Kind,
    id: &str,
    refers_to: &ReferenceTargets,
    words: &mut PlantedWords,
) -> Record {
    let template = record_of_kind(kind, id).kind.unwrap();
    let descriptor = template.to_dynamic().descriptor();
    let bytes = filled(&descriptor).encode_to_vec();
    let mut body = Body::decode(kind, &bytes).unwrap().unwrap();
    body.take_meta();
    let mut planter = Planter {
        kind,
        name: template.name(),
        refers_to,
        words,
        visited: BTreeSet::new(),
        said: BTreeMap::new(),
    };
    body.walk(&mut Path::default(), &mut planter);
    let Planter { visited, said, .. } = planter;
    let mut expected = BTreeSet::new();
    strings(&descriptor, "", &mut expected);
    assert_eq!(visited, expected, "every text is planted");
    put_what_quotes(&mut body, &said);
    body.into()
}

/// Fields that repeat another text of the record: mentions, and the paths of what evidence supports.
fn put_what_quotes(body: &mut Body, said: &BTreeMap<String, String>) {
    if let Body::Article(article) = body {
        let span = article.mentions[0].span.as_mut().unwrap();
        let before = article.headline.find(&said["headline"]).unwrap();
        span.exact.clone_from(&said["headline"]);
        span.start = i32::try_from(before).unwrap();
        span.end = i32::try_from(article.headline.len()).unwrap();
    }
    let supported = match body {
        Body::Actor(_) => format!("names[{}]", said["names.text"]),
        _ => format!("topics[{}]", said["topics.id"]),
    };
    for entry in body.evidence_mut().into_iter().flatten() {
        entry.supports = vec![supported.clone()];
    }
    if let Some(entries) = body.evidence_mut() {
        entries.push(evidence_quoting(SOURCE));
    }
}

struct Planter<'a> {
    kind: Kind,
    name: &'a str,
    refers_to: &'a ReferenceTargets,
    words: &'a mut PlantedWords,
    visited: BTreeSet<String>,
    /// The word of each field.
    said: BTreeMap<String, String>,
}

impl Planter<'_> {
    /// The value of a text field that cannot hold a free word.
    fn spared(&self, at: &Path, rules: &Rules, value: &str) -> Option<String> {
        match (at.template().as_str(), rules.format) {
            // A name stays for ever (W10).
            ("name", _) => Some(self.name.to_owned()),
            // Text of the article that it quotes, which is there still.
            ("evidence.quote.exact", _) => Some(value.to_owned()),
            // Put afterwards, for they repeat words of other fields.
            ("mentions.span.exact" | "evidence.supports", _) => Some(String::new()),
            // Computed by the service: dates, and the hash of an original that is sent.
            _ if rules.output_only => Some(String::new()),
            // Names of other records, which stay.
            ("object", _) => Some("actors/two".to_owned()),
            _ if !rules.refers_to.is_empty() => Some(self.refers_to.first_of(rules.refers_to)),
            // Codes and dates, of which there are few.
            (_, StringFormat::Region) => Some("US".to_owned()),
            (_, StringFormat::Subdivision) => Some("US-FL".to_owned()),
            (_, StringFormat::Edtf) => Some("2021-09-15".to_owned()),
            _ => None,
        }
    }

    /// A word in the form that a field asks for.
    fn shaped(&self, at: &Path, rules: &Rules, word: &str) -> String {
        let shapes = [
            word.to_owned(),
            format!("x:{word}"),
            format!("en-x-{word}"),
            format!("https://example.org/{word}"),
            format!("{HEADLINE} {word}"),
        ];
        let shape = match (at.template().as_str(), rules.format) {
            ("headline", _) => 4,
            (_, StringFormat::Url) => 3,
            (_, StringFormat::Language) => 2,
            _ => match rules.pattern.map(|pattern| Regex::new(pattern).unwrap()) {
                None => 0,
                Some(pattern) => {
                    let fits = shapes.iter().position(|shape| pattern.is_match(shape));
                    fits.unwrap_or_else(|| panic!("say what to put into {at} of {:?}", self.kind))
                }
            },
        };
        shapes[shape].clone()
    }
}

impl Visitor for Planter<'_> {
    /// Values that go together with all the others being there.
    fn message(&mut self, _at: &Path, node: Node<'_>) -> bool {
        match node {
            Node::Place(place) => place.set_precision(Precision::City),
            Node::Evidence(entry) => {
                entry.set_modality(Modality::Claimed);
                entry.quote = evidence_quoting(SOURCE).quote;
            }
            _ => {}
        }
        true
    }

    fn string(&mut self, at: &Path, rules: &Rules, value: &mut String) {
        let field = at.template();
        // Hints to the place of a span, which are not stored.
        if field.ends_with(".prefix") || field.ends_with(".suffix") {
            return;
        }
        self.visited.insert(field.clone());
        *value = if let Some(text) = self.spared(at, rules, value) {
            text
        } else {
            let word = self.words.plant(&field);
            self.said.insert(field, word.clone());
            self.shaped(at, rules, &word)
        };
    }
}

/// The same record with the etag of one that was read.
pub fn as_read(record: &Record, read: &Record) -> Record {
    let mut record = record.clone();
    let etag = crate::support::records::meta(read).etag;
    record.kind.as_mut().unwrap().set_meta(Some(RecordMeta {
        etag,
        ..RecordMeta::default()
    }));
    record
}

/// Verbs that take a note, as the schema has them.
pub fn verbs_with_a_note() -> BTreeSet<String> {
    let write = Write::default().descriptor();
    let verbs = write.fields().filter(|verb| match verb.kind() {
        Type::Message(inner) => inner.get_field_by_name("note").is_some(),
        _ => false,
    });
    verbs.map(|verb| format!("{}.note", verb.name())).collect()
}

/// The write with a new word for its note, if it takes one.
pub fn noted(write: &Write, words: &mut PlantedWords) -> Write {
    let mut write = write.transcode_to_dynamic();
    let action = write.fields().next();
    let (verb, action) = action
        .map(|(verb, action)| (verb, action.clone()))
        .expect("a write does something");
    if let Value::Message(mut action) = action
        && action.descriptor().get_field_by_name("note").is_some()
    {
        let word = words.plant(&format!("{}.note", verb.name()));
        action.set_field_by_name("note", Value::String(word));
        write.set_field(&verb, Value::Message(action));
    }
    write.transcode_to().unwrap()
}
