//! Compares the output on a page with the real output.

use regex::Regex;

/// Compares lines: `…` alone on a line stands for any lines, within a line for any words; sizes, durations and times
/// may differ.
pub fn agree(shown: &[String], came: &str) -> bool {
    let shown: Vec<_> = shown.iter().map(|line| pattern(line)).collect();
    let came: Vec<_> = came.lines().map(settled).collect();
    lines_agree(&shown, &came)
}

fn lines_agree(shown: &[Option<Regex>], came: &[String]) -> bool {
    match (shown.split_first(), came.split_first()) {
        (None, None) => true,
        (Some((None, rest)), _) => (0..=came.len()).any(|skip| lines_agree(rest, &came[skip..])),
        (Some((Some(line), rest)), Some((first, others))) => {
            line.is_match(first) && lines_agree(rest, others)
        }
        (None, Some(_)) | (Some((Some(_), _)), None) => false,
    }
}

/// A line as a regular expression; `None` stands for any lines.
fn pattern(line: &str) -> Option<Regex> {
    let line = settled(line);
    if line == "…" {
        return None;
    }
    let escaped = regex::escape(&line).replace('…', ".*");
    Some(Regex::new(&format!("^{escaped}$")).unwrap())
}

/// A line without values that differ between runs.
fn settled(line: &str) -> String {
    let changing = [
        (
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( UTC|Z)?",
            "TIME",
        ),
        (r"(?-u:\b)[0-9,.]+ ?(B|KiB|MiB|kB|MB)(?-u:\b)", "SIZE"),
        (r"(?-u:\b)[0-9.]+ ?(ms|s)(?-u:\b)", "DURATION"),
        (r"[ \t]+", " "),
    ];
    let settled = changing.iter().fold(line.to_owned(), |line, (from, to)| {
        Regex::new(from)
            .unwrap()
            .replace_all(&line, *to)
            .into_owned()
    });
    settled.trim_end().to_owned()
}

#[test]
fn what_is_shown_has_to_come() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(agree(&shown("a\n…\nb 12 ms"), "a\nx\ny\nb 7 ms\n"));
    assert!(agree(
        &shown("47 records in … files"),
        "47 records in 8 files\n"
    ));
    assert!(!agree(&shown("a"), "a\nb\n"));
    assert!(!agree(&shown("a\nb"), "a\n"));
    assert!(!agree(&shown("47 records"), "46 records\n"));
    assert!(!agree(&shown(""), "unexpected\n"));
}
