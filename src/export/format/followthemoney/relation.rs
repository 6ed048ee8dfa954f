//! A relation as entities. What has a schema of its own there keeps its type; the rest is a link whose role
//! tells the type in words.

use super::{Entity, id};
use crate::{
    export::format::{Actors, Losses, dates::cut},
    proto::v1::{Relation, actor, relation::Type},
};

/// The fields that the entities say.
pub(super) const SAID: &[&str] = &[
    "name",
    "type",
    "subject",
    "object",
    "role_title",
    "period.start.edtf",
    "period.start.earliest",
    "period.start.latest",
    "period.end.edtf",
    "period.end.earliest",
    "period.end.latest",
    "period.as_of.edtf",
    "period.as_of.earliest",
    "period.as_of.latest",
    "topics.label",
    "evidence.article",
];

pub(super) fn relation(relation: &Relation, actors: &Actors, losses: &mut Losses) -> Vec<Entity> {
    let new = |schema| Entity::new(schema, id(&relation.name));
    let mut entities = Vec::new();
    let tie = match relation.r#type() {
        Type::HoldsPosition if may_hold(relation, actors) => {
            let post = post(relation, actors);
            let tie = new("Occupancy")
                .refer("holder", &relation.subject)
                .add("post", post.id.as_str());
            entities.push(post);
            let ended = relation
                .period
                .as_ref()
                .is_some_and(|period| period.end.is_some());
            tie.add("status", if ended { "ended" } else { "" })
        }
        Type::MemberOf if is_body(&relation.object, actors) => new("Membership")
            .refer("member", &relation.subject)
            .refer("organization", &relation.object)
            .add("role", &relation.role_title),
        Type::Represents => new("Representation")
            .refer("agent", &relation.subject)
            .refer("client", &relation.object)
            .add("role", &relation.role_title),
        Type::Succeeds => new("Succession")
            .refer("successor", &relation.subject)
            .refer("predecessor", &relation.object)
            .add("role", &relation.role_title),
        other => link(new("UnknownLink"), relation, other),
    };
    entities.push(rest(tie, relation, losses));
    entities
}

fn link(link: Entity, relation: &Relation, r#type: Type) -> Entity {
    let words = r#type.as_str_name().trim_start_matches("TYPE_");
    link.refer("subject", &relation.subject)
        .refer("object", &relation.object)
        .add("role", words.to_ascii_lowercase().replace('_', " "))
        .add("role", &relation.role_title)
}

/// What all of them can say.
fn rest(tie: Entity, relation: &Relation, losses: &mut Losses) -> Entity {
    let labels: Vec<_> = relation
        .topics
        .iter()
        .map(|topic| topic.label.as_str())
        .collect();
    let period = relation.period.clone().unwrap_or_default();
    tie.add("summary", labels.join("; "))
        .add_some(
            "startDate",
            cut(period.start.as_ref(), "relations.period.start", losses),
        )
        .add_some(
            "endDate",
            cut(period.end.as_ref(), "relations.period.end", losses),
        )
        .add_some(
            "date",
            cut(period.as_of.as_ref(), "relations.period.as_of", losses),
        )
        .prove(&relation.evidence)
}

/// The office, named after title and body.
fn post(relation: &Relation, actors: &Actors) -> Entity {
    let body = actors.get(&relation.object);
    let shown = body.map_or(relation.object.as_str(), |body| body.display_name.as_ref());
    let country = body.map_or("", |body| body.region_code.as_ref());
    let title = match relation.role_title.as_str() {
        "" => "office",
        title => title,
    };
    Entity::new("Position", format!("{}-post", id(&relation.name)))
        .add("name", format!("{title}, {shown}"))
        .refer("organization", &relation.object)
        .add("country", country.to_ascii_lowercase())
}

/// Only persons hold posts there, and only at bodies. Of whom nothing is known, the relation is believed.
fn may_hold(relation: &Relation, actors: &Actors) -> bool {
    let holder = actors.get(&relation.subject);
    holder.is_none_or(|holder| holder.r#type == actor::Type::Person)
        && is_body(&relation.object, actors)
}

fn is_body(name: &str, actors: &Actors) -> bool {
    let none = [actor::Type::Person, actor::Type::Group];
    actors
        .get(name)
        .is_none_or(|actor| !none.contains(&actor.r#type))
}
