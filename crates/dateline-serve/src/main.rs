//! The binary: `dateline-server`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Pages of rows are many allocations of all sizes, made on one thread and freed on another. With the allocator of
/// glibc they are a quarter of the cost of a stream that catches up.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before any thread exists: the same binary starts the embedded Postgres under another user.
    if let Some(code) = dateline_embedded_postgres::launcher::run_if_asked() {
        return code;
    }
    dateline_serve::run()
}
