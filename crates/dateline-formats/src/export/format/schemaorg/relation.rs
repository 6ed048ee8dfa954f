//! A relation as properties of its subject's node.

use dateline_proto::v1::{Relation, relation::Type};
use serde_json::{Value, json};

use super::{SchemaOrg, class, class_of_agent};
use crate::export::format::{Losses, Referents, dates::exact, documents::Object};

/// The fields that the node expresses.
pub(super) const MAPPED_FIELDS: &[&str] = &[
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
    /// The node of a relation; `None` if there is no property for this type and these actors, one of them is not in the
    /// export, or both were merged into one.
    pub(super) fn relation(
        &self,
        relation: &Relation,
        referents: &Referents,
        losses: &mut Losses,
    ) -> Option<Object> {
        let (from, subject) = referents.actor(&relation.subject)?;
        let (to, object) = referents.actor(&relation.object)?;
        if from == to && relation.subject != relation.object {
            return None;
        }
        let acts = class_of_agent(subject) != "Country";
        let node = self.node(Some(class(subject.r#type)), from);
        match relation.r#type() {
            Type::HoldsPosition | Type::MemberOf if acts => {
                let role = self.role(relation, to, losses);
                Some(node.set("memberOf", vec![Value::from(role)]))
            }
            Type::PartOf if acts && class_of_agent(object) != "Country" => {
                losses.add(
                    "relations.role_title",
                    u64::from(!relation.role_title.is_empty()),
                );
                losses.add("relations.period", u64::from(relation.period.is_some()));
                Some(node.set("parentOrganization", json!({"@id": self.uri(to)})))
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

    fn role(&self, relation: &Relation, to: &str, losses: &mut Losses) -> Object {
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
            .set("memberOf", json!({"@id": self.uri(to)}))
    }
}
