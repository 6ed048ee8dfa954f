//! Exit codes, and the report of the error behind one.

use std::process::ExitCode;

use dateline_client::Failure;
use tonic::Code;

use super::terminal::print_error;

/// Exit code if the work was not done.
pub const FAILED: u8 = 1;
/// Exit code for wrong usage that clap does not detect; equal to clap's own.
pub const USAGE: u8 = 2;
/// Exit code if a record does not exist.
pub const NOT_FOUND: u8 = 3;
/// Exit code if no server answers.
pub const UNAVAILABLE: u8 = 4;

/// Runs a command to its end.
pub fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let answer = runtime.block_on(work);
    // Pending work, such as a read of stdin, must not delay the exit.
    runtime.shutdown_background();
    match answer {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

/// Reports flags that contradict each other.
pub fn misused(wrong: &str) -> ExitCode {
    print_error(wrong);
    USAGE.into()
}

/// Reports the error, and returns its exit code.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    report(error, error.downcast_ref().map_or(FAILED, code_of))
}

/// Reports the error, and returns this exit code; neither if only the reader of the output has gone away.
pub fn report(error: &anyhow::Error, code: u8) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    print_error(&chain(error));
    code.into()
}

/// The exit code for a failed call.
#[must_use]
pub fn code_of(failure: &Failure) -> u8 {
    match failure.code {
        Code::NotFound => NOT_FOUND,
        Code::Unavailable => UNAVAILABLE,
        _ => FAILED,
    }
}

/// True if the reader of the output has closed it.
#[must_use]
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The error and its causes, without causes that the text before them contains.
fn chain(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |chain, cause| match chain.as_str() {
            "" => cause,
            before if before.ends_with(&cause) => chain,
            before => format!("{before}: {cause}"),
        })
}
