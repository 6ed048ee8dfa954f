//! Child processes that end with this process. The kernel counts the thread that forked as their parent, so each child
//! has a thread of its own that starts it, waits for it and reports its end; a worker of the runtime may end long
//! before the process does. This module does not know what it starts.

use std::io;
use std::process::{Command, ExitStatus, Output};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

/// A running child, or one that has ended.
#[derive(Debug)]
pub(super) struct Child {
    pid: u32,
    exit: watch::Receiver<Option<Exit>>,
}

/// The end of a child: its status, or why that is unknown.
#[derive(Clone, Debug)]
pub(super) enum Exit {
    Status(ExitStatus),
    Unknown(String),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Unknown(why) => write!(f, "its end is not known: {why}"),
        }
    }
}

impl Child {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn has_exited(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Resolves when the child has ended, or at once if it already has.
    pub(super) async fn exited(&mut self) -> Exit {
        match self
            .exit
            .wait_for(Option::is_some)
            .await
            .map(|exit| exit.clone())
        {
            Ok(Some(exit)) => exit,
            Ok(None) | Err(_) => Exit::Unknown("the thread that waited for it is gone".to_owned()),
        }
    }
}

impl Drop for Child {
    /// Asks a running child to stop, since nobody else can any more.
    fn drop(&mut self) {
        if !self.has_exited() {
            stop(self.pid);
        }
    }
}

/// Starts a child. `watcher` returns the command of a second process that lives as long as the child, where one is
/// needed.
pub(super) async fn spawn(
    mut command: Command,
    watcher: impl FnOnce(u32) -> Option<Command> + Send + 'static,
) -> io::Result<Child> {
    let (started, start) = oneshot::channel();
    let (ended, exit) = watch::channel(None);
    thread::Builder::new()
        .name("postgres-keeper".to_owned())
        .spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            let mut watcher = match watcher(child.id())
                .map(|mut command| command.spawn())
                .transpose()
            {
                Ok(watcher) => watcher,
                Err(error) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return drop(started.send(Err(error)));
                }
            };
            if started.send(Ok(child.id())).is_err() {
                stop(child.id());
            }
            let exit = child
                .wait()
                .map_or_else(|error| Exit::Unknown(error.to_string()), Exit::Status);
            if let Some(watcher) = &mut watcher {
                // Killed while its stdin is still open: when stdin ends, it signals a process id that may have been
                // reused by now.
                let _ = watcher.kill();
                let _ = watcher.wait();
            }
            ended.send_replace(Some(exit));
        })?;
    match start.await {
        Ok(pid) => Ok(Child { pid: pid?, exit }),
        Err(_) => Err(io::Error::other("the thread that starts it is gone")),
    }
}

/// Asks a child whose exit status was not collected yet to stop. It may have ended already.
fn stop(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
    }
}

/// Runs a command and returns its output.
pub(super) async fn output(mut command: Command) -> io::Result<Output> {
    let (ended, end) = oneshot::channel();
    thread::Builder::new()
        .name("postgres-keeper".to_owned())
        .spawn(move || {
            let _ = ended.send(command.output());
        })?;
    end.await
        .unwrap_or_else(|_| Err(io::Error::other("the thread that waits for it is gone")))
}
