//! The door: `dateline …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread exists: the same program starts the embedded Postgres under another identity.
    if let Some(code) = dateline::store::embedded::keeper::run_if_asked() {
        return code;
    }
    dateline::cli::run()
}
