//! Client certificates: the roles that a file gives to their names, and the state of each certificate presented on a
//! connection.

use std::{collections::HashMap, path::Path, sync::OnceLock};

use anyhow::{Context, Result, anyhow, ensure};
use dateline_record::text;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{caller::Denied, permission::Role, scope::Scope, sessions::Grant};

/// A subject alternative name of a certificate. A URI never equals a DNS name, even if the text is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// A URI, compared byte by byte.
    Uri(String),
    /// A DNS name, in lower case.
    Dns(String),
}

impl CertificateName {
    /// A URI of a certificate.
    #[must_use]
    pub fn uri(name: &str) -> Self {
        Self::Uri(name.to_owned())
    }

    /// A DNS name of a certificate.
    #[must_use]
    pub fn dns(name: &str) -> Self {
        Self::Dns(name.to_ascii_lowercase())
    }

    /// Parses an entry of the file: `uri:…`, `dns:…`, or a name alone. A name alone is a URI if it begins with a
    /// scheme, and a DNS name otherwise.
    fn parse(text: &str) -> Result<Self> {
        let name = match text.split_once(':') {
            Some(("uri", uri)) => Self::uri(uri),
            Some(("dns", name)) => Self::dns(name),
            Some(_) => Self::uri(text),
            None => Self::dns(text),
        };
        match &name {
            Self::Uri(uri) => {
                let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
                let is_scheme = |word: &str| {
                    word.starts_with(|it: char| it.is_ascii_alphabetic())
                        && word
                            .chars()
                            .all(|it| it.is_ascii_alphanumeric() || "+-.".contains(it))
                };
                ensure!(scheme.is_some_and(is_scheme), "is no URI: it has no scheme");
                text::check(uri, text::TextLayout::Line)?;
                ensure!(
                    !uri.contains(char::is_whitespace),
                    "is no URI: it has a space"
                );
            }
            Self::Dns(name) => {
                let is_letter = |it: char| it.is_ascii_alphanumeric() || "-._".contains(it);
                ensure!(
                    !name.is_empty() && name.chars().all(is_letter),
                    "is no DNS name, nor a URI; wildcards stand for nobody"
                );
            }
        }
        Ok(name)
    }

    /// The name without its type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Uri(name) | Self::Dns(name) => name,
        }
    }
}

/// Names in certificates, each with its roles and scope.
#[derive(Debug, Default, Clone)]
pub struct CertificateRoles {
    known: HashMap<CertificateName, Grant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantEntry {
    roles: Vec<String>,
    #[serde(default)]
    scope: Vec<String>,
}

impl CertificateRoles {
    /// Reads the file: YAML, a map from a URI or DNS name among a certificate's subject alternative names to roles and
    /// scope. Malformed entries are skipped and returned as errors; they give no access.
    ///
    /// # Errors
    /// If the file as a whole cannot be read.
    pub fn read(path: &Path) -> Result<(Self, Vec<anyhow::Error>)> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
            .with_context(|| format!("{} does not say who may do what", path.display()))
    }

    fn parse(text: &str) -> Result<(Self, Vec<anyhow::Error>)> {
        // A duplicate key is an error of the file.
        let entries: HashMap<String, Value> = match text.trim() {
            "" => HashMap::new(),
            text => serde_saphyr::from_str(text)?,
        };
        let (mut known, mut faults) = (HashMap::new(), Vec::new());
        let mut twice = Vec::new();
        for (key, value) in entries {
            match parse_entry(&key, value).with_context(|| key.clone()) {
                Ok((name, grant)) => {
                    if known.insert(name.clone(), grant).is_some() {
                        faults.push(anyhow!("{key}: is there twice"));
                        twice.push(name);
                    }
                }
                Err(error) => faults.push(error),
            }
        }
        for name in twice {
            known.remove(&name);
        }
        Ok((Self { known }, faults))
    }

    /// Returns the first of a certificate's names that the file lists.
    #[must_use]
    pub fn find(&self, names: &[CertificateName]) -> Option<(&CertificateName, &Grant)> {
        names.iter().find_map(|name| self.known.get_key_value(name))
    }

    /// The grant of a name.
    #[must_use]
    pub fn get(&self, name: &CertificateName) -> Option<&Grant> {
        self.known.get(name)
    }

    /// True if the file gives no roles to any name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

fn parse_entry(key: &str, value: Value) -> Result<(CertificateName, Grant)> {
    let name = CertificateName::parse(key)?;
    let entry: GrantEntry = serde_json::from_value(value)?;
    let roles = entry
        .roles
        .iter()
        .map(|role| Role::parse(role).ok_or_else(|| anyhow!("{role:?} is no role")));
    let roles = roles.collect::<Result<Vec<_>>>()?;
    ensure!(!roles.is_empty(), "has no role");
    let scope = Scope::new(&entry.scope, &roles).map_err(|what| anyhow!(what))?;
    let identity = format!("certificate:{}", name.as_str());
    let grant = Grant {
        person: identity.clone(),
        identity,
        credential: "certificate".to_owned(),
        roles,
        scope,
        expires_at: None,
        hash: None,
        signed_by: None,
    };
    Ok((name, grant))
}

/// A verified certificate that was presented on a connection. It ends when it would no longer be accepted; its
/// connection is not served after that.
#[derive(Debug, Default)]
pub struct ClientCertificate {
    names: Vec<CertificateName>,
    ended: CancellationToken,
    why: OnceLock<Denied>,
}

impl ClientCertificate {
    /// A certificate with these names, URIs first.
    #[must_use]
    pub fn new(names: Vec<CertificateName>) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    /// URIs and DNS names among its subject alternative names; never the common name.
    #[must_use]
    pub fn names(&self) -> &[CertificateName] {
        &self.names
    }

    /// Ends every call that was authenticated by it.
    pub fn end(&self, why: Denied) {
        // The first reason is kept.
        let _ = self.why.set(why);
        self.ended.cancel();
    }

    /// The reason why it ended, if it has.
    #[must_use]
    pub fn end_reason(&self) -> Option<Denied> {
        self.ended
            .is_cancelled()
            .then(|| self.why.get().cloned().unwrap_or(Denied::Changed))
    }

    /// Waits until it has ended.
    pub fn ended(&self) -> WaitForCancellationFutureOwned {
        self.ended.clone().cancelled_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(name: &str) -> CertificateName {
        CertificateName::uri(name)
    }

    fn dns(name: &str) -> CertificateName {
        CertificateName::dns(name)
    }

    #[test]
    fn a_name_has_the_roles_that_the_file_gives_it_and_no_mistake_gives_more() {
        let (known, faults) = CertificateRoles::parse(
            "spiffe://example/reader: {roles: [reader], scope: ['lang:en']}\nexporter.example: {roles: [reader, exporter]}",
        )
        .unwrap();
        assert!(faults.is_empty());
        let names = [dns("unknown.example"), dns("Exporter.Example")];
        let (name, grant) = known.find(&names).unwrap();
        assert_eq!(name.as_str(), "exporter.example");
        assert_eq!(grant.roles, [Role::Reader, Role::Exporter]);
        assert!(known.find(&names[..1]).is_none());
        for (entry, words) in [
            ("a: {roles: [Admin]}", "no role"),
            ("a: {roles: []}", "has no role"),
            ("a: {roles: [reader], scopes: ['kind:event']}", "scopes"),
            ("a: {roles: [reader], scope: ['kind:events']}", "no kind"),
            ("a: {roles: [reader], scope: 'kind:event'}", "sequence"),
            ("a: {roles: [reader], scope: ['lang:en', 5]}", "string"),
            ("a: {roles: [reader], scope: }", "sequence"),
            ("a:", "struct"),
            ("'*.example': {roles: [reader]}", "wildcards"),
            ("'uri:a.example': {roles: [reader]}", "no scheme"),
            ("'dns:https://a.example': {roles: [reader]}", "no DNS name"),
            ("\"https://a\\u202E\": {roles: [reader]}", "direction"),
            ("a: {roles: [reader]}\ndns:A: {roles: [admin]}", "twice"),
        ] {
            let text = format!("{entry}\nother.example: {{roles: [reader]}}");
            let (known, faults) = CertificateRoles::parse(&text).unwrap();
            let error = format!("{faults:?}");
            assert!(error.contains(words), "{entry}: {error}");
            assert_eq!(known.known.len(), 1, "{entry}: the others hold");
        }
        for text in ["a: {roles: [reader]}\na: {roles: [admin]}", "- a", "a: {"] {
            assert!(CertificateRoles::parse(text).is_err(), "{text}");
        }
        assert!(CertificateRoles::parse("").unwrap().0.is_empty());
    }

    #[test]
    fn a_uri_is_never_taken_for_a_dns_name_nor_the_other_way() {
        let (known, _) = CertificateRoles::parse(
            "desk.example: {roles: [admin]}\nhttps://desk.example: {roles: [reader]}\nuri:dns:b: {roles: [reader]}",
        )
        .unwrap();
        assert!(known.get(&uri("desk.example")).is_none());
        assert!(known.get(&dns("https://desk.example")).is_none());
        assert!(known.get(&dns("b")).is_none());
        assert_eq!(
            known.get(&dns("desk.example")).unwrap().roles,
            [Role::Admin]
        );
        assert!(known.get(&uri("https://desk.example")).is_some());
        assert!(known.get(&uri("dns:b")).is_some());
    }
}
