//! Checks every field of a message by the rules of the schema, and brings it into the stored form on the
//! way: text in NFC with LF line ends, date bounds computed, fields that the service owns left empty.
//! All violations are collected (W6). Knows nothing of other records.

use std::{cell::RefCell, collections::HashMap};

use regex::Regex;

use super::{
    edtf,
    name::{Name, PATTERN_IN_WORDS},
    text,
    violation::{Findings, Violation, Warning},
    walk::{Format, Node, Path, Rules, Visitor, Walk},
};
use crate::proto::v1::FuzzyDate;

/// Most violations that an answer lists: past that, the sender has other worries than the rest.
const MAX_VIOLATIONS: usize = 100;

/// Checks and normalises a message; `at` is the path under which its fields are reported.
pub fn validate(message: &mut impl Walk, at: &mut Path) -> Vec<Violation> {
    let mut validation = Validation::default();
    message.walk(at, &mut validation);
    validation.findings.violations
}

/// A visitor that collects violations and normalises what it visits.
#[derive(Debug, Default)]
pub struct Validation {
    findings: Findings,
}

impl Validation {
    /// Everything that was found.
    #[must_use]
    pub fn into_findings(self) -> Findings {
        self.findings
    }

    /// Adds what only looks wrong.
    pub fn warn(&mut self, at: &Path, reason: &'static str, description: impl Into<String>) {
        if self.findings.warnings.len() < MAX_VIOLATIONS {
            let (field, description) = (at.to_string(), description.into());
            self.findings.warnings.push(Warning {
                field,
                reason,
                description,
                records: Vec::new(),
            });
        }
    }

    fn add(&mut self, at: &Path, description: impl Into<String>) {
        if self.findings.violations.len() < MAX_VIOLATIONS {
            self.findings
                .violations
                .push(Violation::new(at, description));
        }
    }

    fn check_lengths(&mut self, at: &Path, rules: &Rules, value: &str) {
        // Bytes bound code points from above, so most strings need no count.
        if let Some(max) = rules.max_len
            && value.len() > max
        {
            let length = value.chars().count();
            if length > max {
                self.add(
                    at,
                    format!("is {length} characters long; at most {max} are allowed"),
                );
            }
        }
        if let Some(min) = rules.min_len {
            if value.is_empty() {
                self.add(at, "must not be empty");
            } else if text::is_blank(value) {
                self.add(at, "must not be blank");
            } else if value.len() < 4 * min && value.chars().count() < min {
                self.add(at, format!("must have at least {min} characters"));
            }
        }
    }

    fn check_reference(&mut self, at: &Path, rules: &Rules, value: &str) {
        if rules.refers_to.is_empty() || value.is_empty() && rules.pattern.is_none() {
            return;
        }
        let collections = rules.refers_to.join(" or ");
        match Name::parse(value) {
            Some(_)
                if value
                    .split('/')
                    .next()
                    .is_some_and(|collection| rules.refers_to.contains(&collection)) => {}
            Some(_) => self.add(
                at,
                format!("refers to another kind of record; a name in {collections} is needed here"),
            ),
            None if value.is_empty() => {
                self.add(at, format!("must name a record in {collections}"));
            }
            None => self.add(
                at,
                format!("is not a name in {collections}: {PATTERN_IN_WORDS}"),
            ),
        }
    }
}

impl Visitor for Validation {
    fn message(&mut self, at: &Path, node: Node<'_>) -> bool {
        match node {
            Node::FuzzyDate(date) => self.date(at, date),
            // Only some fields of an update may be there; the record is checked once they are merged.
            Node::Record(_) if at.is_under("update") || at.is_under("correct") => return false,
            _ => {}
        }
        true
    }

    fn string(&mut self, at: &Path, rules: &Rules, value: &mut String) {
        if rules.output_only {
            // `earliest` and `latest` were just computed; whatever else a client sent is dropped (AIP-203).
            if !matches!(at.last(), Some("earliest" | "latest")) {
                value.clear();
            }
            return;
        }
        if let std::borrow::Cow::Owned(normalized) = text::normalize(value) {
            *value = normalized;
        }
        let shape = if rules.prose {
            text::Shape::Prose
        } else {
            text::Shape::Line
        };
        if let Err(error) = text::check(value, shape) {
            self.add(at, error.to_string());
            return;
        }
        self.check_lengths(at, rules, value);
        if rules.refers_to.is_empty() {
            if let Some(pattern) = rules.pattern
                && !matches(pattern, value)
            {
                self.add(at, pattern_in_words(pattern));
            }
        } else {
            self.check_reference(at, rules, value);
        }
        if let Some(description) = format_violation(rules.format, value) {
            self.add(at, description);
        }
    }

    fn integer(&mut self, at: &Path, rules: &Rules, value: i64) {
        // Bounds in the schema are small whole numbers, which a double holds exactly.
        self.number(at, rules, value as f64);
    }

    fn number(&mut self, at: &Path, rules: &Rules, value: f64) {
        if !value.is_finite() {
            self.add(at, "must be a finite number");
        } else if let Some(least) = rules.at_least.filter(|least| value < *least) {
            self.add(at, format!("is {value}; must be at least {least}"));
        } else if let Some(most) = rules.at_most.filter(|most| value > *most) {
            self.add(at, format!("is {value}; must be at most {most}"));
        }
    }

    fn enumeration(&mut self, at: &Path, rules: &Rules, value: i32) {
        if rules.defined_only && !rules.defined.contains(&value) {
            self.add(at, format!("has no value {value}"));
        } else if rules.not_zero && value == 0 {
            self.add(at, "must be set to one of the values");
        }
    }

    fn timestamp(&mut self, at: &Path, value: &mut prost_types::Timestamp) {
        if !is_timestamp(value) {
            self.add(
                at,
                "must lie in the years 0001 to 9999, with 0 to 999,999,999 nanoseconds",
            );
        }
    }

    fn list(&mut self, at: &Path, rules: &Rules, length: usize) {
        if let Some(most) = rules.max_items.filter(|most| length > *most) {
            self.add(
                at,
                format!("has {length} entries; at most {most} are allowed"),
            );
        } else if let Some(least) = rules.min_items.filter(|least| length < *least) {
            self.add(
                at,
                format!("has {length} entries; at least {least} are needed"),
            );
        }
    }

    fn missing(&mut self, at: &Path, rules: &Rules) {
        if rules.required {
            self.add(at, "must be set");
        }
    }

    fn absent(&mut self, at: &Path, oneof: &'static str, required: bool) {
        if required {
            let what = if oneof == "kind" {
                "record is empty: set one of its kinds".to_owned()
            } else {
                format!("set one {oneof}")
            };
            self.add(at, what);
        }
    }
}

impl Validation {
    /// The bounds are computed here and nowhere accepted (domain rule 5).
    fn date(&mut self, at: &Path, date: &mut FuzzyDate) {
        (date.earliest, date.latest) = (String::new(), String::new());
        if date.edtf.is_empty() {
            return;
        }
        match edtf::parse(&date.edtf) {
            Ok(bounds) => {
                (date.earliest, date.latest) =
                    (edtf::iso(bounds.earliest), edtf::iso(bounds.latest));
            }
            Err(error) => self
                .findings
                .violations
                .push(Violation::new(format!("{at}.edtf"), error.to_string())),
        }
    }
}

fn is_timestamp(value: &prost_types::Timestamp) -> bool {
    const FIRST: i64 = -62_135_596_800;
    const LAST: i64 = 253_402_300_799;
    (FIRST..=LAST).contains(&value.seconds) && (0..1_000_000_000).contains(&value.nanos)
}

thread_local! {
    /// The schema has about ten patterns; each is compiled once per thread, so no lock is taken.
    static PATTERNS: RefCell<HashMap<&'static str, Option<Regex>>> = RefCell::new(HashMap::new());
}

fn matches(pattern: &'static str, value: &str) -> bool {
    PATTERNS.with_borrow_mut(|patterns| {
        let regex = patterns
            .entry(pattern)
            .or_insert_with(|| Regex::new(pattern).ok());
        regex.as_ref().is_some_and(|regex| regex.is_match(value))
    })
}

/// What a value has to look like, for people.
fn pattern_in_words(pattern: &str) -> String {
    if let Some(collections) = pattern.strip_suffix("/[a-z]([a-z0-9-]{0,61}[a-z0-9])?$") {
        let collections = collections
            .trim_start_matches('^')
            .trim_matches(['(', ')'])
            .replace('|', ", ");
        return format!("must be a name in {collections}: {PATTERN_IN_WORDS}");
    }
    match pattern {
        "^([A-Z]{2})?$" => "must be an ISO 3166-1 code of two capital letters, like KZ".into(),
        "^([A-Z]{2}-[A-Z0-9]{1,3})?$" => "must be an ISO 3166-2 code, like US-FL".into(),
        "^[A-Z]{2}(-[A-Z0-9]{1,3})?$" => {
            "must be an ISO 3166-1 or 3166-2 code, like KZ or US-FL".into()
        }
        "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$" => "must be a day, like 2021-06-01".into(),
        "^[0-9X/.?~%-]{0,24}$" => {
            "must be an EDTF date of at most 24 characters from 0-9 X / . ? ~ % -".into()
        }
        "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$" => format!(
            "must be a slug: {}",
            PATTERN_IN_WORDS.replace(" after the slash", "")
        ),
        other => format!("must match the pattern {other}"),
    }
}

fn format_violation(format: Format, value: &str) -> Option<&'static str> {
    if value.is_empty() {
        return None;
    }
    match format {
        Format::Url if !is_web_url(value) => Some(
            "must be an absolute http or https URL without user name or password, like https://example.org/story",
        ),
        Format::Language if !is_language_tag(value) => {
            Some("must be a BCP-47 language tag, like en, kk-Cyrl or ru-Latn")
        }
        Format::Unspecified
        | Format::Url
        | Format::Language
        | Format::Region
        | Format::Subdivision => None,
    }
}

fn is_web_url(value: &str) -> bool {
    value.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|host| !host.as_str().contains('@'))
    })
}

/// Shape of RFC 5646 tags, without the registry: subtags of 1 to 8 letters and digits, the first of them 2
/// or 3 letters (or `x` for private use).
fn is_language_tag(value: &str) -> bool {
    let mut subtags = value.split('-');
    let Some(language) = subtags.next() else {
        return false;
    };
    let is_language = (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic());
    let private = language.eq_ignore_ascii_case("x") && value.len() > 2;
    (is_language || private)
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len())
                && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}
