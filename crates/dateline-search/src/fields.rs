//! The texts of a record that people search, of any kind: one walk, by the rules that the schema gives each field.

use dateline_proto::v1::record::Kind as Body;
use dateline_record::walk::{Path, Rules, StringFormat, Visitor, Walk};

/// The meaning of a text for search, from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A name, headline or title.
    Name,
    /// A line about the record; the id in names of records.
    Line,
    /// A longer text.
    Prose,
}

/// A text of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldText {
    /// Path from the root of the record.
    pub path: String,
    /// The text as stored.
    pub text: String,
    /// Its meaning.
    pub class: Class,
    /// True for the name of a record.
    pub is_reference: bool,
}

/// Returns the texts of a record, and its language if it states one. The record is not changed.
pub(crate) fn texts(body: &mut Body) -> (Vec<FieldText>, String) {
    let mut visitor = TextVisitor::default();
    body.walk(&mut Path::default(), &mut visitor);
    (visitor.texts, visitor.language)
}

/// Returns the headline or display name of a record; empty for kinds without one.
#[must_use]
pub fn title(body: &mut Body) -> String {
    let (texts, _) = texts(body);
    let found = texts.into_iter().find(|text| is_title(&text.path));
    found.map(|text| text.text).unwrap_or_default()
}

/// Fields of the root that name the record.
fn is_title(path: &str) -> bool {
    matches!(path, "display_name" | "headline" | "role_title")
}

#[derive(Default)]
struct TextVisitor {
    texts: Vec<FieldText>,
    language: String,
}

impl Visitor for TextVisitor {
    fn string(&mut self, at: &Path, rules: &Rules, value: &mut String) {
        if rules.format == StringFormat::Language && at.depth() == 1 {
            self.language.clone_from(value);
        }
        if value.is_empty() || rules.output_only {
            return;
        }
        let path = at.to_string();
        let is_own_name = path == "name";
        // Evidence refers to its article and to who said it; mentions repeat the body.
        let is_reference = !rules.refers_to.is_empty() || is_own_name;
        if is_reference {
            if !at.is_under("evidence") && !at.is_under("mentions") {
                self.push(path, value, Class::Line, true);
            }
            return;
        }
        let for_people = rules.format == StringFormat::Unspecified && rules.pattern.is_none();
        if !for_people || matches!(at.top(), Some("mentions" | "external_ids" | "source_item")) {
            return;
        }
        let is_name = is_title(&path) || at.template() == "names.text";
        let class = match at.template().as_str() {
            _ if is_name => Class::Name,
            "evidence.quote.exact" => Class::Prose,
            _ if rules.prose => Class::Prose,
            _ => Class::Line,
        };
        self.push(path, value, class, false);
    }
}

impl TextVisitor {
    fn push(&mut self, path: String, text: &str, class: Class, is_reference: bool) {
        self.texts.push(FieldText {
            path,
            text: text.to_owned(),
            class,
            is_reference,
        });
    }
}
