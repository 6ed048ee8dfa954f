//! Tables for people. Each column is as wide as its content. On a terminal the last column is cut to the width, and
//! columns that do not fit are placed on an indented line below the first ones.

use std::{fmt, ops::Range};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Spaces between two columns.
const GAP: usize = 2;
/// Indent of columns below the first ones.
const INDENT: usize = 4;
/// Minimum width of a cut last column; if less is left, the column moves below.
const READABLE: usize = 24;

/// Rows under a header; an empty header is not printed.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    has_header: bool,
    /// Columns of the terminal; `None` for output without a limit.
    width: Option<usize>,
}

/// Columns on one line, and their widths.
struct Line {
    columns: Range<usize>,
    widths: Vec<usize>,
}

impl Table {
    /// Creates a table as wide as the terminal, or unlimited if stdout is no terminal.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        Self::of_width(header, terminal_width())
    }

    fn of_width(header: &[&str], width: Option<usize>) -> Self {
        let first = header.iter().map(ToString::to_string).collect::<Vec<_>>();
        Self {
            has_header: !first.is_empty(),
            rows: Vec::from_iter((!first.is_empty()).then_some(first)),
            width,
        }
    }

    /// Adds a row with one cell per column.
    pub fn add_row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn lines(&self) -> Vec<Line> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(widest).collect();
        let total = self.width.unwrap_or(usize::MAX);
        let mut lines: Vec<Line> = Vec::new();
        while let Some(start) = lines.last().map_or(Some(0), |line| Some(line.columns.end))
            && start < columns
        {
            lines.push(fill(&widths, start, total));
        }
        lines
    }
}

/// The columns from `start` that fit on a line, at least one.
fn fill(natural: &[usize], start: usize, total: usize) -> Line {
    let mut used = if start == 0 { 0 } else { INDENT };
    let mut widths = Vec::new();
    for (column, width) in natural.iter().enumerate().skip(start) {
        let gap = if column == start { 0 } else { GAP };
        let left = total.saturating_sub(used.saturating_add(gap));
        let is_last = column + 1 == natural.len();
        let least = if is_last {
            (*width).min(READABLE)
        } else {
            *width
        };
        if left < least && column > start {
            break;
        }
        let width = if is_last { (*width).min(left) } else { *width };
        used = used.saturating_add(gap + width);
        widths.push(width);
    }
    Line {
        columns: start..start + widths.len(),
        widths,
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let mut is_first = true;
        for (index, row) in self.rows.iter().enumerate() {
            for line in &lines {
                let cells = row.get(line.columns.clone()).unwrap_or_default();
                let is_below = line.columns.start > 0;
                let is_header = self.has_header && index == 0;
                if is_below && !is_header && cells.iter().all(String::is_empty) {
                    continue;
                }
                let mut text = " ".repeat(if is_below { INDENT } else { 0 });
                for (cell, width) in cells.iter().zip(&line.widths) {
                    let cell = cut(cell, *width);
                    let pad = width.saturating_sub(cell.width()) + GAP;
                    text.extend([cell.as_str(), &" ".repeat(pad)]);
                }
                let end = if is_first { "" } else { "\n" };
                is_first = false;
                write!(out, "{end}{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Cuts a text to a width, with a mark at the cut. Only for text: a cut name could not be copied.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let kept = text.chars().take_while(|character| {
        let wide = character.width().unwrap_or_default();
        let fits = wide <= left;
        left = left.saturating_sub(wide);
        fits
    });
    let kept: String = kept.collect();
    format!("{}…", kept.trim_end())
}

/// Width of the terminal in columns, if stdout is one.
#[must_use]
pub fn terminal_width() -> Option<usize> {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map(|(terminal_size::Width(width), _)| usize::from(width).max(20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: Option<usize>) -> Table {
        let mut table = Table::of_width(&["NAME", "STATE", "REV", "TYPE", "TITLE"], width);
        let name = "articles/kazakhstan-confirms-partnership-with-nato-us";
        let title = "Kazakhstan Confirms Partnership with NATO, U.S.";
        table.add_row([name, "published", "2", "article", title]);
        table.add_row([
            "actors/nato",
            "in review",
            "12",
            "organization",
            "北大西洋公約組織",
        ]);
        table.add_row(["actors/nobody", "draft", "1", "", ""]);
        table
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_every_column_is_there() {
        let all = table(None).to_string();
        assert_eq!(all.lines().count(), 4, "{all}");
        for width in [40, 60, 80, 100, 120, 200] {
            let text = table(Some(width)).to_string();
            for line in text.lines() {
                let is_name = line.trim().starts_with("articles/");
                assert!(line.width() <= width || is_name, "{width}: {line}");
                assert_eq!(line, line.trim_end());
            }
            for word in [
                "kazakhstan-confirms-partnership-with-nato-us",
                "Kazakhstan Conf",
                "in review",
                "12",
                "北大西洋",
            ] {
                assert!(text.contains(word), "{width}: {word} is not in\n{text}");
            }
        }
    }

    #[test]
    fn at_80_columns_a_long_row_takes_two_lines_and_at_120_one() {
        let narrow = table(Some(80)).to_string();
        assert_eq!(narrow.lines().count(), 7, "{narrow}");
        let row = "articles/kazakhstan-confirms-partnership-with-nato-us  published  2\n    article       Kazakhstan Confirms Partnership with NATO, U.S.\n";
        assert!(narrow.contains(row), "{narrow}");
        let wide = table(Some(120)).to_string();
        assert_eq!(wide.lines().count(), 4, "{wide}");
        assert!(
            wide.contains("article       Kazakhstan Confirms Partner"),
            "{wide}"
        );
        assert!(wide.contains('…'), "{wide}");
    }
}
