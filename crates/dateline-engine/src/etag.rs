//! Etags: which revision of which record a caller has read (W3).

use std::fmt;

use dateline_record::revision::Revision;

/// The etag of a revision: opaque to clients, and never the same for two records. Empty where nothing was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Etag(String);

impl Etag {
    /// Returns the etag of a record's revision.
    pub(super) fn new(revision: Revision, uid: &str) -> Self {
        let record = uid.rsplit('-').next().unwrap_or_default();
        Self(format!("{revision}-{record}"))
    }

    /// Returns its revision, if it is an etag of this record.
    pub(super) fn revision(&self, uid: &str) -> Option<Revision> {
        let revision = Revision::new(self.0.split('-').next()?.parse().ok()?);
        (*self == Self::new(revision, uid)).then_some(revision)
    }

    /// True if it stands for a record that does not exist.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the text, as in a record's meta.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Etag {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn w3_an_etag_is_of_one_revision_of_one_record() {
        let [one, other] = [1, 2].map(|number| Uuid::from_u128(number).to_string());
        let seven = Revision::new(7);
        assert_eq!(Etag::new(seven, &one).revision(&one), Some(seven));
        assert_eq!(Etag::new(seven, &one).revision(&other), None);
        assert_ne!(Etag::new(seven, &one), Etag::new(seven.next(), &one));
        for noise in ["", "7", "7-", "x", "-1"] {
            assert_eq!(Etag::from(noise.to_owned()).revision(&one), None, "{noise}");
        }
    }
}
