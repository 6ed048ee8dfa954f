//! Checks every field of a message by the rules of the schema, and brings it into its stored form: text in NFC with LF
//! line ends, date bounds computed, output-only fields cleared. Rules across fields are in `rules`, called when the
//! walk leaves a message. All violations are collected (W6). Reads no other records.

use std::{cell::RefCell, collections::HashMap};

use dateline_proto::v1::record::Kind as Body;
use regex::Regex;

use super::{
    name::{Name, PATTERN_DESCRIPTION},
    rules::{self, RuleReporter, codes, language},
    text,
    violation::{Findings, Violation},
    walk::{Node, Path, Rules, StringFormat, Visitor, Walk},
};

/// Checks and normalises a message; `at` is the path under which its fields are reported.
pub fn validate(message: &mut impl Walk, at: &mut Path) -> Vec<Violation> {
    let mut validation = Validation::default();
    message.walk(at, &mut validation);
    validation.findings.violations
}

/// A visitor that collects violations and normalises fields. By default it is for input of clients.
#[derive(Debug, Default)]
pub struct Validation {
    findings: Findings,
    keeps_owned: bool,
}

impl Validation {
    /// For a record made of stored content: output-only fields are kept.
    #[must_use]
    pub fn for_stored() -> Self {
        Self {
            keeps_owned: true,
            ..Self::default()
        }
    }

    /// All findings.
    #[must_use]
    pub fn into_findings(self) -> Findings {
        self.findings
    }

    fn add(&mut self, at: &Path, description: impl Into<String>) {
        self.findings.refuse(at.to_string(), description);
    }
}

impl Visitor for Validation {
    fn message(&mut self, at: &Path, node: Node<'_>) -> bool {
        // An edit may contain only some fields; the record is checked after they are merged.
        let is_edit = at.is_under("update") || at.is_under("correct");
        let is_visited = !(matches!(node, Node::Record(_)) && is_edit);
        rules::clear_computed(node);
        is_visited
    }

    fn left(&mut self, at: &Path, node: Node<'_>) {
        rules::check(node, &mut RuleReporter::new(at, &mut self.findings));
    }

    fn string(&mut self, at: &Path, rules: &Rules, value: &mut String) {
        if rules.output_only {
            // Values from clients are dropped (AIP-203); records that are loaded may come from any source.
            if !self.keeps_owned {
                value.clear();
            } else if let Some(description) = string_violation(rules, value) {
                self.add(at, description);
            }
            return;
        }
        if let std::borrow::Cow::Owned(normalized) = text::normalize(value) {
            *value = normalized;
        }
        if let Some(description) = string_violation(rules, value) {
            self.add(at, description);
        } else if rules.format == StringFormat::Language {
            *value = language::canonical(value);
        }
    }

    fn integer(&mut self, at: &Path, rules: &Rules, value: i64) {
        // Bounds in the schema are small integers, which a double represents exactly.
        if let Some(least) = rules.at_least.filter(|least| (value as f64) < *least) {
            self.add(at, format!("is {value}; must be at least {least}"));
        } else if let Some(most) = rules.at_most.filter(|most| value as f64 > *most) {
            self.add(at, format!("is {value}; must be at most {most}"));
        }
    }

    fn number(&mut self, at: &Path, rules: &Rules, value: f64) {
        if !value.is_finite() {
            self.add(at, "must be a finite number");
        } else if value == 0.0 && value.is_sign_negative() {
            self.add(at, "is minus zero; write 0");
        } else if let Some(least) = rules.at_least.filter(|least| value < *least) {
            self.add(at, format!("is {}; must be at least {least}", plain(value)));
        } else if let Some(most) = rules.at_most.filter(|most| value > *most) {
            self.add(at, format!("is {}; must be at most {most}", plain(value)));
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

    fn duration(&mut self, at: &Path, value: &mut prost_types::Duration) {
        if !is_duration(value) {
            self.add(
                at,
                "must be 0 to 10,000 years, with 0 to 999,999,999 nanoseconds",
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

/// The first violation of a normalised string; others are reported after it is corrected.
fn string_violation(rules: &Rules, value: &str) -> Option<String> {
    let shape = if rules.prose {
        text::TextLayout::Prose
    } else {
        text::TextLayout::Line
    };
    let unfit = || text::check(value, shape).err();
    unfit()
        .map(|error| error.to_string())
        .or_else(|| length_violation(rules, value))
        .or_else(|| codes::check(rules.format, value).err())
        .or_else(|| reference_violation(rules, value))
        .or_else(|| pattern_violation(rules, value))
}

fn length_violation(rules: &Rules, value: &str) -> Option<String> {
    // There are no more code points than bytes, so most strings need no count.
    if let Some(max) = rules.max_len.filter(|max| value.len() > *max) {
        let length = value.chars().count();
        if length > max {
            return Some(format!(
                "is {length} characters long; at most {max} are allowed"
            ));
        }
    }
    let min = rules.min_len?;
    if value.is_empty() {
        Some("must not be empty".to_owned())
    } else if text::is_blank(value) {
        Some("must not be blank".to_owned())
    } else if value.len() < 4 * min && value.chars().count() < min {
        Some(format!("must have at least {min} characters"))
    } else {
        None
    }
}

fn reference_violation(rules: &Rules, value: &str) -> Option<String> {
    if rules.refers_to.is_empty() || value.is_empty() && rules.pattern.is_none() {
        return None;
    }
    let collections = rules.refers_to.join(" or ");
    let collection = value.split('/').next().unwrap_or_default();
    match Name::parse(value) {
        Some(_) if rules.refers_to.contains(&collection) => None,
        Some(_) => Some(format!(
            "refers to another kind of record; a name in {collections} is needed here"
        )),
        None if value.is_empty() => Some(format!("must name a record in {collections}")),
        None => Some(format!(
            "is not a name in {collections}: {PATTERN_DESCRIPTION}"
        )),
    }
}

fn pattern_violation(rules: &Rules, value: &str) -> Option<String> {
    // References were checked as such.
    let pattern = rules.pattern.filter(|_| rules.refers_to.is_empty())?;
    (!matches(pattern, value)).then(|| describe_pattern(pattern))
}

/// A number in short form, without hundreds of digits.
fn plain(value: f64) -> String {
    if value.abs() < 1e16 {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

fn is_timestamp(value: &prost_types::Timestamp) -> bool {
    const FIRST: i64 = -62_135_596_800;
    const LAST: i64 = 253_402_300_799;
    (FIRST..=LAST).contains(&value.seconds) && (0..1_000_000_000).contains(&value.nanos)
}

/// Every duration in the schema is an age or a wait, so none may be negative.
fn is_duration(value: &prost_types::Duration) -> bool {
    const LONGEST: i64 = 315_576_000_000;
    (0..=LONGEST).contains(&value.seconds) && (0..1_000_000_000).contains(&value.nanos)
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

/// A description of a pattern for people.
fn describe_pattern(pattern: &str) -> String {
    if let Some(collections) = pattern.strip_suffix("/[a-z]([a-z0-9-]{0,61}[a-z0-9])?$") {
        let collections = collections
            .trim_start_matches('^')
            .trim_matches(['(', ')'])
            .replace('|', ", ");
        return format!("must be a name in {collections}: {PATTERN_DESCRIPTION}");
    }
    match pattern {
        "^[A-Z]{2}(-[A-Z0-9]{1,3})?$" => {
            "must be an ISO 3166-1 or 3166-2 code, like KZ or US-FL".into()
        }
        "^([0-9a-f]{64})?$" => "must be the SHA-256 of a text in hexadecimal, or empty".into(),
        "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$" => "must be a day, like 2021-06-01".into(),
        "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$" => format!(
            "must be a slug: {}",
            PATTERN_DESCRIPTION.replace(" after the slash", "")
        ),
        "^[a-z][a-z0-9.-]*:[A-Za-z0-9._-]+$" | "^([a-z][a-z0-9.-]*:[A-Za-z0-9._-]+)?$" => {
            "must be a scheme and a code with a colon between, like medtop:20000638".into()
        }
        "^[a-z][a-z0-9.-]{0,31}$" => "must be a scheme of at most 32 lower-case letters, digits, dots \
                                      and hyphens, like wikidata"
            .into(),
        _ if pattern.starts_with("^[a-z][a-z_]*(\\[") => {
            "must be a path of fields, like period.start, with the key of a list's element in brackets, \
             like participants[actors/nato]"
                .into()
        }
        other => format!("must match the pattern {other}"),
    }
}

/// Checks a merged record as if it were new; paths begin at `at`.
#[must_use]
pub fn check_body(body: &mut Body, at: &mut Path) -> Findings {
    let mut validation = Validation::for_stored();
    body.walk(at, &mut validation);
    validation.into_findings()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d16_a_timestamp_lies_in_the_years_that_there_are() {
        for (seconds, nanos, fits) in [
            (-62_135_596_800, 0, true),
            (253_402_300_799, 999_999_999, true),
            (-62_135_596_801, 0, false),
            (253_402_300_800, 0, false),
            (i64::MAX, 0, false),
            (0, -1, false),
            (0, i32::MAX, false),
        ] {
            let mut value = prost_types::Timestamp { seconds, nanos };
            let mut validation = Validation::default();
            validation.timestamp(&Path::default(), &mut value);
            let found = validation.into_findings();
            assert_eq!(found.violations.is_empty(), fits, "{seconds} {nanos}");
        }
    }

    #[test]
    fn d15_an_enum_that_must_be_set_is_set_to_a_value_that_there_is() {
        let rules = Rules {
            defined: &[0, 1],
            defined_only: true,
            not_zero: true,
            ..Rules::NONE
        };
        for (value, words) in [
            (0, "must be set"),
            (9999, "has no value 9999"),
            (-1, "no value -1"),
        ] {
            let mut validation = Validation::default();
            validation.enumeration(&Path::default(), &rules, value);
            let found = validation.into_findings().violations;
            assert!(found[0].description.contains(words), "{value}: {found:?}");
        }
    }

    #[test]
    fn n12_what_the_service_sets_is_dropped_from_a_request_and_kept_in_a_record() {
        let rules = Rules {
            output_only: true,
            ..Rules::NONE
        };
        for (mut validation, kept) in [
            (Validation::default(), ""),
            (Validation::for_stored(), "hash"),
        ] {
            let mut value = "hash".to_owned();
            validation.string(&Path::default(), &rules, &mut value);
            assert_eq!(value, kept);
        }
    }
}
