//! Rules within one entry of evidence: who made the statement, how it was read, and a quote as long as its offsets.
//! `quote` compares it with the article, `supports` with the record.

use dateline_proto::v1::{Evidence, TextSpan, evidence::Modality};

use super::{RuleReporter, locate::is_located};
use crate::text;

pub(super) fn check(evidence: &Evidence, report: &mut RuleReporter<'_>) {
    match (evidence.modality(), evidence.attributed_to.is_empty()) {
        (Modality::Claimed, true) => {
            let what = "must name the actors whose word it is, for the entry is CLAIMED";
            report.refuse("attributed_to", what);
        }
        (Modality::Asserted | Modality::Implied | Modality::Contradicts, false) => {
            let what =
                "is for CLAIMED entries only; set the modality to CLAIMED, or leave this empty";
            report.refuse("attributed_to", what);
        }
        // An unset modality was already refused as an enum.
        _ => {}
    }
    if evidence.modality() == Modality::Implied && text::is_blank(&evidence.note) {
        let what = "must say how it was read between the lines, for the entry is IMPLIED";
        report.refuse("note", what);
    }
    // A quote without offsets is found when the article was read.
    if let Some(quote) = evidence.quote.as_ref().filter(|quote| is_located(quote)) {
        report.require("quote", fits_its_offsets(quote));
    }
}

fn fits_its_offsets(span: &TextSpan) -> Result<(), String> {
    let (start, end) = (i64::from(span.start), i64::from(span.end));
    if start >= end {
        return Err(format!(
            "starts at {start} and ends at {end}; the end must be greater, for it is exclusive"
        ));
    }
    let length = span.exact.chars().count();
    if i64::try_from(length) == Ok(end - start) {
        return Ok(());
    }
    Err(format!(
        "covers {} characters from {start} to {end}, but exact has {length}; offsets count Unicode code \
         points, not bytes or UTF-16",
        end - start
    ))
}
