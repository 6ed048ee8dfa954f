//! What was rejected: counted, told, and written down for whoever repairs it.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    cli::{
        output::{lines, say},
        refusal::Refusal,
    },
    files,
};

pub(super) struct Rejects {
    file: Option<BufWriter<File>>,
    is_told: bool,
    count: usize,
}

impl Rejects {
    /// Begins the file anew: it is that of one run.
    pub(super) fn open(file: Option<&Path>, is_told: bool) -> Result<Self> {
        let opened = file.map(|path| {
            let created = files::create(path);
            created.with_context(|| format!("cannot write {}", path.display()))
        });
        Ok(Self {
            file: opened.transpose()?.map(BufWriter::new),
            is_told,
            count: 0,
        })
    }

    pub(super) fn add(&mut self, refused: &[Refusal]) -> Result<()> {
        for refusal in refused {
            self.count += 1;
            if self.is_told {
                say(lines(&refusal.to_string()));
            }
            if let Some(file) = &mut self.file {
                refusal
                    .write(file)
                    .context("cannot write the file of rejects")?;
            }
        }
        if let Some(file) = self.file.as_mut().filter(|_| !refused.is_empty()) {
            file.flush().context("cannot write the file of rejects")?;
        }
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}
