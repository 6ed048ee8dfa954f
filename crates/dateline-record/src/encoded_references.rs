//! The references of an encoded record, found without decoding it: only messages that can contain a reference are read.

use std::{collections::HashMap, sync::LazyLock};

use dateline_proto::{DESCRIPTORS, v1::Kind};
use prost_reflect::{ExtensionDescriptor, FieldDescriptor, Kind as Type, MessageDescriptor};

use super::{
    name::{Name, kind_label},
    wire::{WireFields, WireValue},
};

static TABLE: LazyLock<Table> = LazyLock::new(Table::from_schema);

/// Calls `found` for every reference in the content of a record: the encoded message of its kind, without meta. Returns
/// false if the encoding is not canonical; the content has to be decoded then, and what was found before is void.
pub fn visit_references<'a>(
    kind: Kind,
    content: &'a [u8],
    found: &mut impl FnMut(&'a str),
) -> bool {
    let message = TABLE.kinds.get(&kind);
    message.is_some_and(|message| TABLE.visit(*message, content, found).is_some())
}

/// The fields that are, or may contain, references.
#[derive(Debug, Default)]
struct Table {
    kinds: HashMap<Kind, usize>,
    messages: Vec<Vec<Field>>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    number: u32,
    is_list: bool,
    /// The message in it; `None` for a name.
    message: Option<usize>,
}

impl Table {
    fn from_schema() -> Self {
        let mut table = Self::default();
        let Some(rules) = DESCRIPTORS
            .all_extensions()
            .find(|extension| extension.full_name() == "dateline.v1.field")
        else {
            return table;
        };
        for kind in super::name::KINDS {
            let record = DESCRIPTORS.get_message_by_name("dateline.v1.Record");
            let field = record.and_then(|record| record.get_field_by_name(kind_label(kind)));
            if let Some(Type::Message(message)) = field.map(|field| field.kind()) {
                let index = table.add(&message, &rules);
                table.kinds.insert(kind, index);
            }
        }
        table.drop_without_references();
        table
    }

    fn add(&mut self, message: &MessageDescriptor, rules: &ExtensionDescriptor) -> usize {
        if let Some(known) = self.by_name.get(message.full_name()) {
            return *known;
        }
        let index = self.messages.len();
        self.by_name.insert(message.full_name().to_owned(), index);
        self.messages.push(Vec::new());
        for field in message.fields() {
            let inner = match field.kind() {
                Type::Message(inner) => Some(self.add(&inner, rules)),
                Type::String if is_reference(&field, rules) => None,
                _ => continue,
            };
            self.messages[index].push(Field {
                number: field.number(),
                is_list: field.is_list(),
                message: inner,
            });
        }
        index
    }

    /// Drops the fields of messages that contain no reference at any depth.
    fn drop_without_references(&mut self) {
        loop {
            let empty: Vec<bool> = self.messages.iter().map(Vec::is_empty).collect();
            let before: usize = self.messages.iter().map(Vec::len).sum();
            for message in &mut self.messages {
                message.retain(|field| field.message.is_none_or(|inner| !empty[inner]));
            }
            if before == self.messages.iter().map(Vec::len).sum::<usize>() {
                return;
            }
        }
    }

    fn visit<'a>(
        &self,
        message: usize,
        bytes: &'a [u8],
        found: &mut impl FnMut(&'a str),
    ) -> Option<()> {
        let known = self.messages.get(message)?;
        let mut fields = WireFields::new(bytes);
        let mut last = 0;
        while let Some((number, value)) = fields.next_field()? {
            let Some(field) = known.iter().find(|field| field.number == number) else {
                continue;
            };
            // Of a field that is there twice the last one counts, or both are merged.
            if std::mem::replace(&mut last, number) == number && !field.is_list {
                return None;
            }
            let WireValue::Bytes(bytes) = value else {
                return None;
            };
            if let Some(inner) = field.message {
                self.visit(inner, bytes, found)?;
                continue;
            }
            let name = std::str::from_utf8(bytes).ok()?;
            if Name::parse(name).is_some() {
                found(name);
            }
        }
        Some(())
    }
}

fn is_reference(field: &FieldDescriptor, rules: &ExtensionDescriptor) -> bool {
    let options = field.options();
    let rules = options.get_extension(rules);
    let targets = rules
        .as_message()
        .and_then(|rules| rules.get_field_by_name("refers_to"));
    targets.is_some_and(|targets| targets.as_list().is_some_and(|list| !list.is_empty()))
}

#[cfg(test)]
mod tests {
    use dateline_proto::v1::{Actor, Record, record::Kind as Body};
    use prost_reflect::{DynamicMessage, ReflectMessage};

    use super::*;
    use crate::{name::KINDS, references::references};

    /// Every field of every kind.
    const FULL: [&str; 4] = [
        include_str!("../../../tests/data/full_actor.json"),
        include_str!("../../../tests/data/full_article.json"),
        include_str!("../../../tests/data/full_event.json"),
        include_str!("../../../tests/data/full_relation.json"),
    ];

    #[test]
    fn e6_the_references_of_an_encoded_record_are_those_of_the_decoded_one() {
        for text in FULL {
            let mut json = serde_json::Deserializer::from_str(text);
            let record = DynamicMessage::deserialize(Record::default().descriptor(), &mut json);
            let record: Record = record.unwrap().transcode_to().unwrap();
            let mut body = record.kind.unwrap();
            body.take_meta();
            let content = body.to_content();
            let mut names = Vec::new();
            let mut found = |name: &str| names.push(name.to_owned());
            assert!(visit_references(body.kind(), &content, &mut found));
            let decoded = references(&mut body).into_iter().map(|named| named.name);
            let mut decoded: Vec<_> = decoded.collect();
            assert!(decoded.len() > 1, "{text}");
            decoded.sort();
            names.sort();
            assert_eq!(names, decoded);
        }
    }

    #[test]
    fn e6_only_messages_with_references_are_read() {
        for kind in KINDS {
            let message = TABLE.kinds[&kind];
            assert!(!TABLE.messages[message].is_empty(), "{kind:?}");
        }
        let is_kept = |name: &str| !TABLE.messages[TABLE.by_name[name]].is_empty();
        assert!(is_kept("dateline.v1.Evidence") && !is_kept("dateline.v1.FuzzyDate"));
    }

    #[test]
    fn e6_a_field_that_is_there_twice_is_left_to_the_decoder() {
        let mut content = Body::Actor(Actor::default()).to_content();
        assert!(visit_references(Kind::Actor, &content, &mut |_| ()));
        content.extend(b"\x0a\x01b\x0a");
        assert!(!visit_references(Kind::Actor, &content, &mut |_| ()));
    }
}
