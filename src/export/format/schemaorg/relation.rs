//! A relation as what it adds to the node of its subject.

use serde_json::{Value, json};

use super::{SchemaOrg, class, class_of_agent};
use crate::{
    export::format::{Actors, Losses, dates::exact, documents::Object},
    proto::v1::{Relation, relation::Type},
};

/// The fields that the node says.
pub(super) const SAID: &[&str] = &[
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
];

impl SchemaOrg {
    /// `None` if there is no property for such a tie between such actors.
    pub(super) fn relation(
        &self,
        relation: &Relation,
        actors: &Actors,
        losses: &mut Losses,
    ) -> Option<Object> {
        let subject = class_of_agent(&relation.subject, actors);
        let object = class_of_agent(&relation.object, actors);
        let acts = subject != Some("Country");
        match relation.r#type() {
            Type::HoldsPosition | Type::MemberOf if acts => {
                let role = self.role(relation, losses);
                Some(
                    self.subject(relation, actors)
                        .set("memberOf", vec![Value::from(role)]),
                )
            }
            Type::PartOf if acts && object != Some("Country") => {
                losses.add(
                    "relations.role_title",
                    u64::from(!relation.role_title.is_empty()),
                );
                losses.add("relations.period", u64::from(relation.period.is_some()));
                let whole = json!({"@id": self.uri(&relation.object)});
                Some(
                    self.subject(relation, actors)
                        .set("parentOrganization", whole),
                )
            }
            Type::Unspecified
            | Type::HoldsPosition
            | Type::MemberOf
            | Type::PartOf
            | Type::Represents
            | Type::AccreditedTo
            | Type::CooperatesWith
            | Type::Succeeds => None,
        }
    }

    fn subject(&self, relation: &Relation, actors: &Actors) -> Object {
        let known = actors.get(&relation.subject);
        self.node(known.map(|known| class(known.r#type)), &relation.subject)
    }

    fn role(&self, relation: &Relation, losses: &mut Losses) -> Object {
        let period = relation.period.clone().unwrap_or_default();
        Object::default()
            .set("@type", "OrganizationRole")
            .set("roleName", relation.role_title.as_str())
            .set(
                "startDate",
                exact(period.start.as_ref(), "relations.period.start", losses),
            )
            .set(
                "endDate",
                exact(period.end.as_ref(), "relations.period.end", losses),
            )
            .set("memberOf", json!({"@id": self.uri(&relation.object)}))
    }
}
