//! Rejected records: counted, reported, and written to a file for repair.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};
use dateline_client::bulk::{Notice, Rejection};
use serde::Serialize;

use crate::output::{lines, print_message};

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
                write(rejection, file).context("cannot write the file of rejects")?;
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
                let written = write(&notice.about, file).and_then(|()| file.flush());
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

/// A line of the file of rejects.
#[derive(Serialize)]
struct Row<'a> {
    line: u64,
    name: &'a str,
    field: &'a str,
    reason: &'a str,
    message: &'a str,
}

/// Writes one line of JSON per problem.
fn write(rejection: &Rejection, out: &mut impl Write) -> io::Result<()> {
    for problem in &rejection.problems {
        let row = Row {
            line: rejection.line,
            name: &rejection.name,
            field: &problem.field,
            reason: &rejection.reason,
            message: &problem.message,
        };
        serde_json::to_writer(&mut *out, &row)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
