//! Who the names in client certificates are: a file that says which roles each has.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

use super::{permission::Role, scope::Scope, sessions::Grant};

/// Names in certificates, and what each may do.
#[derive(Debug, Default, Clone)]
pub struct Certificates {
    known: HashMap<String, Grant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    roles: Vec<String>,
    #[serde(default)]
    scope: Vec<String>,
}

impl Certificates {
    /// Reads the file: YAML, a URI or DNS name of a certificate's subject alternative names to roles and scope.
    ///
    /// # Errors
    /// When it cannot be read, with the name that is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
            .with_context(|| format!("{} does not say who may do what", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let entries: HashMap<String, Entry> = serde_saphyr::from_str(text)?;
        let known = entries.into_iter().map(|(name, entry)| {
            let grant = grant(&name, &entry).with_context(|| name.clone())?;
            Ok((name, grant))
        });
        let known = known.collect::<Result<_>>()?;
        Ok(Self { known })
    }

    /// The first of a certificate's names that the file knows.
    #[must_use]
    pub fn find(&self, names: &[String]) -> Option<(&String, &Grant)> {
        names.iter().find_map(|name| self.known.get_key_value(name))
    }

    /// What a name may do.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Grant> {
        self.known.get(name)
    }
}

fn grant(name: &str, entry: &Entry) -> Result<Grant> {
    let roles = entry
        .roles
        .iter()
        .map(|role| Role::parse(role).ok_or_else(|| anyhow!("{role:?} is no role")));
    let roles = roles.collect::<Result<Vec<_>>>()?;
    if roles.is_empty() {
        return Err(anyhow!("has no role"));
    }
    let scope = Scope::new(&entry.scope, &roles).map_err(|what| anyhow!(what))?;
    Ok(Grant {
        identity: format!("certificate:{name}"),
        credential: "certificate".to_owned(),
        roles,
        scope,
        expires_at: None,
        hash: None,
        signed_by: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_roles_that_the_file_gives_it_and_no_mistake_gives_more() {
        let known = Certificates::parse(
            "spiffe://example/reader: {roles: [reader], scope: ['lang:en']}\nexporter.example: {roles: [reader, exporter]}",
        )
        .unwrap();
        let names = ["unknown.example".to_owned(), "exporter.example".to_owned()];
        let (name, grant) = known.find(&names).unwrap();
        assert_eq!(name, "exporter.example");
        assert_eq!(grant.roles, [Role::Reader, Role::Exporter]);
        assert!(known.find(&names[..1]).is_none());
        for (text, words) in [
            ("a: {roles: [Admin]}", "no role"),
            ("a: {roles: []}", "has no role"),
            ("a: {roles: [reader], scopes: ['kind:event']}", "scopes"),
            ("a: {roles: [reader], scope: ['kind:events']}", "no kind"),
        ] {
            let error = format!("{:#}", Certificates::parse(text).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
