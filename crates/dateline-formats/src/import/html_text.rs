//! HTML as plain text: paragraphs separated by an empty line, lists and line breaks kept, entities decoded. Elements
//! without text (scripts, figures, hidden parts) are left out and counted.
//!
//! The parser is html5ever, which reads markup as browsers do. The walk over its tree uses no recursion, and
//! [`MAX_DEPTH`] bounds the nesting before parsing: parsing time grows with the square of the depth.

use std::{collections::BTreeMap, rc::Rc, sync::LazyLock};

use html5ever::{ParseOpts, parse_document, tendril::TendrilSink};
use markup5ever_rcdom::{Node, NodeData, RcDom};
use regex::Regex;

/// Maximum nesting depth of the input.
const MAX_DEPTH: usize = 1000;

/// Elements that start and end a paragraph.
const BLOCKS: [&str; 32] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dir",
    "div",
    "dl",
    "dt",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "ul",
];

/// Elements without text for readers: code, pictures, media, forms, and navigation.
const NO_TEXT: [&str; 24] = [
    "applet", "audio", "button", "canvas", "del", "embed", "figure", "iframe", "img", "input",
    "map", "math", "nav", "noscript", "object", "picture", "script", "select", "style", "svg",
    "template", "textarea", "track", "video",
];

/// Elements of a page's head, invisible to readers.
const HEAD: [&str; 5] = ["base", "head", "link", "meta", "title"];

/// Elements without an end tag, or whose end tag may be left out without nesting the next element.
const SHALLOW: [&str; 26] = [
    "area", "base", "body", "br", "col", "dd", "dt", "embed", "head", "hr", "html", "img", "input",
    "li", "link", "meta", "option", "p", "param", "source", "tbody", "td", "th", "tr", "track",
    "wbr",
];

static TAG: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("<(/?)([A-Za-z][A-Za-z0-9]*)([^<>]*)>").ok());

/// Tags and entities that do not occur in plain text by chance.
static MARKUP: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        "(?i)</?(p|br|em|strong|b|i|u|a|span|div|section|article|html|body|h[1-6]|ul|ol|li|blockquote|table|tr|td|sup|sub)(\\s[^<>]*)?/?>\
         |&(amp|lt|gt|quot|apos|nbsp|[lr]aquo|[lr][ds]quo|[mn]dash|hellip|euro|[aou]uml|szlig|#[0-9]{1,7}|#x[0-9a-f]{1,6});",
    )
    .ok()
});

/// The text of an HTML document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HtmlText {
    pub text: String,
    /// Number of elements left out, by element name.
    pub left_out: BTreeMap<String, usize>,
}

/// True if a text of unknown type is HTML.
pub(super) fn has_markup(text: &str) -> bool {
    MARKUP
        .as_ref()
        .is_some_and(|pattern| pattern.is_match(text))
}

/// Reads an HTML fragment or page.
///
/// # Errors
/// If elements are nested deeper than [`MAX_DEPTH`].
pub(super) fn read(html: &str) -> Result<HtmlText, String> {
    if depth(html) > MAX_DEPTH {
        return Err(format!(
            "has HTML with elements nested deeper than {MAX_DEPTH}"
        ));
    }
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(html);
    let mut writer = Writer::default();
    let mut open = vec![Visit::Begin(dom.document.clone())];
    while let Some(visit) = open.pop() {
        match visit {
            Visit::Begin(node) => {
                if writer.begin(&node) {
                    open.push(Visit::End(node.clone()));
                    let children = node.children.borrow();
                    open.extend(children.iter().rev().cloned().map(Visit::Begin));
                }
            }
            Visit::End(node) => writer.end(&node),
        }
    }
    Ok(writer.finish())
}

/// Upper bound of the nesting depth, counted from the tags.
fn depth(html: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let tags = TAG.as_ref().map(|pattern| pattern.captures_iter(html));
    for tag in tags.into_iter().flatten() {
        let name = tag[2].to_ascii_lowercase();
        if SHALLOW.contains(&name.as_str()) {
            continue;
        }
        if tag[1].is_empty() {
            depth += 1;
            deepest = deepest.max(depth);
        } else {
            depth = depth.saturating_sub(1);
        }
    }
    deepest
}

enum Visit {
    Begin(Rc<Node>),
    End(Rc<Node>),
}

/// Separator between the text so far and the next text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
    Paragraph,
}

#[derive(Default)]
struct Writer {
    text: String,
    gap: Gap,
    /// Text to write before the next text: the mark of a list entry.
    mark: String,
    /// Counters of the open ordered lists; 0 for unordered ones.
    lists: Vec<usize>,
    /// Number of open elements that preserve white space.
    preformatted: usize,
    /// Open superscripts (true) and subscripts (false), with their start.
    shifted: Vec<usize>,
    cells: usize,
    left_out: BTreeMap<String, usize>,
}

impl Writer {
    /// Returns true if the children are to be read.
    fn begin(&mut self, node: &Node) -> bool {
        let name = match &node.data {
            NodeData::Document => return true,
            NodeData::Text { contents } => {
                self.add(&contents.borrow());
                return false;
            }
            NodeData::Element { name, .. } => name.local.to_string(),
            _ => return false,
        };
        if HEAD.contains(&name.as_str()) {
            return false;
        }
        if NO_TEXT.contains(&name.as_str()) || is_hidden(node) {
            *self.left_out.entry(name).or_default() += 1;
            return false;
        }
        match name.as_str() {
            "br" => self.part(if self.gap == Gap::Line {
                Gap::Paragraph
            } else {
                Gap::Line
            }),
            "ol" => self.open_list(1),
            "ul" | "dir" => self.open_list(0),
            "li" => self.begin_entry(),
            "tr" => {
                self.part(Gap::Line);
                self.cells = 0;
            }
            "td" | "th" => {
                if self.cells > 0 {
                    self.gap = Gap::None;
                    self.text.push_str(" | ");
                }
                self.cells += 1;
            }
            "pre" => {
                self.part(Gap::Paragraph);
                self.preformatted += 1;
            }
            "sup" | "sub" => self.shifted.push(self.text.len()),
            "q" => self.add("\u{201c}"),
            "a" => *self.left_out.entry("link".to_owned()).or_default() += 1,
            block if BLOCKS.contains(&block) => self.part(self.block_gap()),
            _ => {}
        }
        true
    }

    fn end(&mut self, node: &Node) {
        let NodeData::Element { name, .. } = &node.data else {
            return;
        };
        match name.local.as_ref() {
            "ol" | "ul" | "dir" => {
                self.lists.pop();
                self.part(self.block_gap());
            }
            "li" => {
                self.mark.clear();
                self.part(Gap::Line);
            }
            "tr" => self.part(Gap::Line),
            "pre" => {
                self.preformatted -= 1;
                self.part(Gap::Paragraph);
            }
            shift @ ("sup" | "sub") => {
                let from = self.shifted.pop().unwrap_or_default();
                self.shift(from, shift == "sup");
            }
            "q" => self.add("\u{201d}"),
            block if BLOCKS.contains(&block) => self.part(self.block_gap()),
            _ => {}
        }
    }

    /// A block starts a line inside of a list, and a paragraph elsewhere.
    fn block_gap(&self) -> Gap {
        if self.lists.is_empty() {
            Gap::Paragraph
        } else {
            Gap::Line
        }
    }

    fn part(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    fn open_list(&mut self, number: usize) {
        self.part(self.block_gap());
        self.lists.push(number);
    }

    fn begin_entry(&mut self) {
        self.part(Gap::Line);
        let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(8));
        let number = self.lists.last_mut().filter(|number| **number > 0);
        self.mark = match number {
            Some(number) => {
                *number += 1;
                format!("{indent}{}. ", *number - 1)
            }
            None => format!("{indent}- "),
        };
    }

    fn add(&mut self, text: &str) {
        if self.preformatted > 0 {
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            let text = text.trim_end_matches('\n');
            if !text.is_empty() {
                self.bridge();
                self.text.push_str(text);
            }
            return;
        }
        let is_space = |found: char| matches!(found, ' ' | '\t' | '\n' | '\r' | '\u{c}');
        for (index, word) in text.split(is_space).enumerate() {
            if index > 0 {
                self.part(Gap::Space);
            }
            if !word.is_empty() {
                self.bridge();
                self.text.push_str(word);
            }
        }
    }

    /// Writes the separator between the text so far and the next text.
    fn bridge(&mut self) {
        let gap = std::mem::take(&mut self.gap);
        if !self.text.is_empty() {
            self.text.push_str(match gap {
                Gap::None => "",
                Gap::Space if self.text.ends_with(['\n', ' ']) => "",
                Gap::Space => " ",
                Gap::Line => "\n",
                Gap::Paragraph => "\n\n",
            });
        }
        let mark = std::mem::take(&mut self.mark);
        self.text.push_str(&mark);
    }

    /// Writes superscript and subscript digits as such: 10 to the 6th is not 106.
    fn shift(&mut self, from: usize, is_raised: bool) {
        let Some(text) = self.text.get(from..) else {
            return;
        };
        let shifted: Option<String> = text
            .chars()
            .map(|digit| shifted(digit, is_raised))
            .collect();
        if let Some(shifted) = shifted {
            self.text.replace_range(from.., &shifted);
        }
    }

    fn finish(self) -> HtmlText {
        let lines = self.text.lines().map(str::trim_end);
        HtmlText {
            text: lines.collect::<Vec<_>>().join("\n").trim().to_owned(),
            left_out: self.left_out,
        }
    }
}

fn shifted(digit: char, is_raised: bool) -> Option<char> {
    const RAISED: [char; 13] = [
        '⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹', '⁺', '⁻', ' ',
    ];
    const LOWERED: [char; 13] = [
        '₀', '₁', '₂', '₃', '₄', '₅', '₆', '₇', '₈', '₉', '₊', '₋', ' ',
    ];
    let index = match digit {
        '+' => 10,
        '-' | '\u{2212}' => 11,
        ' ' => 12,
        digit => usize::try_from(digit.to_digit(10)?).ok()?,
    };
    let shifted = if is_raised { RAISED } else { LOWERED };
    shifted.get(index).copied()
}

/// True if a browser would hide the element.
fn is_hidden(node: &Node) -> bool {
    let NodeData::Element { attrs, .. } = &node.data else {
        return false;
    };
    attrs.borrow().iter().any(|attribute| {
        let style = || attribute.value.to_ascii_lowercase().replace(' ', "");
        match attribute.name.local.as_ref() {
            "hidden" => true,
            "style" => {
                let style = style();
                style.contains("display:none") || style.contains("visibility:hidden")
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{has_markup, read};

    fn text(html: &str) -> String {
        read(html).unwrap().text
    }

    #[test]
    fn html_becomes_paragraphs_with_entities_decoded_and_lists_and_breaks_kept() {
        for (html, expected) in [
            (
                "<p>Erster Absatz &amp; mehr.</p><p>Zweiter&nbsp;Absatz.</p>",
                "Erster Absatz & mehr.\n\nZweiter\u{a0}Absatz.",
            ),
            (
                "<section class=\"main\"><p>Der Minister sagte &#8222;nein&#8220;.</p>\n\n<p>Zweiter\n   Absatz.</p></section>",
                "Der Minister sagte „nein“.\n\nZweiter Absatz.",
            ),
            (
                "One<br>Two<br/>Three<br><br>Four",
                "One\nTwo\nThree\n\nFour",
            ),
            (
                "<P>Unclosed<P>As <EM>old</EM> pages <b>are</b>",
                "Unclosed\n\nAs old pages are",
            ),
            (
                "<p>Points:</p><ul><li>One</li><li><p>Two</p></li><li>Three<ol><li>a</li><li>b</li></ol></li></ul><p>End.</p>",
                "Points:\n\n- One\n- Two\n- Three\n  1. a\n  2. b\n\nEnd.",
            ),
            (
                "<table><tr><th>Side</th><th>Goals</th></tr><tr><td>A</td><td>2</td></tr></table>",
                "Side | Goals\nA | 2",
            ),
            (
                "<html><head><title>T</title><style>p{}</style></head><body><h1>H</h1>text</body></html>",
                "H\n\ntext",
            ),
            (
                "10<sup>6</sup> m<sup>2</sup>, CO<sub>2</sub>, Applebee’s<sup >®</sup>",
                "10⁶ m², CO₂, Applebee’s®",
            ),
            ("<pre>a\n  b\n</pre>c", "a\n  b\n\nc"),
            (
                "<p>He said <q>no</q>.<!-- not that --></p>",
                "He said “no”.",
            ),
            ("<p> </p><div>&nbsp;</div>", ""),
            ("1 < 2 &lt; 3 & so on", "1 < 2 < 3 & so on"),
            ("<p>&amp;lt;b&amp;gt; twice</p>", "&lt;b&gt; twice"),
            (
                "<blockquote>Aurora kommer.</blockquote> <p>Mer.</p>",
                "Aurora kommer.\n\nMer.",
            ),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn what_is_no_text_is_left_out_and_counted() {
        let found = read(
            "<p>Kept <a href=\"https://x.org\">link</a>.</p><script>alert('<p>no</p>')</script><figure><img src=x><figcaption>Cap</figcaption></figure>\
             <p style=\"display: none\">secret</p><p hidden>too</p><p>End <del>deleted </del>here.</p>",
        )
        .unwrap();
        assert_eq!(found.text, "Kept link.\n\nEnd here.");
        let counted: Vec<_> = found
            .left_out
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        assert_eq!(counted, ["del 1", "figure 1", "link 1", "p 2", "script 1"]);
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_parsed_and_wide_pages_are_not() {
        let error = read(&"<div>".repeat(500_000)).unwrap_err();
        assert!(error.contains("nested deeper"), "{error}");
        assert!(read(&"<b id=x><p>".repeat(2000)).is_err());
        assert_eq!(text(&"<p>a".repeat(5000)).matches('a').count(), 5000);
        assert_eq!(
            text(&"<div>a</div>".repeat(5000)).matches('a').count(),
            5000
        );
    }

    #[test]
    fn markup_is_told_from_plain_text() {
        for html in [
            "<p>x",
            "a<br/>b",
            "AT&amp;T",
            "x &#8222;y",
            "Profits <em>rise</em>",
        ] {
            assert!(has_markup(html), "{html}");
        }
        for plain in [
            "1 < 2",
            "Smith & Sons; others",
            "<3",
            "a <- b",
            "R&D;",
            "if x<y then z>w",
        ] {
            assert!(!has_markup(plain), "{plain}");
        }
    }
}
