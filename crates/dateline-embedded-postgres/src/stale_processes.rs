//! Stale processes in a data directory: a server whose owner was killed and that is stopping, or backends whose server
//! was killed and that hold its shared memory. Finds them by the tag in their command lines, waits for them, and
//! signals them. Requires the directory's lock: only then do they belong to nobody.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::directory::Directory;
use super::error::Error;
use super::process::exists;

/// Signals to a server, in order, each with the time that it gets afterwards: a fast shutdown writes a checkpoint, an
/// immediate one does not, and SIGKILL needs no cooperation. All three keep committed data.
const STOP_SIGNALS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(6)),
    (Signal::SIGKILL, Duration::from_secs(6)),
];

/// Time for backends without a server to notice that and end, once they are not busy.
const BACKEND_EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the server named in the cluster's lock file, which may have ended long ago.
pub(super) fn recorded_server(cluster: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// Stops all processes of an earlier server.
pub(super) async fn stop_all(directory: &Directory) -> Result<(), Error> {
    let find =
        || list(directory.tag()).map_err(Error::io("list the processes of", directory.root()));
    for (signal, timeout) in STOP_SIGNALS {
        let residents = find()?;
        if residents.is_empty() {
            return remove_misleading_pid_file(&directory.cluster());
        }
        let server = recorded_server(&directory.cluster()).filter(|pid| residents.contains(pid));
        tracing::warn!(?residents, %signal, "an earlier Postgres still runs here; stopping it");
        let timeout = match (server, signal) {
            // The server signals its backends.
            (Some(server), Signal::SIGINT | Signal::SIGQUIT) => {
                send_signal(&[server], signal, timeout)
            }
            (None, Signal::SIGINT) => BACKEND_EXIT_TIMEOUT,
            _ => send_signal(&residents, signal, timeout),
        };
        let deadline = Instant::now() + timeout;
        while !find()?.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let residents = find()?;
    if residents.is_empty() {
        return remove_misleading_pid_file(&directory.cluster());
    }
    let pids: Vec<_> = residents.iter().map(u32::to_string).collect();
    Err(Error::StillRunning {
        dir: directory.root().to_owned(),
        pids: pids.join(", "),
    })
}

fn send_signal(processes: &[u32], signal: Signal, timeout: Duration) -> Duration {
    for pid in processes.iter().filter_map(|pid| i32::try_from(*pid).ok()) {
        // It may have ended since it was listed.
        let _ = kill(Pid::from_raw(pid), signal);
    }
    timeout
}

/// Removes a lock file that would mislead Postgres. Postgres takes any process of the number in it for a server, even a
/// zombie or, after a restart of a container, an unrelated process; here it is known that no process of the server is
/// left. Otherwise the file stays, because Postgres uses its contents.
fn remove_misleading_pid_file(cluster: &Path) -> Result<(), Error> {
    let file = cluster.join("postmaster.pid");
    if recorded_server(cluster).is_some_and(exists) {
        tracing::info!(file = %file.display(), "removing a lock file that names a process of somebody else");
        return std::fs::remove_file(&file).map_err(Error::io("remove", &file));
    }
    Ok(())
}

/// Returns the processes of the server with this tag. Zombies have no command line, so they are not included.
#[cfg(target_os = "linux")]
fn list(tag: &str) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // It may have ended since it was listed.
        let Ok(command) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        if belongs(&command, tag) {
            found.push(pid);
        }
    }
    Ok(found)
}

#[cfg(not(target_os = "linux"))]
fn list(tag: &str) -> io::Result<Vec<u32>> {
    let output = std::process::Command::new("ps")
        .args(["-axww", "-o", "pid=,command="])
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .filter_map(|line| line.trim_start().split_once(' '))
        .filter(|(_, command)| belongs(command.trim_start().as_bytes(), tag))
        .filter_map(|(pid, _)| pid.parse().ok())
        .collect())
}

/// True if a command line belongs to a server with this tag: as it was started (`/…/postgres -D …`) or as it names
/// itself later (`postgres: <tag>: checkpointer`). Only on Linux is the end of the program's path known.
fn belongs(command: &[u8], tag: &str) -> bool {
    let contains = |part: &[u8]| command.windows(part.len()).any(|window| window == part);
    let program = command.split(|&byte| byte == 0).next().unwrap_or_default();
    let server = command.starts_with(b"postgres: ")
        || program.ends_with(b"/postgres")
        || (cfg!(not(target_os = "linux")) && contains(b"/postgres -D "));
    server && contains(tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_and_its_backends_are_known_by_their_tag() {
        let tag = "dateline-0123456789abcdef";
        let started =
            format!("/usr/lib/postgresql/15/bin/postgres\0-D\0/x\0-c\0cluster_name={tag}\0");
        let renamed = format!("postgres: {tag}: checkpointer ");
        assert!(belongs(started.as_bytes(), tag));
        assert!(belongs(renamed.as_bytes(), tag));
        assert!(!belongs(started.as_bytes(), "dateline-fedcba9876543210"));
        let keeper = format!(
            "/x/dateline\0__run-as-postgres\0--\0/x/postgres\0-D\0/x\0cluster_name={tag}\0"
        );
        assert!(!belongs(keeper.as_bytes(), tag));
        assert!(!belongs(format!("grep\0{tag}\0").as_bytes(), tag));
        assert!(!belongs(b"", tag));
    }
}
