//! Questions on the terminal, before something is done that nothing undoes.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, bail};

use super::output::say;

/// What is asked before something is done for good.
pub(super) struct Question<'a> {
    /// Why it is not done where nobody can be asked.
    pub unasked: &'a str,
    /// What it does.
    pub warning: &'a str,
    /// What is to be typed.
    pub prompt: &'a str,
    /// What has to be typed.
    pub answer: &'a str,
    /// Why it is not done if something else was.
    pub otherwise: &'a str,
}

/// Goes on only if somebody says that it is meant.
///
/// # Errors
/// When nobody is there, or something else was typed.
pub(super) fn confirm(question: &Question<'_>) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!("{}", question.unasked);
    }
    say(question.warning);
    if ask(question.prompt)?.trim() != question.answer {
        bail!("{}", question.otherwise);
    }
    Ok(())
}

/// Asks on the terminal; an answer that ends at once is empty.
///
/// # Errors
/// When the terminal is gone.
pub(super) fn ask(question: &str) -> Result<String> {
    let mut err = anstream::stderr();
    write!(err, "{question}")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
}
