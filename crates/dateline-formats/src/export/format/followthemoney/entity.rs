//! An entity under construction. Values that the model refuses or shortens are counted at the field of their origin.

use std::collections::BTreeMap;

use dateline_proto::v1::{Evidence, FuzzyDate, Kind, RecordMeta};
use dateline_record::{name::collection, text::is_blank};
use serde_json::{Value, json};

use super::{id, values};
use crate::export::format::{Losses, Referents, dates::cut};

/// An entity. Its properties are unordered sets; values are written in the order in which they were added.
#[derive(Debug)]
pub(super) struct Entity {
    pub id: String,
    schema: &'static str,
    /// The kind of the record that it describes.
    kind: Kind,
    properties: BTreeMap<&'static str, Vec<String>>,
    /// Ids of merged records, which lead to this entity.
    referents: Vec<String>,
    lost: Losses,
}

impl Entity {
    pub fn new(schema: &'static str, kind: Kind, id: String) -> Self {
        Self {
            id,
            schema,
            kind,
            properties: BTreeMap::new(),
            referents: Vec::new(),
            lost: Losses::default(),
        }
    }

    /// Counts a value of a field as lost.
    pub fn lose(&mut self, field: &str) {
        self.lost
            .add(&format!("{}.{field}", collection(self.kind)), 1);
    }

    /// Adds a text of a field, unless it is empty or already there. A text longer than the property allows is cut.
    pub fn add(mut self, property: &'static str, field: &str, value: impl Into<String>) -> Self {
        let mut value = value.into();
        if value.is_empty() {
            return self;
        }
        if values::shorten(&mut value, values::longest(property)) {
            self.lose(field);
        }
        if is_blank(&value) {
            self.lose(field);
            return self;
        }
        self.put(property, value);
        self
    }

    /// Adds several texts of a field.
    pub fn add_all<Text: Into<String>>(
        self,
        property: &'static str,
        field: &str,
        values: impl IntoIterator<Item = Text>,
    ) -> Self {
        let add = |entity: Self, value: Text| entity.add(property, field, value);
        values.into_iter().fold(self, add)
    }

    /// Adds a value that the model accepts only in its own form: unchanged, or not at all.
    pub fn add_if(
        mut self,
        is_taken: impl Fn(&str) -> bool,
        property: &'static str,
        field: &str,
        value: &str,
    ) -> Self {
        if value.is_empty() {
            return self;
        }
        if is_taken(value) {
            self.put(property, value.to_owned());
        } else {
            self.lose(field);
        }
        self
    }

    /// Adds the country of an ISO 3166-1 code.
    pub fn country(self, field: &str, code: &str) -> Self {
        self.add("country", field, code.to_ascii_lowercase())
    }

    /// Adds a date, as precisely as the model allows.
    pub fn date(mut self, property: &'static str, field: &str, date: Option<&FuzzyDate>) -> Self {
        let field = format!("{}.{field}", collection(self.kind));
        let Some(date) = cut(date, &field, &mut self.lost) else {
            return self;
        };
        if values::is_date(&date) {
            self.put(property, date);
        } else {
            self.lost.add(&format!("{field}.edtf"), 1);
        }
        self
    }

    /// Adds a reference to a record, if the name is not empty. Returns false if the export does not have the record.
    pub fn try_add_reference(
        &mut self,
        property: &'static str,
        field: &str,
        name: &str,
        referents: &Referents,
    ) -> bool {
        if name.is_empty() {
            return true;
        }
        match referents.record(name) {
            Some(record) => self.put(property, id(record)),
            None => self.lose(field),
        }
        referents.record(name).is_some()
    }

    /// Adds a reference to a record, if the name is not empty.
    pub fn add_reference(
        mut self,
        property: &'static str,
        field: &str,
        name: &str,
        referents: &Referents,
    ) -> Self {
        self.try_add_reference(property, field, name, referents);
        self
    }

    /// Adds the cited articles.
    pub fn add_evidence(self, evidence: &[Evidence], referents: &Referents) -> Self {
        let prove = |entity: Self, entry: &Evidence| {
            entity.add_reference("proof", "evidence.article", &entry.article, referents)
        };
        evidence.iter().fold(self, prove)
    }

    /// Adds the ids of records that were merged into this one.
    pub fn add_merged(mut self, meta: Option<&RecordMeta>) -> Self {
        let merged = meta.map_or(&[][..], |meta| &meta.merged_from);
        self.referents.extend(merged.iter().map(|name| id(name)));
        self
    }

    /// Adds the ids of records that were merged into this one, and their names as aliases.
    pub fn add_merged_with_aliases(self, meta: Option<&RecordMeta>) -> Self {
        let merged = meta.map_or(&[][..], |meta| &meta.merged_from);
        self.add_merged(meta)
            .add_all("alias", "meta.merged_from", merged)
    }

    fn put(&mut self, property: &'static str, value: String) {
        let values = self.properties.entry(property).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }

    /// Converts the entity to JSON, and adds its losses to `losses`.
    pub fn into_json(self, losses: &mut Losses) -> Value {
        losses.merge(&self.lost);
        let mut told = json!({
            "id": self.id,
            "schema": self.schema,
            "properties": self.properties,
        });
        if !self.referents.is_empty() {
            told["referents"] = self.referents.into();
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Entity {
        Entity::new("Person", Kind::Actor, id("actors/x"))
    }

    #[test]
    fn an_entity_has_no_empty_and_no_repeated_value() {
        let entity = person()
            .add("name", "display_name", "X")
            .add("name", "display_name", "X")
            .add("title", "honorific_prefix", "")
            .add_reference("proof", "evidence.article", "", &Referents::default());
        let mut losses = Losses::default();
        assert_eq!(
            serde_json::to_string(&entity.into_json(&mut losses)).unwrap(),
            r#"{"id":"dl-actors-x","properties":{"name":["X"]},"schema":"Person"}"#
        );
        assert_eq!(losses, Losses::default());
    }

    #[test]
    fn what_the_model_does_not_take_is_cut_or_left_out_and_counted() {
        let date = |edtf: &str| FuzzyDate {
            edtf: edtf.into(),
            ..FuzzyDate::default()
        };
        let entity = person()
            .add("name", "display_name", "é".repeat(400))
            .add("summary", "description", "\u{200b}")
            .add_if(values::is_url, "sourceUrl", "source_url", "https://a.b/x")
            .date("incorporationDate", "active.start", Some(&date("0987")))
            .add_reference(
                "proof",
                "evidence.article",
                "articles/gone",
                &Referents::default(),
            );
        let mut losses = Losses::default();
        let told = entity.into_json(&mut losses);
        assert_eq!(
            told["properties"]["name"][0]
                .as_str()
                .unwrap()
                .chars()
                .count(),
            384
        );
        assert_eq!(told["properties"].as_object().unwrap().len(), 1, "{told}");
        assert_eq!(
            serde_json::to_string(&losses).unwrap(),
            r#"{"actors.active.start.edtf":1,"actors.description":1,"actors.display_name":1,"actors.evidence.article":1,"actors.source_url":1}"#
        );
    }
}
