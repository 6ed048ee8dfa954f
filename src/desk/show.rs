//! Differences for people: short values whole, long texts as a line diff with the changed words stressed. Control
//! characters are escaped.

use std::fmt::Write;

use dateline_proto::v1::FieldDifference;
use similar::{ChangeTag, TextDiff};

use crate::{output::printable, yaml};

/// Maximum length of a value that is printed whole.
const SHORT: usize = 80;

/// Formats field differences: each path, then both values.
pub(super) fn differences(differences: &[FieldDifference]) -> String {
    let bold = anstyle::Style::new().bold();
    let mut out = String::new();
    for difference in differences {
        let (before, after) = (
            readable(&difference.before_json),
            readable(&difference.after_json),
        );
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{bold}{}{bold:#}", printable(&difference.path));
        if difference.values_omitted {
            out.push_str("  (both values are too long for one answer)\n");
        }
        out.push_str(&texts(&before, &after, 1));
    }
    out
}

/// Formats a JSON value for people: a string bare, anything else as YAML.
fn readable(json: &str) -> String {
    if json.is_empty() {
        return String::new();
    }
    match serde_json::from_str(json) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(value) => yaml::write(&value).unwrap_or_else(|_| json.to_owned()),
        Err(_) => json.to_owned(),
    }
}

/// A line diff of two texts, with `context` unchanged lines around each change.
pub(super) fn texts(before: &str, after: &str, context: usize) -> String {
    let (before, after) = (ended(before), ended(after));
    if is_short(&before) && is_short(&after) {
        return sided('-', &before) + &sided('+', &after);
    }
    let diff = TextDiff::from_lines(&before, &after);
    let mut out = String::new();
    for (index, group) in diff.grouped_ops(context).iter().enumerate() {
        if index > 0 {
            out.push_str("  ...\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_inline_changes(op)) {
            let stressed: String = change
                .iter_strings_lossy()
                .map(|(stressed, part)| stress(stressed, &printable(&part)))
                .collect();
            out.push_str(&line(change.tag(), stressed.trim_end_matches(' ')));
        }
    }
    out
}

/// Ends a text with exactly one line break; an empty text stays empty.
fn ended(text: &str) -> String {
    let text = text.trim_end_matches('\n');
    if text.is_empty() {
        String::new()
    } else {
        format!("{text}\n")
    }
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= SHORT && text.lines().count() <= 1
}

fn sided(sign: char, text: &str) -> String {
    let tag = if sign == '-' {
        ChangeTag::Delete
    } else {
        ChangeTag::Insert
    };
    text.lines()
        .map(|text| line(tag, &printable(text)))
        .collect()
}

fn stress(is_stressed: bool, text: &str) -> String {
    let style = anstyle::Style::new().underline();
    if is_stressed && !text.trim().is_empty() {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

fn line(tag: ChangeTag, text: &str) -> String {
    let (sign, colour) = match tag {
        ChangeTag::Delete => ('-', Some(anstyle::AnsiColor::Red)),
        ChangeTag::Insert => ('+', Some(anstyle::AnsiColor::Green)),
        ChangeTag::Equal => (' ', None),
    };
    let style = anstyle::Style::new().fg_color(colour.map(Into::into));
    format!("{style}{sign} {text}{style:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn short_values_stand_under_each_other_and_long_texts_show_their_lines() {
        let paragraph = "word ".repeat(30);
        let before = format!("{paragraph}\n\nsame\n\nold end");
        let after = format!("{paragraph}\n\nsame\n\nnew end");
        let found = differences(&[
            FieldDifference {
                path: "display_name".to_owned(),
                before_json: "\"Nato\"".to_owned(),
                after_json: "\"NATO\"".to_owned(),
                ..FieldDifference::default()
            },
            FieldDifference {
                path: "body".to_owned(),
                before_json: serde_json::to_string(&before).unwrap(),
                after_json: serde_json::to_string(&after).unwrap(),
                ..FieldDifference::default()
            },
        ]);
        let expected = "display_name\n- Nato\n+ NATO\nbody\n  \n- old end\n+ new end\n";
        assert_eq!(plain(&found), expected);
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_gets_through() {
        let evil = format!("\"{}\\u001b]0;gotcha\\u0007\"", "long ".repeat(40));
        let found = differences(&[FieldDifference {
            path: "summary".to_owned(),
            before_json: "\"\\u001b[2J\"".to_owned(),
            after_json: evil,
            ..FieldDifference::default()
        }]);
        assert!(!plain(&found).chars().any(|c| c.is_control() && c != '\n'));
        assert!(
            !found.contains("\u{1b}]") && !found.contains("\u{1b}[2J"),
            "{found:?}"
        );
    }
}
