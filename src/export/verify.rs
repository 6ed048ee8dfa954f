//! `dateline verify DIR|URL`: verifies an export against its manifest.

use std::path::Path;

use anyhow::Result;
use dateline_formats::export::{Destination, layout::MANIFEST, verify};
use indicatif::ProgressBar;

use crate::output::print_message;

/// True if the path names an export, and not a recorded stream.
pub fn is_export(path: &Path) -> bool {
    let text = path.to_string_lossy();
    path.is_dir() || text.contains("://") || text.ends_with(MANIFEST)
}

/// Verifies the export; returns the errors by file or record.
pub async fn run(path: &Path, bar: &ProgressBar) -> Result<Vec<(String, String)>> {
    bar.set_message("verifying files");
    let destination = Destination::open_export(&path.to_string_lossy())?;
    let (manifest, report) = verify::verify(&destination, &mut |_| bar.inc(1)).await?;
    if report.faults.is_empty() {
        let proved = match (report.is_proved, manifest.subject.metadata_only) {
            (true, _) => "the digest is theirs",
            (false, true) => "without their content, which a digest needs",
            (false, false) => "in formats that no digest can be computed of",
        };
        print_message(format_args!(
            "{} files, {} records at {}; {proved}",
            report.files, manifest.digest.records, manifest.subject.sequence
        ));
    }
    Ok(report.faults)
}
