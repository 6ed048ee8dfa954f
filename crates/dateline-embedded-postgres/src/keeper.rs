//! The step between us and a server program: a hidden subcommand of our own executable, which runs before
//! anything else in a fresh process, becomes whom Postgres may run as, ties its life to ours, and then
//! turns into the program.
//!
//! A process of its own because a user namespace can only be entered while there is one thread, and because
//! the usual place for such steps, between fork and exec, is out of reach without `unsafe`. Both ends of its
//! command line are in this file. It does not know what it starts.

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

/// The first argument that asks for the keeper.
pub const SUBCOMMAND: &str = "__run-as-postgres";

/// In place of an identity: wait for the owner's end and then stop the given process.
const WATCH: &str = "watch";

/// Whether the kernel tells a child that its parent has died. Where it does not, a watcher does.
pub(super) const KERNEL_TELLS: bool = cfg!(target_os = "linux");

/// Does the keeper's work when this process was started for it, and says so by returning an exit code.
///
/// Call it at the very start of `main`, before there is any other thread: a process with threads cannot
/// enter a user namespace. On success it does not return, because the process has become the server.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == SUBCOMMAND).then(|| run(&arguments.collect::<Vec<_>>()))
}

/// The keeper's work, given what follows [`SUBCOMMAND`].
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
            // Nothing is left to tell it to when stderr is gone.
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
    take_on(&identity, &mut command)?;
    // After the change of identity, which would clear it.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGINT)
        .map_err(|errno| format!("cannot ask for a signal at the parent's death: {errno}"))?;
    // The parent may have died before the kernel was asked to tell.
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

/// Becomes whom Postgres may run as, now or, where that may wait, when `command` is carried out.
#[cfg_attr(
    target_os = "linux",
    expect(unused_variables, reason = "nothing is left to it there")
)]
fn take_on(identity: &Identity, command: &mut Command) -> Result<(), String> {
    match *identity {
        Identity::Plain => Ok(()),
        #[cfg(target_os = "linux")]
        Identity::Namespace => enter_namespace(),
        #[cfg(not(target_os = "linux"))]
        Identity::Namespace => Err("user namespaces are of Linux".to_owned()),
        #[cfg(target_os = "linux")]
        Identity::Account { uid, gid } => become_account(uid, gid),
        // No signal at the parent's death to be cleared, so the standard library may do it, which also
        // knows how to drop the other groups here.
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
    // The kernel wants this order: no group may be mapped while groups could still be dropped.
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

/// Waits until our stdin ends, which is when nobody holds its other end any more, and stops the server.
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

/// How to start a server program: our own executable, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    pub(super) executable: PathBuf,
    pub(super) identity: Identity,
}

impl Launcher {
    /// A command that becomes `program`, with `directory` as its working directory. Start it through
    /// [`child`]: it dies with the thread that starts it.
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
            // Not in the terminal's foreground group: a ^C is for us to handle, in our order.
            .process_group(0);
        // Ports, options and passwords meant for other servers, and languages that would translate the
        // few messages that are looked into.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").env_remove("LANGUAGE");
        command
    }

    /// Whether `program` runs this way and can enter `directory`.
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

    /// A process that stops `server` when we are gone, until it is killed or its stdin is closed.
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
