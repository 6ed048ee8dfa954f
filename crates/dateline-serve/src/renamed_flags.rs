//! Flags and variables that were renamed. An old one is an error that names the new one. `CHANGELOG.md` has the same
//! table; a test compares the two.

use std::ffi::OsString;

use clap::{
    Command, Parser,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};

/// Values of an old flag, and their form in the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldValue {
    /// The flag is a switch.
    None,
    /// The value is the same; the text is its placeholder.
    Same(&'static str),
    /// A number of seconds, which is a duration now.
    Seconds,
}

/// One renamed flag. The variable of a flag of `serve` has the same name.
#[derive(Debug, Clone, Copy)]
pub struct RenamedFlag {
    /// The command that has it.
    pub command: &'static str,
    /// The old flag, without `--`.
    pub old: &'static str,
    /// The new flag, without `--`.
    pub new: &'static str,
    /// The values of both.
    pub value: OldValue,
}

const fn serve(old: &'static str, new: &'static str, value: OldValue) -> RenamedFlag {
    RenamedFlag {
        command: "serve",
        old,
        new,
        value,
    }
}

const BYTES: OldValue = OldValue::Same("BYTES");
const NUMBER: OldValue = OldValue::Same("N");
const SECONDS: OldValue = OldValue::Seconds;

/// Every flag that was renamed.
pub static RENAMED_FLAGS: [RenamedFlag; 30] = [
    serve("insecure-listen", "allow-plaintext", OldValue::None),
    serve("open-to-everybody", "allow-anonymous", OldValue::None),
    serve(
        "first-token-file",
        "bootstrap-token-file",
        OldValue::Same("FILE"),
    ),
    serve("client-certs", "client-cert-auth", OldValue::Same("HOW")),
    serve("checkpoint-seconds", "checkpoint-interval", SECONDS),
    serve("shutdown-seconds", "shutdown-grace-period", SECONDS),
    serve("statement-seconds", "statement-timeout", SECONDS),
    serve("readers", "read-pool-size", NUMBER),
    serve("message-bytes", "max-request-bytes", BYTES),
    serve("batch-bytes", "max-batch-request-bytes", BYTES),
    serve("deadline-seconds", "request-timeout", SECONDS),
    serve("streams-per-connection", "max-concurrent-streams", NUMBER),
    serve("connections", "max-connections", NUMBER),
    serve("connections-per-peer", "max-connections-per-ip", NUMBER),
    serve("handshake-seconds", "tls-handshake-timeout", SECONDS),
    serve("first-request-seconds", "first-request-timeout", SECONDS),
    serve("idle-connection-seconds", "max-connection-idle", SECONDS),
    serve("connection-age-seconds", "max-connection-age", SECONDS),
    serve(
        "connection-grace-seconds",
        "max-connection-age-grace",
        SECONDS,
    ),
    serve("blocked-write-seconds", "write-timeout", SECONDS),
    serve("stuck-calls-seconds", "stream-stall-timeout", SECONDS),
    serve("streams", "max-watches", NUMBER),
    serve("streams-per-identity", "max-watches-per-identity", NUMBER),
    serve("exports", "max-exports", NUMBER),
    serve("exports-per-identity", "max-exports-per-identity", NUMBER),
    serve("guesses-per-second", "auth-attempts-per-second", NUMBER),
    serve("waiting-bytes", "max-buffered-bytes", BYTES),
    serve(
        "waiting-bytes-per-connection",
        "max-buffered-bytes-per-connection",
        BYTES,
    ),
    serve(
        "waiting-bytes-per-identity",
        "max-buffered-bytes-per-identity",
        BYTES,
    ),
    RenamedFlag {
        command: "export",
        old: "file-records",
        new: "records-per-file",
        value: NUMBER,
    },
];

impl RenamedFlag {
    /// The old variable; flags of other commands than `serve` had none.
    #[must_use]
    pub fn old_variable(&self) -> Option<String> {
        (self.command == "serve").then(|| variable(self.old))
    }

    /// The new variable.
    #[must_use]
    pub fn new_variable(&self) -> Option<String> {
        (self.command == "serve").then(|| variable(self.new))
    }

    /// The old value in the form of the new flag, or the placeholder of such a value.
    fn rewrite(&self, old: Option<&str>) -> Option<String> {
        let old = old.filter(|old| !old.is_empty());
        match (self.value, old) {
            (OldValue::None, old) => old.map(str::to_owned),
            (OldValue::Same(placeholder), old) => Some(old.unwrap_or(placeholder).to_owned()),
            (OldValue::Seconds, Some(old)) if old.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(format!("{old}s"))
            }
            (OldValue::Seconds, _) => Some("DURATION".to_owned()),
        }
    }

    fn flag_message(&self, value: Option<&str>) -> String {
        let value = value.filter(|_| self.value != OldValue::None);
        let with = |flag: &str, value: Option<String>| match value {
            Some(value) => format!("`--{flag} {value}`"),
            None => format!("`--{flag}`"),
        };
        let old = with(self.old, value.map(str::to_owned));
        format!("{old} is now {}", with(self.new, self.rewrite(value)))
    }

    fn variable_message(&self, value: &str) -> Option<String> {
        let (old, new) = (self.old_variable()?, self.new_variable()?);
        let rewritten = self.rewrite(Some(value)).unwrap_or_default();
        Some(format!("`{old}={value}` is now `{new}={rewritten}`"))
    }
}

fn variable(flag: &str) -> String {
    format!("DATELINE_{}", flag.replace('-', "_").to_uppercase())
}

/// Parses arguments and variables. A flag or variable that was renamed is an error that names the new one. Variables
/// are checked if the command is `serve`, which alone has any.
///
/// # Errors
/// Those of clap.
pub fn parse<C: Parser>(
    arguments: &[OsString],
    serves: impl FnOnce(&C) -> bool,
) -> Result<C, Error> {
    let cli = C::try_parse_from(arguments)
        .map_err(|error| explain(error, arguments, &mut C::command()))?;
    if serves(&cli) {
        check_variables("serve", &mut C::command())?;
    }
    Ok(cli)
}

/// Replaces clap's error about an unknown flag if the flag was renamed.
fn explain(error: Error, arguments: &[OsString], cli: &mut Command) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let texts: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let renamed = RENAMED_FLAGS.iter().find(|renamed| {
        unknown.strip_prefix("--") == Some(renamed.old)
            && texts
                .get(1)
                .is_some_and(|command| command == renamed.command)
    });
    let Some(renamed) = renamed else {
        return error;
    };
    let value = value_of(unknown, texts.iter().map(|text| &**text));
    error_of(renamed.command, &renamed.flag_message(value), cli)
}

/// Returns the value that follows a flag.
fn value_of<'a>(flag: &str, mut arguments: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    loop {
        let rest = arguments.next()?.strip_prefix(flag);
        match rest {
            Some("") => return arguments.next().filter(|value| !value.starts_with("--")),
            Some(rest) if rest.starts_with('=') => return rest.strip_prefix('='),
            _ => {}
        }
    }
}

/// Checks that no old variable of a command is set.
///
/// # Errors
/// If one is: it would be ignored.
fn check_variables(command: &str, cli: &mut Command) -> Result<(), Error> {
    let of_command = RENAMED_FLAGS.iter().filter(|it| it.command == command);
    for renamed in of_command {
        let Some(value) = renamed.old_variable().and_then(std::env::var_os) else {
            continue;
        };
        if let Some(message) = renamed.variable_message(&value.to_string_lossy()) {
            return Err(error_of(command, &message, cli));
        }
    }
    Ok(())
}

fn error_of(command: &str, message: &str, cli: &mut Command) -> Error {
    // Built, so that the usage names the program too.
    cli.build();
    match cli.find_subcommand_mut(command) {
        Some(command) => command.error(ErrorKind::UnknownArgument, message),
        None => cli.error(ErrorKind::UnknownArgument, message),
    }
}
