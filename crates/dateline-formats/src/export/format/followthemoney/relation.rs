//! A relation as entities. Types with a schema of their own use it; others become a link, with the type as words in its
//! role.

use dateline_proto::v1::{Kind, Relation, actor, relation::Type};

use super::{Entity, id};
use crate::export::format::Referents;

/// The fields that the entities express.
pub(super) const MAPPED_FIELDS: &[&str] = &[
    "name",
    "meta.merged_from",
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

/// The entities of a relation; `None` if one of its ends is not in the export, or both ends were merged into one.
pub(super) fn relation(relation: &Relation, referents: &Referents) -> Option<Vec<Entity>> {
    let (subject, _) = referents.actor(&relation.subject)?;
    let (object, _) = referents.actor(&relation.object)?;
    if subject == object && relation.subject != relation.object {
        return None;
    }
    let tie = RelationMapper {
        relation,
        referents,
    };
    let mut entities = Vec::new();
    let told = match relation.r#type() {
        Type::HoldsPosition if tie.may_hold() => {
            let post = tie.post();
            let period = relation.period.as_ref();
            let ended = period.is_some_and(|period| period.end.is_some());
            let told = tie
                .between("Occupancy", "holder", None)
                .add("post", "object", post.id.as_str())
                .add("status", "period", if ended { "ended" } else { "" });
            entities.push(post);
            told
        }
        Type::MemberOf if tie.is_body() => tie.with_role("Membership", "member", "organization"),
        Type::Represents => tie.with_role("Representation", "agent", "client"),
        Type::Succeeds => tie.with_role("Succession", "successor", "predecessor"),
        other => tie.link(other),
    };
    entities.push(tie.rest(told));
    Some(entities)
}

/// A relation with both ends in the export.
struct RelationMapper<'a> {
    relation: &'a Relation,
    referents: &'a Referents,
}

impl RelationMapper<'_> {
    fn between(
        &self,
        schema: &'static str,
        subject: &'static str,
        object: Option<&'static str>,
    ) -> Entity {
        let Relation {
            name,
            subject: from,
            object: to,
            ..
        } = self.relation;
        let entity = Entity::new(schema, Kind::Relation, id(name));
        let entity = entity.add_reference(subject, "subject", from, self.referents);
        match object {
            Some(object) => entity.add_reference(object, "object", to, self.referents),
            None => entity,
        }
    }

    fn with_role(
        &self,
        schema: &'static str,
        subject: &'static str,
        object: &'static str,
    ) -> Entity {
        let tie = self.between(schema, subject, Some(object));
        tie.add("role", "role_title", &self.relation.role_title)
    }

    fn link(&self, r#type: Type) -> Entity {
        let words = r#type.as_str_name().trim_start_matches("TYPE_");
        self.between("UnknownLink", "subject", Some("object"))
            .add("role", "type", words.to_ascii_lowercase().replace('_', " "))
            .add("role", "role_title", &self.relation.role_title)
    }

    /// Adds the properties that all relations have.
    fn rest(&self, tie: Entity) -> Entity {
        let relation = self.relation;
        let labels = relation.topics.iter().map(|topic| topic.label.as_str());
        let period = relation.period.clone().unwrap_or_default();
        tie.add(
            "summary",
            "topics.label",
            labels.collect::<Vec<_>>().join("; "),
        )
        .date("startDate", "period.start", period.start.as_ref())
        .date("endDate", "period.end", period.end.as_ref())
        .date("date", "period.as_of", period.as_of.as_ref())
        .add_evidence(&relation.evidence, self.referents)
        .add_merged(relation.meta.as_ref())
    }

    /// The office, named after title and body.
    fn post(&self) -> Entity {
        let body = self.referents.actor(&self.relation.object);
        let (shown, country) = body.map_or(("", ""), |(_, body)| {
            (body.display_name.as_ref(), body.region_code.as_ref())
        });
        let title = match self.relation.role_title.as_str() {
            "" => "office",
            title => title,
        };
        let post = format!("{}-post", id(&self.relation.name));
        Entity::new("Position", Kind::Relation, post)
            .add("name", "role_title", format!("{title}, {shown}"))
            .add_reference(
                "organization",
                "object",
                &self.relation.object,
                self.referents,
            )
            .country("object", country)
    }

    /// True if the subject may hold a post: only persons can, and only at bodies.
    fn may_hold(&self) -> bool {
        let holder = self.referents.actor(&self.relation.subject);
        holder.is_some_and(|(_, holder)| holder.r#type == actor::Type::Person) && self.is_body()
    }

    fn is_body(&self) -> bool {
        let none = [actor::Type::Person, actor::Type::Group];
        let object = self.referents.actor(&self.relation.object);
        object.is_some_and(|(_, object)| !none.contains(&object.r#type))
    }
}
