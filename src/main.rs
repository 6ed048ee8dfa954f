//! The door: `dateline …`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Pages of rows are many allocations of all sizes, made on one thread and freed on another: a quarter of what a
/// stream costs that catches up, with the allocator of glibc.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before any thread exists: the same program starts the embedded Postgres under another identity.
    if let Some(code) = dateline_embedded_postgres::keeper::run_if_asked() {
        return code;
    }
    dateline::run()
}
