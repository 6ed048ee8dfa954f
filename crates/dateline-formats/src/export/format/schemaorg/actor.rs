//! An actor as a node of its own.

use dateline_proto::v1::{Actor, actor::Type};
use serde_json::{Value, json};

use super::{SchemaOrg, class, one_or_all};
use crate::export::format::{Losses, dates::exact, documents::Object};

/// The fields that the node expresses.
pub(super) const MAPPED_FIELDS: &[&str] = &[
    "name",
    "meta.uid",
    "meta.merged_from",
    "type",
    "display_name",
    "names.text",
    "description",
    "purpose",
    "honorific_prefix",
    "headquarters.display_name",
    "active.start.edtf",
    "active.start.earliest",
    "active.start.latest",
    "active.end.edtf",
    "active.end.earliest",
    "active.end.latest",
    "external_ids",
];

impl SchemaOrg {
    pub(super) fn actor(&self, actor: &Actor, losses: &mut Losses) -> Object {
        let mut others: Vec<Value> = Vec::new();
        for name in &actor.names {
            let name = json!(name.text);
            if name != json!(actor.display_name) && !others.contains(&name) {
                others.push(name);
            }
        }
        let node = self
            .node(Some(class(actor.r#type())), &actor.name)
            .set("name", actor.display_name.as_str())
            .set("alternateName", others)
            .set("disambiguatingDescription", actor.description.as_str())
            .set("description", actor.purpose.as_str())
            .set("sameAs", one_or_all(self.same(actor)))
            .set("identifier", identifiers(actor));
        match actor.r#type() {
            Type::Person => node.set("honorificPrefix", actor.honorific_prefix.as_str()),
            Type::State => {
                lose_lifetime(actor, losses);
                node
            }
            Type::Unspecified
            | Type::Intergovernmental
            | Type::GovernmentBody
            | Type::Military
            | Type::Programme
            | Type::Media
            | Type::Organization
            | Type::Group => with_lifetime(node, actor, losses),
        }
    }

    /// Links to the same thing in other databases, and under its names before merges.
    fn same(&self, actor: &Actor) -> Vec<Value> {
        let link = |scheme: &str, value: &str| match scheme {
            "wikidata" => Some(json!(format!("http://www.wikidata.org/entity/{value}"))),
            "url" => Some(json!(value)),
            _ => None,
        };
        let ids = actor.external_ids.iter();
        let links = ids.filter_map(|id| link(&id.scheme, &id.value));
        links.chain(self.merged(actor.meta.as_ref())).collect()
    }
}

/// Our own id, and external ids that are not links.
fn identifiers(actor: &Actor) -> Vec<Value> {
    let uid = actor.meta.as_ref().map(|meta| json!(meta.uid));
    let ids = actor.external_ids.iter();
    let others = ids.filter(|id| !matches!(id.scheme.as_str(), "wikidata" | "url"));
    let others = others
        .map(|id| json!({"@type": "PropertyValue", "propertyID": id.scheme, "value": id.value}));
    uid.into_iter().chain(others).collect()
}

/// Adds foundation, dissolution and location, which organisations have.
fn with_lifetime(node: Object, actor: &Actor, losses: &mut Losses) -> Object {
    let active = actor.active.clone().unwrap_or_default();
    let seat = actor.headquarters.as_ref();
    let seat = seat.map(|place| json!({"@type": "Place", "name": place.display_name}));
    node.set(
        "foundingDate",
        exact(active.start.as_ref(), "actors.active.start", losses),
    )
    .set(
        "dissolutionDate",
        exact(active.end.as_ref(), "actors.active.end", losses),
    )
    .set("location", seat)
}

/// Counts the lifetime and headquarters of a country as lost, since schema.org has no properties for them.
fn lose_lifetime(actor: &Actor, losses: &mut Losses) {
    if let Some(active) = &actor.active {
        losses.add("actors.active.start", u64::from(active.start.is_some()));
        losses.add("actors.active.end", u64::from(active.end.is_some()));
    }
    losses.add(
        "actors.headquarters",
        u64::from(actor.headquarters.is_some()),
    );
}
