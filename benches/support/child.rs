//! A server, ours or a limit, in a process of its own, so that the kernel's figures for memory and CPU are those of the
//! server alone.

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
use dateline_proto::v1::GetFeedRequest;

/// Clock ticks per second in `/proc`: 100 on every Linux.
const TICKS: f64 = 100.0;
/// Environment variable that names the limit which a process is to serve.
const LIMIT: &str = "DATELINE_BENCH_LIMIT";
/// The argument before the listen address.
const LISTEN: &str = "--listen";
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// `dateline serve` as a child process.
pub struct Child {
    /// The listen address.
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
        let child = Self::run(command).await?;
        child.wait_until_it_serves().await?;
        Ok(child)
    }

    /// Waits until calls are answered: the port is open before the database is reached.
    async fn wait_until_it_serves(&self) -> Result<()> {
        let mut feed = Client::connect(&self.address).await?.feed;
        for _ in 0..600 {
            if feed.get_feed(GetFeedRequest::default()).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        anyhow::bail!("the server does not reach its database")
    }

    /// Starts this benchmark once more, as the limit of this name: see [`Child::requested_limit`].
    pub async fn start_limit(name: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(LIMIT, name);
        Self::run(command).await
    }

    /// The name of the limit that this process was started to serve, and its listen address.
    pub fn requested_limit() -> Option<(String, String)> {
        let name = std::env::var(LIMIT).ok()?;
        let address = std::env::args().skip_while(|it| it != LISTEN).nth(1)?;
        Some((name, address))
    }

    async fn run(mut command: Command) -> Result<Self> {
        let address = {
            // Nothing else here binds ports, so this one stays free.
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
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        anyhow::bail!("the server does not start")
    }

    /// Resident memory in bytes.
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

    /// Samples the memory until [`Peak::stop`], and keeps the maximum.
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
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        });
        peak
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A kill loses nothing: acknowledged writes are in the database.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The maximum memory so far.
pub struct Peak {
    most: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Peak {
    /// Stops sampling and returns the maximum in bytes.
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

/// Formats bytes as MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
