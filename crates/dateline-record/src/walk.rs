//! The walk over a message: every field in the order of the schema, with its rules from the schema. The implementations
//! are generated (`build/walk.rs`), so new fields and kinds are included. Does not depend on what visitors do.

use std::fmt;

use dateline_proto::v1;

/// A path inside a message, printed as clients write it: `participants[3].role`.
#[derive(Debug, Default, Clone)]
pub struct Path {
    segments: Vec<PathSegment>,
}

#[derive(Debug, Clone, Copy)]
enum PathSegment {
    Field(&'static str),
    Index(usize),
}

impl Path {
    /// Enters a field.
    pub fn enter(&mut self, field: &'static str) {
        self.segments.push(PathSegment::Field(field));
    }

    /// Leaves a field.
    pub fn leave(&mut self) {
        self.segments.pop();
    }

    /// Sets the index of the element in the list that was entered.
    pub fn index(&mut self, index: usize) {
        self.segments.push(PathSegment::Index(index));
    }

    /// Removes the index.
    pub fn unindex(&mut self) {
        self.segments.pop();
    }

    /// Depth in fields: 0 at the root, 1 in one of its fields.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.segments
            .iter()
            .filter(|segment| matches!(segment, PathSegment::Field(_)))
            .count()
    }

    /// The top-level field that contains this.
    #[must_use]
    pub fn top(&self) -> Option<&'static str> {
        self.fields().next()
    }

    /// The innermost field.
    #[must_use]
    pub fn last(&self) -> Option<&'static str> {
        self.fields().next_back()
    }

    /// True if a field of that name contains this.
    #[must_use]
    pub fn is_under(&self, field: &str) -> bool {
        self.fields().any(|name| name == field)
    }

    /// The path of an inner field: `participants[3]` and `role` are `participants[3].role`.
    #[must_use]
    pub fn child(&self, inner: &str) -> String {
        match (self.segments.is_empty(), inner) {
            (true, _) => inner.to_owned(),
            (false, "") => self.to_string(),
            (false, _) => format!("{self}.{inner}"),
        }
    }

    /// The list that contains this element: `participants` of `participants[3]`.
    #[must_use]
    pub fn list(&self) -> Option<String> {
        match self.segments.split_last() {
            Some((PathSegment::Index(_), list)) => {
                let segments = list.to_vec();
                Some(Self { segments }.to_string())
            }
            _ => None,
        }
    }

    /// The path without indexes, the same in every record of a kind: `evidence.article`.
    #[must_use]
    pub fn template(&self) -> String {
        self.fields().collect::<Vec<_>>().join(".")
    }

    fn fields(&self) -> impl DoubleEndedIterator<Item = &'static str> {
        self.segments.iter().filter_map(|segment| match segment {
            PathSegment::Field(name) => Some(*name),
            PathSegment::Index(_) => None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments.iter().enumerate() {
            match segment {
                PathSegment::Field(name) if position == 0 => write!(out, "{name}")?,
                PathSegment::Field(name) => write!(out, ".{name}")?,
                PathSegment::Index(index) => write!(out, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The format of a string, beyond its length and alphabet (`FieldRules.Format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StringFormat {
    /// Text for people.
    Unspecified,
    /// A BCP-47 language tag.
    Language,
    /// An ISO 3166-1 alpha-2 code.
    Region,
    /// An ISO 3166-2 code.
    Subdivision,
    /// An absolute http or https URL without credentials.
    Url,
    /// A date of the EDTF profile.
    Edtf,
}

/// The rules of one field, read from the schema at build time: `buf.validate` and `dateline.v1.field`.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Fewest code points of a string.
    pub min_len: Option<usize>,
    /// Most code points of a string.
    pub max_len: Option<usize>,
    /// Regular expression of a string.
    pub pattern: Option<&'static str>,
    /// Fewest elements of a list.
    pub min_items: Option<usize>,
    /// Most elements of a list.
    pub max_items: Option<usize>,
    /// Smallest number, inclusive.
    pub at_least: Option<f64>,
    /// Largest number, inclusive.
    pub at_most: Option<f64>,
    /// The numbers of the enum's values.
    pub defined: &'static [i32],
    /// True if only those numbers are allowed.
    pub defined_only: bool,
    /// True if the unspecified value is refused.
    pub not_zero: bool,
    /// True if the message has to be set.
    pub required: bool,
    /// Collections whose records the string may name.
    pub refers_to: &'static [&'static str],
    /// True if the text may contain line feeds and tabs.
    pub prose: bool,
    /// The format of the string.
    pub format: StringFormat,
    /// Dimension of the facet that the value becomes; empty if none.
    pub facet: &'static str,
    /// True if the service sets the field.
    pub output_only: bool,
}

impl Rules {
    /// Rules that allow everything.
    pub const NONE: Rules = Rules {
        min_len: None,
        max_len: None,
        pattern: None,
        min_items: None,
        max_items: None,
        at_least: None,
        at_most: None,
        defined: &[],
        defined_only: false,
        not_zero: false,
        required: false,
        refers_to: &[],
        prose: false,
        format: StringFormat::Unspecified,
        facet: "",
        output_only: false,
    };
}

/// Callbacks for the fields of a walk. The default methods do nothing.
pub trait Visitor {
    /// Called for a message, before its fields; returns whether to visit them.
    fn message(&mut self, _at: &Path, _node: Node<'_>) -> bool {
        true
    }
    /// Called for the same message after its fields, unless they were skipped.
    fn left(&mut self, _at: &Path, _node: Node<'_>) {}
    /// Called for a string.
    fn string(&mut self, _at: &Path, _rules: &Rules, _value: &mut String) {}
    /// Called for an integer of any width.
    fn integer(&mut self, _at: &Path, _rules: &Rules, _value: i64) {}
    /// Called for a floating-point number.
    fn number(&mut self, _at: &Path, _rules: &Rules, _value: f64) {}
    /// Called for an enum, by number; unknown numbers are passed unchanged.
    fn enumeration(&mut self, _at: &Path, _rules: &Rules, _value: i32) {}
    /// Called for a timestamp.
    fn timestamp(&mut self, _at: &Path, _value: &mut prost_types::Timestamp) {}
    /// Called for a duration.
    fn duration(&mut self, _at: &Path, _value: &mut prost_types::Duration) {}
    /// Called for a list, before its elements.
    fn list(&mut self, _at: &Path, _rules: &Rules, _length: usize) {}
    /// Called for a message or optional value that is not set.
    fn missing(&mut self, _at: &Path, _rules: &Rules) {}
    /// Called for a `oneof` without a value; `at` is the message that contains it.
    fn absent(&mut self, _at: &Path, _oneof: &'static str, _required: bool) {}
}

/// A message whose fields can be visited.
pub trait Walk {
    /// Visits the message itself, then each field.
    fn walk(&mut self, at: &mut Path, visitor: &mut dyn Visitor);
}

mod generated {
    #![allow(clippy::all, clippy::pedantic, missing_docs, unused)]
    use super::{Path, Rules, StringFormat, Visitor, Walk, v1};

    include!(concat!(env!("OUT_DIR"), "/walk.rs"));
}

pub use generated::Node;
