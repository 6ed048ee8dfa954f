//! Rules of a record as a whole, the same for every kind: no repeated entries in lists, and evidence that supports
//! existing fields.

use dateline_proto::v1::Evidence;
use prost_reflect::ReflectMessage;

use super::{
    RuleReporter,
    supports::{self, Elements},
};
use crate::walk::{Path, Walk};

/// Checks a message of a kind. Its evidence is passed separately, because the message is borrowed mutably.
pub(super) fn check(
    record: &mut (impl Walk + ReflectMessage),
    evidence: &[Evidence],
    report: &mut RuleReporter<'_>,
) {
    let mut elements = Elements::default();
    record.walk(&mut Path::default(), &mut elements);
    for twice in elements.repeated() {
        if twice.is_key_unique {
            let what = format!("is that of {} too; each needs one of its own", twice.first);
            report.refuse(&format!("{}.id", twice.second), what);
        } else {
            let what = format!("says the same as {}; leave one out", twice.first);
            report.warn(&twice.second, "DUPLICATE_ENTRY", what);
        }
    }
    for (index, entry) in evidence.iter().enumerate() {
        for (position, path) in entry.supports.iter().enumerate() {
            // Listing the existing elements takes time, and no more findings are listed.
            if report.findings.is_full() {
                return;
            }
            let field = format!("evidence[{index}].supports[{position}]");
            let checked = supports::check(path, &record.descriptor(), &elements);
            report.require(&field, checked);
        }
    }
}
