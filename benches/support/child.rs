//! A server, ours or a limit, in a process of its own, so that memory and CPU are the server's and nobody else's, as
//! the kernel counts them.

use std::{
    process::{Child as Process, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use dateline_client::Client;

/// Ticks per second of the kernel's accounts, on every Linux that there is.
const TICKS: f64 = 100.0;
/// Names a limit to a process that is to be it.
const LIMIT: &str = "DATELINE_BENCH_LIMIT";
/// Precedes an address.
const LISTEN: &str = "--listen";
const POLL: Duration = Duration::from_millis(50);

/// `dateline serve`, as people start it.
pub struct Child {
    /// Where it serves.
    pub address: String,
    process: Process,
}

impl Child {
    /// Starts a server on a database, and waits until it serves.
    pub async fn start(url: &str) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dateline"));
        command
            .args(["serve", "--log", "warn"])
            .env("DATELINE_DATABASE_URL", url);
        Self::run(command).await
    }

    /// Starts this benchmark once more, as a server that it knows by a name: see [`Child::asked`].
    pub async fn start_limit(name: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(LIMIT, name);
        Self::run(command).await
    }

    /// Which limit this process was started to be, and where it listens.
    pub fn asked() -> Option<(String, String)> {
        let name = std::env::var(LIMIT).ok()?;
        let address = std::env::args().skip_while(|it| it != LISTEN).nth(1)?;
        Some((name, address))
    }

    async fn run(mut command: Command) -> Result<Self> {
        let address = {
            // Free a moment ago; nothing else here asks for ports.
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            listener.local_addr()?.to_string()
        };
        let process = command
            .args([LISTEN, &address])
            .stdin(Stdio::null())
            .spawn()?;
        let child = Self { address, process };
        for _ in 0..600 {
            if Client::connect(&child.address).await.is_ok() {
                return Ok(child);
            }
            tokio::time::sleep(POLL).await;
        }
        anyhow::bail!("the server does not start")
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> Result<u64> {
        resident(self.process.id())
    }

    /// CPU seconds so far, user and system.
    pub fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let after_name = stat.rsplit(')').next().context("a stat line")?;
        let mut times = after_name.split_whitespace().skip(11).take(2);
        let mut next = || -> Result<f64> { Ok(times.next().context("a time")?.parse()?) };
        Ok((next()? + next()?) / TICKS)
    }

    /// Looks at the memory until it is told to stop, and remembers the most.
    pub fn peak(&self) -> Peak {
        let peak = Peak {
            most: Arc::default(),
            done: Arc::default(),
        };
        let (most, done, id) = (peak.most.clone(), peak.done.clone(), self.process.id());
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                if let Ok(now) = resident(id) {
                    most.fetch_max(now, Ordering::Relaxed);
                }
                tokio::time::sleep(POLL).await;
            }
        });
        peak
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nothing is lost: what it acknowledged is in the database.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The most memory that was seen.
pub struct Peak {
    most: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Peak {
    /// Stops looking.
    pub fn stop(self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        self.most.load(Ordering::Relaxed)
    }
}

fn resident(id: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .context("VmRSS")?;
    Ok(kib.parse::<u64>()? * 1024)
}

/// Bytes as MiB, for printing.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
