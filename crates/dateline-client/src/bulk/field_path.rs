//! Rewrites field paths of requests in terms of the records sent: record and field.

use dateline_record::name::{KINDS, kind_label};

use crate::Failure;

/// Names a refused name, `names[3]`, by its value.
#[must_use]
pub fn with_names(failure: Failure, names: &[String]) -> Failure {
    failure.map_fields(|field| {
        let index = field
            .strip_prefix("names[")
            .and_then(|rest| rest.strip_suffix(']')?.parse::<usize>().ok());
        index
            .and_then(|index| names.get(index))
            .cloned()
            .unwrap_or_else(|| field.to_owned())
    })
}

/// Rewrites `writes[3].create.record.actor.names[0]` to `actors/nato: names[0]` if `label(3)` is actors/nato. Other
/// paths stay unchanged.
pub fn describe(field: &str, label: impl Fn(usize) -> Option<String>) -> String {
    let parts = field
        .strip_prefix("writes[")
        .and_then(|rest| rest.split_once(']'));
    let Some((index, rest)) = parts else {
        return field.to_owned();
    };
    let Some(label) = index.parse().ok().and_then(label) else {
        return field.to_owned();
    };
    let parts = [label.as_str(), inner(rest)];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(": ")
}

/// The index at the start of a path: 3 of `writes[3].create` and of `records[3]`.
pub(super) fn record_index(field: &str) -> Option<usize> {
    let rest = ["writes[", "records["]
        .iter()
        .find_map(|list| field.strip_prefix(list))?;
    rest.split_once(']')?.0.parse().ok()
}

/// Strips the envelope from `.create.record.actor.names[0]`: `names[0]`.
fn inner(path: &str) -> &str {
    let path = path.trim_start_matches('.');
    let path = path.split_once('.').map_or("", |(_, path)| path);
    let path = match path.strip_prefix("record") {
        Some(rest) => rest.trim_start_matches('.'),
        None => path,
    };
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let is_kind = KINDS.iter().any(|kind| kind_label(*kind) == first);
    if is_kind { rest } else { path }
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn a_path_is_told_by_record_and_field() {
        let cases = [
            (
                "writes[1].create.record.actor.names[0].text",
                "actors/b: names[0].text",
            ),
            ("writes[0].correct.record.actor", "actors/a"),
            ("writes[0].correct.note", "actors/a: note"),
            ("writes[0].publish.record.etag", "actors/a: etag"),
            ("writes[0].create.record", "actors/a"),
            ("writes[0].create", "actors/a"),
            ("writes[7].create.record", "writes[7].create.record"),
            ("request_id", "request_id"),
        ];
        for (path, expected) in cases {
            let known = ["actors/a", "actors/b"];
            let found = describe(path, |index| known.get(index).map(ToString::to_string));
            assert_eq!(found, expected, "{path}");
        }
    }
}
