//! The use that the sender of an item allows: status, embargo, expiry, notes and rights. A field that forbids or
//! restricts use is obeyed or stored in the record; one that is not understood rejects the item.

use dateline_proto::v1::source_item::Status;
use dateline_record::{
    release::{Allowed, Release},
    timestamp::timestamp,
};
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    dates::ParsedDate,
    fields::{Item, string},
};

/// Maximum length of `usage_terms`, in code points.
const MAX_TERMS: usize = 2000;

/// Keys of an embargo.
const EMBARGO: [&str; 8] = [
    "embargoed",
    "embargoeduntil",
    "embargountil",
    "embargo",
    "embargodate",
    "embargotime",
    "embargodatetime",
    "embargoeddatetime",
];

/// Keys of an expiry.
const EXPIRY: [&str; 5] = [
    "expires",
    "expiry",
    "expirydate",
    "expirationdate",
    "expiresat",
];

/// Parts of keys that restrict use. A key that contains one and is not listed above is not understood.
const RESTRICTING: [&str; 9] = [
    "embargo",
    "expir",
    "pubstatus",
    "publicationstatus",
    "notbefore",
    "notafter",
    "restrict",
    "withh",
    "donotuse",
];

/// Phrases of a note to editors that may forbid publication, in lower case; a star allows any ending.
const FORBIDDING: &[&str] = &[
    "embargo*",
    "kill",
    "kills",
    "withheld*",
    "withhold*",
    "withdraw*",
    "withdrawn*",
    "hold for",
    "hold until",
    "hold this",
    "on hold",
    "do not use*",
    "do not publish*",
    "do not release*",
    "do not run*",
    "do not print*",
    "do not broadcast*",
    "do not distribut*",
    "don't use*",
    "don't publish*",
    "don't run*",
    "must not be*",
    "must not use*",
    "may not be*",
    "should not be*",
    "cannot be used*",
    "not for use*",
    "not for publi*",
    "not for release*",
    "not for broadcast*",
    "not for distribut*",
    "not for print*",
    "not to be used*",
    "not to be publi*",
    "not to be released*",
    "not to be distribut*",
    "not to be broadcast*",
    "not yet for*",
    "no use before*",
    "sperrfrist*",
    "gesperrt*",
    "nicht verwend*",
    "nicht zu verwend*",
    "nicht zur ver*",
    "nicht veröffentlich*",
    "nicht vor *",
    "frei ab*",
    "frei für*",
    "ne pas publier*",
    "ne pas diffuser*",
    "ne pas utiliser*",
    "no publicar*",
    "no difundir*",
    "no usar*",
];

/// The use that an item allows.
pub(super) struct Terms {
    pub release: Release,
    pub status: Status,
    pub embargo_time: Option<prost_types::Timestamp>,
    /// Usage terms, rights and expiry.
    pub conditions: String,
}

impl Item<'_> {
    /// Reads the use that the sender allows. `now` decides whether embargoes and expiry have passed.
    ///
    /// # Errors
    /// If a status or date cannot be parsed, the item has expired, or the rights are too long for a record.
    pub(super) fn terms(&mut self, now: OffsetDateTime) -> Result<Terms, String> {
        let status = self.status()?;
        let embargo = self.instant(&EMBARGO, now)?;
        let expiry = self.instant(&EXPIRY, now)?;
        self.refuse_what_restricts()?;
        let note = self.text("ednote")?;
        let partial = self.text("representationtype")?.to_lowercase();
        let is_partial = matches!(partial.as_str(), "partial" | "incomplete");
        let allowed = match status {
            Status::Canceled => Allowed::Canceled,
            Status::Withheld => Allowed::held("WITHHELD", "its sender withholds it"),
            Status::Unspecified => {
                if let Some((key, ParsedDate { edtf, .. })) =
                    expiry.as_ref().filter(|(_, at)| at.latest <= now)
                {
                    return Err(format!("has expired: {key} is {edtf}"));
                }
                if is_partial {
                    Allowed::held("PARTIAL", "its sender says that it is not the whole item")
                } else if may_forbid(&note) {
                    Allowed::held(
                        "NOTE_OF_SENDER",
                        &format!("its sender's note may forbid it: {note:?}"),
                    )
                } else {
                    Allowed::until(embargo.as_ref().map(|(_, at)| timestamp(at.latest)), now)
                }
            }
        };
        let expiry = expiry.filter(|(_, at)| at.latest > now);
        Ok(Terms {
            status,
            embargo_time: embargo.map(|(_, at)| timestamp(at.latest)),
            conditions: self.conditions(expiry.as_ref().map(|(_, at)| at), status)?,
            release: Release { allowed, note },
        })
    }

    /// The status; `usable` by default. Values outside of the standard are rejected.
    fn status(&mut self) -> Result<Status, String> {
        let Some((key, value)) = self.remove_with_key("pubstatus") else {
            return Ok(Status::Unspecified);
        };
        let written = value.as_str().unwrap_or_default().trim().to_lowercase();
        // A status may carry its scheme: stat:usable, http://cv.iptc.org/newscodes/pubstatusg2/usable.
        let word = written.rsplit(['/', ':']).next().unwrap_or_default();
        match word {
            "usable" => Ok(Status::Unspecified),
            "withheld" => Ok(Status::Withheld),
            "canceled" | "cancelled" => Ok(Status::Canceled),
            _ => Err(format!(
                "{key} is {value}; usable, withheld and canceled are understood"
            )),
        }
    }

    /// The instant under any of several keys. An uncertain time is an error unless it has passed for certain.
    fn instant(
        &mut self,
        keys: &[&str],
        now: OffsetDateTime,
    ) -> Result<Option<(String, ParsedDate)>, String> {
        let mut found: Option<(String, ParsedDate)> = None;
        for key in keys {
            let Some((key, at)) = self.date(key)? else {
                continue;
            };
            if at.earliest != at.latest && at.latest > now {
                return Err(format!(
                    "{key} is {:?}, which is no certain time; a date with time and offset is one",
                    at.edtf
                ));
            }
            if found
                .as_ref()
                .is_some_and(|(_, other)| other.latest != at.latest)
            {
                return Err(format!("{key} and another key say different times"));
            }
            found = Some((key, at));
        }
        Ok(found)
    }

    fn refuse_what_restricts(&self) -> Result<(), String> {
        let unknown = self.keys().find(|(folded, _)| {
            let plain = folded.replace(['_', '-', '.'], "");
            RESTRICTING.iter().any(|part| plain.contains(part))
        });
        match unknown {
            Some((folded, key)) if self.has(folded) => Err(format!(
                "says {key}, which may restrict its use and is not understood"
            )),
            _ => Ok(()),
        }
    }

    /// Usage terms, rights and expiry as text.
    fn conditions(
        &mut self,
        expiry: Option<&ParsedDate>,
        status: Status,
    ) -> Result<String, String> {
        let mut lines = vec![self.text("usageterms")?];
        for (field, label) in [
            ("copyrightholder", "Copyright holder"),
            ("copyrightnotice", "Copyright notice"),
        ] {
            let text = self.text(field)?;
            if !text.is_empty() {
                lines.push(format!("{label}: {text}"));
            }
        }
        if let Some(rights) = self.remove("rightsinfo") {
            lines.push(format!("Rights: {}", rights_in_words(&rights)));
        }
        if let Some(expiry) = expiry {
            let at = timestamp(expiry.latest);
            lines.push(format!("Expires: {at}"));
        }
        lines.retain(|line| !line.is_empty());
        let terms = lines.join("\n");
        let length = terms.chars().count();
        // A canceled item needs no terms.
        if length > MAX_TERMS && status != Status::Canceled {
            return Err(format!(
                "its usage terms and rights have {length} characters, and a record takes {MAX_TERMS}; \
                 they cannot be left out"
            ));
        }
        Ok(terms)
    }
}

/// True if a note contains one of the phrases as whole words.
fn may_forbid(note: &str) -> bool {
    let words: Vec<_> = note.split_whitespace().collect();
    let note = words.join(" ").to_lowercase().replace('\u{2019}', "'");
    let has = |phrase: &&str| {
        let (bare, is_open) = match phrase.strip_suffix('*') {
            Some(bare) => (bare, true),
            None => (*phrase, false),
        };
        note.match_indices(bare).any(|(at, _)| {
            let before = note[..at].chars().next_back();
            let after = note[at + bare.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric)
                && (is_open || !after.is_some_and(char::is_alphanumeric))
        })
    };
    FORBIDDING.iter().any(has)
}

fn rights_in_words(rights: &Value) -> String {
    let Some(object) = rights.as_object() else {
        return rights
            .as_str()
            .map_or_else(|| rights.to_string(), str::to_owned);
    };
    let known = ["linkedrights", "encodedrights", "langid"];
    if object.keys().any(|key| !known.contains(&key.as_str())) {
        return rights.to_string();
    }
    let word = |field: &str| string(object, field);
    let rights = [word("linkedrights"), word("encodedrights")];
    let rights: Vec<_> = rights.into_iter().filter(|text| !text.is_empty()).collect();
    let language = match word("langid") {
        none if none.is_empty() => none,
        id => format!(" ({id})"),
    };
    format!("{}{language}", rights.join(" "))
}
