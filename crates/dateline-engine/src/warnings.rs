//! Warnings about a batch that is stored nevertheless: references to missing records, references to merged records, and
//! names that look like another record's.

use std::collections::BTreeSet;

use dateline_proto::v1::{State, change::Type as ChangeType};
use dateline_record::violation::Warning;

use super::{change::Change, checked_view::CheckedView, decide::ChangeSet, request::kind_field};

/// Adds the warnings of a batch to its change set.
pub(super) fn add(change_set: &mut ChangeSet<'_>, read_view: &CheckedView<'_>) {
    let mut found = Vec::new();
    let written = change_set
        .changes()
        .filter(|(_, change)| is_written(change));
    for (index, change) in written {
        let word = change_set.writes[index].action.field_name();
        let at = format!("writes[{index}].{word}.record.{}", kind_field(&change.body));
        references(change, &at, change_set, read_view, &mut found);
        found.extend(similar(change, &at, change_set, read_view));
    }
    change_set.warnings.extend(found);
}

/// True if the change is an edit; other changes got their warnings before.
fn is_written(change: &Change) -> bool {
    matches!(
        change.change_type,
        ChangeType::Created | ChangeType::Updated | ChangeType::Corrected | ChangeType::Restored
    ) && change.has_new_content
}

fn references(
    change: &Change,
    at: &str,
    change_set: &ChangeSet<'_>,
    read_view: &CheckedView<'_>,
    found: &mut Vec<Warning>,
) {
    for reference in &change.terms.references {
        let target = &reference.target;
        let status = read_view.status(target).filter(|status| !status.deleted);
        let warn = |reason, description, records| Warning {
            field: format!("{at}.{}", reference.field),
            reason,
            description,
            records,
            candidates: Vec::new(),
        };
        if change_set.change_of(target).is_some() {
            continue;
        }
        match status {
            None => found.push(warn(
                "DANGLING_REFERENCE",
                format!("there is no record {target} yet; it has to be published before this one or with it"),
                vec![target.to_string()],
            )),
            Some(status) if status.state == State::Merged => {
                let into = status.merged_into.as_ref();
                let into = into.map(ToString::to_string).unwrap_or_default();
                found.push(warn(
                    "MERGED_REFERENCE",
                    format!("{target} was merged into {into}; refer to that one"),
                    vec![target.to_string(), into],
                ));
            }
            Some(_) => {}
        }
    }
}

fn similar(
    change: &Change,
    at: &str,
    change_set: &ChangeSet<'_>,
    read_view: &CheckedView<'_>,
) -> Option<Warning> {
    let mut names = BTreeSet::new();
    for key in &change.terms.keys {
        names.extend(read_view.similar(*key));
        names.extend(change_set.similar(*key));
    }
    names.remove(&change.name);
    let records: Vec<_> = names.iter().take(5).map(ToString::to_string).collect();
    let first = records.first()?;
    Some(Warning {
        field: at.to_owned(),
        reason: "SIMILAR_RECORD",
        description: format!(
            "{first} has a name that reads the same; if it is the same one, use that record"
        ),
        records,
        candidates: Vec::new(),
    })
}
