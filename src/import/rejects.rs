//! Rejected records: counted, reported, and written to a file for repair.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    output::{lines, print_message},
    rejection::{Notice, Rejection},
};

/// Maximum number of notices printed; the file has all of them.
const MAX_PRINTED: usize = 20;

pub(super) struct Rejects {
    file: Option<BufWriter<File>>,
    is_printed: bool,
    count: usize,
    /// Number of notices, and of those that require action.
    notices: usize,
    open: usize,
}

impl Rejects {
    /// Creates the file, or truncates it: it holds the rejects of one run.
    pub(super) fn create(file: Option<&Path>, is_printed: bool) -> Result<Self> {
        let opened = file.map(|path| {
            let created = dateline_files::create(path);
            created.with_context(|| format!("cannot write {}", path.display()))
        });
        Ok(Self {
            file: opened.transpose()?.map(BufWriter::new),
            is_printed,
            count: 0,
            notices: 0,
            open: 0,
        })
    }

    pub(super) fn add(&mut self, refused: &[Rejection]) -> Result<()> {
        for rejection in refused {
            self.count += 1;
            if self.is_printed {
                print_message(lines(&rejection.to_string()));
            }
            if let Some(file) = &mut self.file {
                rejection
                    .write(file)
                    .context("cannot write the file of rejects")?;
            }
        }
        if let Some(file) = self.file.as_mut().filter(|_| !refused.is_empty()) {
            file.flush().context("cannot write the file of rejects")?;
        }
        Ok(())
    }

    /// Prints notices, and writes those that require action to the file.
    pub(super) fn add_notices(&mut self, notices: &[Notice]) -> Result<()> {
        for notice in notices {
            self.notices += 1;
            if self.notices <= MAX_PRINTED {
                print_message(lines(&notice.to_string()));
            }
            if !notice.is_open {
                continue;
            }
            self.open += 1;
            if let Some(file) = &mut self.file {
                let written = notice.about.write(file).and_then(|()| file.flush());
                written.context("cannot write the file of rejects")?;
            }
        }
        Ok(())
    }

    /// Reports how many notices were not printed.
    pub(super) fn print_omitted(&self) {
        let rest = self.notices.saturating_sub(MAX_PRINTED);
        if rest > 0 {
            print_message(format_args!(
                "and {rest} more of these; --rejects FILE writes them down"
            ));
        }
    }

    /// Number of notices that require action.
    pub(super) fn open_count(&self) -> usize {
        self.open
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}
