//! `dateline verify DIR|URL`: verifies an export against its manifest.

use std::path::Path;

use anyhow::Result;
use dateline_export::{Destination, manifest::MANIFEST, verify};
use indicatif::ProgressBar;

use crate::output::say;

/// True if the path names an export, and not a recorded stream.
pub fn is_export(path: &Path) -> bool {
    let text = path.to_string_lossy();
    path.is_dir() || text.contains("://") || text.ends_with(MANIFEST)
}

/// Verifies the export; returns the errors by file or record.
pub async fn run(path: &Path, bar: &ProgressBar) -> Result<Vec<(String, String)>> {
    bar.set_message("verifying files");
    let place = Destination::of_export(&path.to_string_lossy())?;
    let (manifest, findings) = verify::verify(&place, &mut |_| bar.inc(1)).await?;
    if findings.wrong.is_empty() {
        let proved = match (findings.is_proved, manifest.subject.metadata_only) {
            (true, _) => "the digest is theirs",
            (false, true) => "without their content, which a digest needs",
            (false, false) => "in formats that no digest can be computed of",
        };
        say(format_args!(
            "{} files, {} records at {}; {proved}",
            findings.files, manifest.digest.records, manifest.subject.sequence
        ));
    }
    Ok(findings.wrong)
}
