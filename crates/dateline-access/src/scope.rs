//! The scope of a caller: facets by dimension. A record is in scope if one facet of each dimension matches.

use std::sync::Arc;

use dateline_proto::v1::{Kind, RecordFilter};
use dateline_record::{
    filter::Filter,
    name::{KINDS, kind_label},
};

use super::permission::{Permission, Role};

/// The records that a caller is limited to; all of them if it has no entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The entries as configured: `kind:event`, `lang:en`.
    entries: Vec<String>,
    filter: Arc<Filter>,
    kinds: Option<Vec<Kind>>,
}

impl Scope {
    /// Parses a scope for a caller with these roles.
    ///
    /// # Errors
    /// An explanation of an entry that is malformed, or that these roles cannot have.
    pub fn new(entries: &[String], roles: &[Role]) -> Result<Self, String> {
        let mut filter = RecordFilter::default();
        let mut kinds = Vec::new();
        for entry in entries {
            let Some((dimension, value)) = entry.split_once(':') else {
                return Err(format!(
                    "{} is no scope; write one like kind:event or lang:en",
                    short(entry)
                ));
            };
            match dimension {
                "kind" => kinds.push(kind(value)?),
                "type" => filter.types.push(value.to_owned()),
                "lang" => filter.language_codes.push(value.to_owned()),
                "region" => filter.regions.push(value.to_owned()),
                "topic" => filter.topics.push(value.to_owned()),
                _ => {
                    return Err(format!(
                        "{} narrows by nothing that there is; by kind, type, lang, region or topic",
                        short(entry)
                    ));
                }
            }
        }
        let by_content = filter != RecordFilter::default();
        check_roles(roles, &kinds, by_content)?;
        filter.kinds = kinds.iter().map(|kind| i32::from(*kind)).collect();
        let checked = Filter::new(Some(&filter)).map_err(|violations| {
            let first = violations.first();
            first.map_or_else(String::new, |first| first.description.clone())
        })?;
        Ok(Self {
            entries: entries.to_vec(),
            filter: Arc::new(checked),
            kinds: (!kinds.is_empty()).then_some(kinds),
        })
    }

    /// The entries as configured.
    #[must_use]
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// True if it does not limit anything.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.entries.is_empty()
    }

    /// The scope as a filter.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// True if records of a kind can be in it.
    #[must_use]
    pub fn allows_kind(&self, kind: Kind) -> bool {
        self.kinds
            .as_ref()
            .is_none_or(|kinds| kinds.contains(&kind))
    }
}

/// Checks that the roles work with the scope. A writer has to learn what prevents a write, even if that reveals other
/// records, and has to read the articles that are quoted. So writers can be limited only by what a name shows, and
/// always see articles. Operators of the service cannot be limited.
fn check_roles(roles: &[Role], kinds: &[Kind], by_content: bool) -> Result<(), String> {
    let may = |permission| {
        let mut roles = roles.iter();
        roles.any(|role| role.permissions().contains(&permission))
    };
    let by_kind = !kinds.is_empty();
    if (by_kind || by_content) && may(Permission::Administer) {
        return Err(
            "an admin cannot be narrowed: compacting and erasing reach everything".to_owned(),
        );
    }
    if by_content && may(Permission::Edit) {
        return Err("who writes can be narrowed by kind only".to_owned());
    }
    if by_kind && may(Permission::Edit) && !kinds.contains(&Kind::Article) {
        return Err(
            "who writes has to see the articles that are quoted: add kind:article".to_owned(),
        );
    }
    Ok(())
}

fn kind(word: &str) -> Result<Kind, String> {
    let found = KINDS.into_iter().find(|kind| kind_label(*kind) == word);
    found.ok_or_else(|| {
        format!(
            "{} is no kind; there are {}",
            short(word),
            KINDS.map(kind_label).join(", ")
        )
    })
}

fn short(text: &str) -> String {
    let few: String = text.chars().take(40).collect();
    format!("{few:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(entries: &[&str], roles: &[Role]) -> Result<Scope, String> {
        let entries: Vec<_> = entries.iter().map(ToString::to_string).collect();
        Scope::new(&entries, roles)
    }

    #[test]
    fn f10_a_scope_is_by_what_there_is_and_fits_the_roles() {
        let reader = [Role::Reader];
        assert!(scope(&[], &reader).unwrap().is_unrestricted());
        let narrow = scope(&["kind:event", "kind:article", "lang:en"], &reader).unwrap();
        assert!(narrow.allows_kind(Kind::Event) && !narrow.allows_kind(Kind::Actor));
        let facets = ["kind:event".to_owned(), "lang:en".to_owned()];
        assert!(narrow.filter().matches(&facets, None));
        let facets = ["kind:event".to_owned(), "lang:fr".to_owned()];
        assert!(!narrow.filter().matches(&facets, None));
        for (entries, roles, words) in [
            (&["event"][..], &reader[..], "no scope"),
            (&["state:draft"], &reader, "narrows by nothing"),
            (&["kind:events"], &reader, "there are"),
            (&["region:UK"], &reader, "GB"),
            (&["lang:en"], &[Role::Reader, Role::Editor], "by kind only"),
            (&["kind:event"], &[Role::Admin], "cannot be narrowed"),
        ] {
            let what = scope(entries, roles).unwrap_err();
            assert!(what.contains(words), "{entries:?}: {what}");
        }
        let publisher = [Role::Publisher];
        let what = scope(&["kind:event"], &publisher).unwrap_err();
        assert!(what.contains("add kind:article"), "{what}");
        assert!(scope(&["kind:event", "kind:article"], &publisher).is_ok());
    }
}
