//! Confirmation prompts before irreversible actions.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, bail};

use super::output::print_message;

/// A confirmation prompt before an irreversible action.
pub(super) struct Confirmation<'a> {
    /// Error if stdin is not a terminal.
    pub unasked: &'a str,
    /// The effect of the action.
    pub warning: &'a str,
    /// Prompt for the text to type.
    pub prompt: &'a str,
    /// The text that confirms.
    pub answer: &'a str,
    /// Error if another text was typed.
    pub otherwise: &'a str,
}

/// Returns only if the user confirms.
///
/// # Errors
/// If nobody can be asked, or another text was typed.
pub(super) fn confirm(question: &Confirmation<'_>) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!("{}", question.unasked);
    }
    print_message(question.warning);
    if prompt_line(question.prompt)?.trim() != question.answer {
        bail!("{}", question.otherwise);
    }
    Ok(())
}

/// Asks on the terminal. End of input is an empty answer.
///
/// # Errors
/// If the terminal is closed.
pub(super) fn prompt_line(question: &str) -> Result<String> {
    let mut err = anstream::stderr();
    write!(err, "{question}")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
}
