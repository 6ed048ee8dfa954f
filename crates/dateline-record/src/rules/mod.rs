//! Rules across the fields of one record. The walk of `validate` calls them when it leaves a message, after every field
//! inside was checked and normalised; the same rules hold for a message at any position. No rule reads another record.

pub mod codes;
pub mod language;
pub mod locate;
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

/// Collects the findings of a rule, under the path of the checked message.
pub struct RuleReporter<'a> {
    at: &'a Path,
    findings: &'a mut Findings,
}

impl<'a> RuleReporter<'a> {
    /// A report for the message at this path.
    pub fn new(at: &'a Path, findings: &'a mut Findings) -> Self {
        Self { at, findings }
    }

    /// Reports a violation of a field, or of the message itself if `inner` is empty.
    fn refuse(&mut self, inner: &str, description: impl Into<String>) {
        self.findings.refuse(self.at.child(inner), description);
    }

    /// Reports a warning; the record may still be stored.
    fn warn(&mut self, inner: &str, reason: &'static str, description: impl Into<String>) {
        self.findings
            .warn(self.at.child(inner), reason, description);
    }

    /// Reports the error of a check as a violation.
    fn require(&mut self, inner: &str, checked: Result<(), String>) {
        if let Err(description) = checked {
            self.refuse(inner, description);
        }
    }
}

/// Clears the fields that `check` computes from the rest of a message, before they are visited. Values that a client
/// sent are dropped without a violation.
pub fn clear_computed(node: Node<'_>) {
    if let Node::FuzzyDate(date) = node {
        time::clear_bounds(date);
    }
}

/// Checks a message whose fields have been visited.
pub fn check(node: Node<'_>, report: &mut RuleReporter<'_>) {
    match node {
        Node::FuzzyDate(date) => time::date(date, report),
        Node::Period(period) => time::period(period, report),
        Node::Evidence(evidence) => evidence::check(evidence, report),
        Node::Place(place) => values::check_place(place, report),
        Node::Quantity(quantity) => values::check_quantity(quantity, report),
        Node::Participant(participant) => values::check_participant(participant, report),
        Node::TextSpan(span) => quote::check_span(span, report),
        Node::Article(article) => {
            quote::locate_mentions(article, report);
            quote::mentions(article, report);
            record::check(article, &[], report);
        }
        Node::Actor(actor) => {
            values::check_actor(actor, report);
            let evidence = std::mem::take(&mut actor.evidence);
            record::check(actor, &evidence, report);
            actor.evidence = evidence;
        }
        Node::Relation(relation) => {
            values::check_relation(relation, report);
            let evidence = std::mem::take(&mut relation.evidence);
            record::check(relation, &evidence, report);
            relation.evidence = evidence;
        }
        Node::Event(event) => {
            values::check_event(event, report);
            let evidence = std::mem::take(&mut event.evidence);
            record::check(event, &evidence, report);
            event.evidence = evidence;
        }
        _ => {}
    }
}
