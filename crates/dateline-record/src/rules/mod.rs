//! What the fields of one record have to do with each other. The walk of `validate` asks here as it leaves
//! each message, with every field inside checked and normalised; the same rules hold for a message wherever
//! it stands. No rule looks at another record.

pub mod codes;
pub mod language;
pub mod quote;

mod evidence;
mod record;
mod supports;
mod time;
mod values;

#[cfg(test)]
mod codes_tests;
#[cfg(test)]
mod fixture_tests;
#[cfg(test)]
mod quote_tests;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod time_tests;
#[cfg(test)]
mod values_tests;

use super::{
    violation::Findings,
    walk::{Node, Path},
};

/// Where a rule tells what it found: under the message that it looked at.
pub struct Report<'a> {
    at: &'a Path,
    findings: &'a mut Findings,
}

impl<'a> Report<'a> {
    /// For the message at a place.
    pub fn new(at: &'a Path, findings: &'a mut Findings) -> Self {
        Self { at, findings }
    }

    /// A field of the message, or the message itself if `inner` is empty, is wrong.
    fn refuse(&mut self, inner: &str, description: impl Into<String>) {
        self.findings.refuse(self.at.child(inner), description);
    }

    /// The same, but it may be stored.
    fn warn(&mut self, inner: &str, reason: &'static str, description: impl Into<String>) {
        self.findings
            .warn(self.at.child(inner), reason, description);
    }

    /// Refuses a field for what its check says.
    fn require(&mut self, inner: &str, checked: Result<(), String>) {
        if let Err(description) = checked {
            self.refuse(inner, description);
        }
    }
}

/// Forgets what `check` computes from the rest of a message, before its fields are visited: whatever stands
/// there is accepted from nobody, so it is not worth a refusal either.
pub fn forget_computed(node: Node<'_>) {
    if let Node::FuzzyDate(date) = node {
        time::forget_bounds(date);
    }
}

/// Checks a message whose fields have been visited.
pub fn check(node: Node<'_>, report: &mut Report<'_>) {
    match node {
        Node::FuzzyDate(date) => time::date(date, report),
        Node::Period(period) => time::period(period, report),
        Node::Evidence(evidence) => evidence::check(evidence, report),
        Node::Place(place) => values::place(place, report),
        Node::Quantity(quantity) => values::quantity(quantity, report),
        Node::Participant(participant) => values::participant(participant, report),
        Node::Article(article) => {
            quote::mentions(article, report);
            record::check(article, &[], report);
        }
        Node::Actor(actor) => {
            values::actor(actor, report);
            let evidence = std::mem::take(&mut actor.evidence);
            record::check(actor, &evidence, report);
            actor.evidence = evidence;
        }
        Node::Relation(relation) => {
            values::relation(relation, report);
            let evidence = std::mem::take(&mut relation.evidence);
            record::check(relation, &evidence, report);
            relation.evidence = evidence;
        }
        Node::Event(event) => {
            values::event(event, report);
            let evidence = std::mem::take(&mut event.evidence);
            record::check(event, &evidence, report);
            event.evidence = evidence;
        }
        _ => {}
    }
}
