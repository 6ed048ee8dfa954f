//! Output to stderr, and text that is safe on a terminal: control characters never reach it.

use std::{fmt::Display, io::Write, sync::Mutex};

use indicatif::{ProgressBar, WeakProgressBar};

/// The progress bar at the end of stderr.
static BAR: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// Prints a line to stderr, above the bar if there is one. A closed stderr is no error.
pub fn print_message(text: impl Display) {
    let write = || drop(writeln!(anstream::stderr(), "{text}"));
    let bar = BAR.lock().ok().and_then(|bar| bar.as_ref()?.upgrade());
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Prints all later messages above this bar.
pub fn print_above(bar: &ProgressBar) {
    if let Ok(mut current) = BAR.lock() {
        *current = Some(bar.downgrade());
    }
}

/// Prints an error to stderr.
pub fn print_error(text: &str) {
    let red = anstyle::Style::new()
        .fg_color(Some(anstyle::AnsiColor::Red.into()))
        .bold();
    print_message(format_args!("{red}error:{red:#} {}", lines(text)));
}

/// Replaces the characters that a terminal would interpret.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

/// Like [`printable`], for a text of several lines: line breaks stay.
#[must_use]
pub fn lines(text: &str) -> String {
    text.split('\n')
        .map(printable)
        .collect::<Vec<_>>()
        .join("\n")
}
