//! Opens the user's editor on a temporary file, which is kept if its text was not sent.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The file of a text in an editor. Removed on drop unless it is kept.
pub(super) struct DraftFile {
    path: PathBuf,
    written: String,
    is_kept: bool,
}

impl DraftFile {
    /// Writes a text to a new file that only its owner can read.
    pub(super) fn new(name: &str, ending: &str, text: &str) -> Result<Self> {
        let stem = name.replace('/', "-");
        let id = std::process::id();
        for attempt in 0..100 {
            let path =
                std::env::temp_dir().join(format!("dateline-{stem}-{id}-{attempt}.{ending}"));
            let opened = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match opened {
                Ok(mut file) => {
                    let draft = Self {
                        path,
                        written: text.to_owned(),
                        is_kept: false,
                    };
                    file.write_all(text.as_bytes())
                        .with_context(|| format!("cannot write {}", draft.path.display()))?;
                    return Ok(draft);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot write {}", path.display()));
                }
            }
        }
        bail!(
            "there are too many kept texts of {name} in {}",
            std::env::temp_dir().display()
        )
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the editor and returns the saved text. On failure the file is kept.
    pub(super) fn edit(&mut self) -> Result<String> {
        let ended = open(&self.path);
        let path = self.path.display();
        let text =
            std::fs::read_to_string(&self.path).with_context(|| format!("cannot read {path}"));
        self.is_kept = match (&ended, &text) {
            (Ok(()), Ok(_)) => false,
            (Err(_), Ok(text)) => *text != self.written,
            (_, Err(_)) => true,
        };
        match ended {
            Err(error) if self.is_kept => Err(error.context(format!("the text is kept in {path}"))),
            Err(error) => Err(error),
            Ok(()) => text,
        }
    }

    /// Keeps the file.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for DraftFile {
    fn drop(&mut self) {
        if !self.is_kept {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn open(path: &Path) -> Result<()> {
    let set = ["VISUAL", "EDITOR"]
        .iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|editor| !editor.trim().is_empty());
    let has_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let Some(editor) = set.or_else(|| has_terminal.then(|| "vi".to_owned())) else {
        bail!(
            "there is neither an editor nor a terminal to open one in; set EDITOR, or write a file with \
             `dateline get --view desk NAME > FILE`, change it, and send it with --from FILE"
        );
    };
    // Run by the shell, as git does: `EDITOR` may contain arguments.
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("{editor} \"$@\""), &editor])
        .arg(path)
        .status()
        .with_context(|| format!("cannot run {editor}"))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(127) => bail!("there is no editor {editor}; set EDITOR to one that there is"),
        _ => bail!("the editor {editor} ended with {status}; nothing was sent"),
    }
}
