//! Warnings about a batch that is stored nevertheless: references to missing records, references to merged records, and
//! names that look like another record's.

use std::collections::BTreeSet;

use dateline_proto::v1::{State, change::Type as ChangeType};
use dateline_record::violation::Warning;

use super::{change::Change, decide::Plan, request::kind_field, world::World};

/// Adds the warnings of a batch to its plan.
pub(super) fn add(plan: &mut Plan<'_>, world: &World) {
    let mut found = Vec::new();
    let written = plan.changes().filter(|(_, change)| is_written(change));
    for (index, change) in written {
        let word = plan.writes[index].action.word();
        let at = format!("writes[{index}].{word}.record.{}", kind_field(&change.body));
        references(change, &at, plan, world, &mut found);
        found.extend(alike(change, &at, plan, world));
    }
    plan.warnings.extend(found);
}

/// True if the change is an edit; other changes got their warnings before.
fn is_written(change: &Change) -> bool {
    matches!(
        change.change_type,
        ChangeType::Created | ChangeType::Updated | ChangeType::Corrected | ChangeType::Restored
    ) && change.has_new_content
}

fn references(change: &Change, at: &str, plan: &Plan<'_>, world: &World, found: &mut Vec<Warning>) {
    for reference in &change.drawing.references {
        let target = &reference.target;
        let standing = world
            .standings
            .get(target)
            .filter(|standing| !standing.deleted);
        let warn = |reason, description, records| Warning {
            field: format!("{at}.{}", reference.field),
            reason,
            description,
            records,
        };
        if plan.change_of(target).is_some() {
            continue;
        }
        match standing {
            None => found.push(warn(
                "DANGLING_REFERENCE",
                format!("there is no record {target} yet; it has to be published before this one or with it"),
                vec![target.to_string()],
            )),
            Some(standing) if standing.state == State::Merged => {
                let into = standing.merged_into.as_ref();
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

fn alike(change: &Change, at: &str, plan: &Plan<'_>, world: &World) -> Option<Warning> {
    let mut names = BTreeSet::new();
    for key in &change.drawing.keys {
        names.extend(world.alike.get(key).into_iter().flatten());
        names.extend(plan.alike(*key));
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
    })
}
