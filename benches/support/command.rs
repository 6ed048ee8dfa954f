//! The `dateline` command, and records from `dateline generate`.

use std::{path::Path, process::Stdio};

use anyhow::{Result, ensure};
use tokio::process::Command;

/// The seed of the generated records.
const SEED: &str = "1";

/// Runs a command to its end; returns its output.
pub async fn dateline(arguments: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_dateline"))
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "dateline {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Publishes generated records of all kinds through a server; keeps those that exist.
pub async fn fill(server: &str, count: usize, scratch: &Path) -> Result<()> {
    let file = scratch.join("records.binpb");
    let path = file.to_string_lossy();
    let number = count.to_string();
    let of = ["--records", &number, "--seed", SEED, "--format", "protobuf"];
    dateline(&[&["generate", "--output", &path], &of[..]].concat()).await?;
    let how = ["--format", "protobuf", "--publish", "--server", server];
    dateline(&[&["import", &path], &how[..]].concat()).await?;
    std::fs::remove_file(&file)?;
    Ok(())
}
