//! The process between this one and a server program: a hidden subcommand of our own executable. It runs before
//! anything else in a fresh process, switches to the user as which Postgres may run, ties its life to ours, and then
//! executes the program.
//!
//! It is a separate process because a user namespace can only be entered while there is one thread, and because the
//! usual place for such steps, between fork and exec, needs `unsafe`. This file writes and parses its command line. It
//! does not know what it starts.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::child;
use super::identity::Identity;

/// The first argument that selects the keeper.
pub const SUBCOMMAND: &str = "__run-as-postgres";

/// Argument in place of an identity: wait for the owner's end, then stop the given process.
const WATCH: &str = "watch";

/// True if the kernel signals a child when its parent dies; otherwise a watcher does.
pub(super) const HAS_PARENT_DEATH_SIGNAL: bool = cfg!(target_os = "linux");

/// Runs the keeper if this process was started for it, and returns its exit code; `None` otherwise.
///
/// Call it at the very start of `main`, before there is any other thread: a process with threads cannot enter a user
/// namespace. On success it does not return, because the process has become the server.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == SUBCOMMAND).then(|| run(&arguments.collect::<Vec<_>>()))
}

/// Runs the keeper with the arguments that follow [`SUBCOMMAND`].
pub fn run(arguments: &[OsString]) -> ExitCode {
    let outcome = match arguments {
        [mode, pid] if mode == WATCH => parse(pid).and_then(stop_after_owner),
        [identity, parent, directory, separator, program, rest @ ..] if separator == "--" => {
            become_program(identity, parent, directory, program, rest).map(|never| match never {})
        }
        _ => Err(format!("{SUBCOMMAND} is for dateline's own use")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // If stderr is closed, the problem cannot be reported at all.
            let _ = writeln!(io::stderr(), "{problem}");
            ExitCode::FAILURE
        }
    }
}

fn become_program(
    identity: &OsStr,
    parent: &OsStr,
    directory: &OsStr,
    program: &OsStr,
    arguments: &[OsString],
) -> Result<Infallible, String> {
    let identity = identity
        .to_str()
        .and_then(Identity::parse)
        .ok_or_else(|| format!("unknown identity {}", identity.display()))?;
    let parent: u32 = parse(parent)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory);
    assume_identity(&identity, &mut command)?;
    // After the change of user, which would clear it.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGINT)
        .map_err(|errno| format!("cannot ask for a signal at the parent's death: {errno}"))?;
    // The parent may have died before the request for a signal.
    if parent_id() != parent {
        return Err("the process that wanted this server is gone".to_owned());
    }
    let error = command.exec();
    Err(format!(
        "cannot run {} in {}: {error}",
        program.display(),
        directory.display()
    ))
}

/// Switches to the user as which Postgres may run, at once or, if possible, when `command` is executed.
#[cfg_attr(
    target_os = "linux",
    expect(unused_variables, reason = "nothing is left to it there")
)]
fn assume_identity(identity: &Identity, command: &mut Command) -> Result<(), String> {
    match *identity {
        Identity::Plain => Ok(()),
        #[cfg(target_os = "linux")]
        Identity::Namespace => enter_namespace(),
        #[cfg(not(target_os = "linux"))]
        Identity::Namespace => Err("user namespaces are of Linux".to_owned()),
        #[cfg(target_os = "linux")]
        Identity::Account { uid, gid } => become_account(uid, gid),
        // There is no parent-death signal that this would clear, so the standard library can switch; here it also drops
        // the other groups.
        #[cfg(not(target_os = "linux"))]
        Identity::Account { uid, gid } => {
            command.gid(gid).uid(uid);
            Ok(())
        }
    }
}

#[cfg(target_os = "linux")]
fn become_account(uid: u32, gid: u32) -> Result<(), String> {
    use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[gid])
        .and_then(|()| setgid(gid))
        .and_then(|()| setuid(uid))
        .map_err(|errno| format!("cannot become user {uid}: {errno}"))
}

#[cfg(target_os = "linux")]
fn enter_namespace() -> Result<(), String> {
    use nix::sched::{CloneFlags, unshare};
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| format!("no user namespace: {errno}"))?;
    // The kernel requires this order: no group may be mapped while groups could still be dropped.
    for (file, line) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("1000 {uid} 1")),
        ("gid_map", format!("1000 {gid} 1")),
    ] {
        std::fs::write(Path::new("/proc/self").join(file), line)
            .map_err(|error| format!("no user namespace: {file}: {error}"))?;
    }
    Ok(())
}

/// Waits for the end of stdin, which comes when no process holds its other end any more, and stops the server.
fn stop_after_owner(server: i32) -> Result<(), String> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())
        .map_err(|error| format!("cannot watch the owner: {error}"))?;
    kill(Pid::from_raw(server), Signal::SIGINT)
        .map_err(|errno| format!("cannot stop process {server}: {errno}"))
}

fn parse<T: std::str::FromStr>(argument: &OsStr) -> Result<T, String> {
    argument
        .to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("{} is not a process id", argument.display()))
}

/// The way to start server programs: our own executable, and the user.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    pub(super) executable: PathBuf,
    pub(super) identity: Identity,
}

impl Launcher {
    /// Returns a command that becomes `program`, with `directory` as its working directory. Start it through [`child`]:
    /// it dies with the thread that starts it.
    pub(super) fn command(&self, directory: &Path, program: &Path) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .args([
                SUBCOMMAND,
                &self.identity.to_string(),
                &std::process::id().to_string(),
            ])
            .args([directory.as_os_str(), OsStr::new("--"), program.as_os_str()])
            .current_dir("/")
            .stdin(Stdio::null())
            // Outside the terminal's foreground group: this process handles ^C and stops the server in order.
            .process_group(0);
        // Removes ports, options and passwords meant for other servers, and languages that would translate the messages
        // that are parsed.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").env_remove("LANGUAGE");
        command
    }

    /// Checks that `program` runs this way and can enter `directory`.
    pub(super) async fn probe(&self, directory: &Path, program: &Path) -> Result<(), String> {
        let mut command = self.command(directory, program);
        command.arg("--version");
        let output = child::output(command)
            .await
            .map_err(|error| format!("cannot run {}: {error}", self.executable.display()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Returns the command of a process that stops `server` when this process has ended, until it is killed or its
    /// stdin is closed.
    pub(super) fn watcher(&self, server: u32) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .args([SUBCOMMAND, WATCH, &server.to_string()])
            .current_dir("/")
            .stdin(Stdio::piped())
            .process_group(0);
        command
    }
}
