//! A directory in which a shell runs the commands of a page, as a reader would.

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::sys::signal::{Signal, killpg};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

use crate::support::{
    process::{PROCESS_TIMEOUT, pid},
    server::PROGRAM,
};

/// The result of a command.
#[derive(Debug)]
pub struct ShellOutput {
    pub code: Option<i32>,
    /// Both outputs, interleaved as on a terminal.
    pub output: String,
}

/// The environment in which commands run.
pub struct Shell {
    pub directory: PathBuf,
    /// `export` lines, before each command.
    exports: Vec<String>,
    /// Words of the pages, and their values here: ports, ids, hosts.
    pub stand_ins: Vec<(String, String)>,
    /// A server that a page has started.
    server: Option<RunningServe>,
}

struct RunningServe {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Shell {
    pub fn new(directory: PathBuf) -> Self {
        let bin = directory.join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(PROGRAM, bin.join("dateline")).unwrap();
        Self {
            exports: vec![
                format!("PATH={}:$PATH", bin.display()),
                format!("HOME={}", directory.display()),
            ],
            directory,
            stand_ins: Vec::new(),
            server: None,
        }
    }

    pub fn export(&mut self, variable: &str, value: &str) {
        self.exports.push(format!("{variable}='{value}'"));
    }

    /// Replaces the page's words by the values of this run.
    pub fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (there, here) in &self.stand_ins {
            text = text.replace(there, here);
        }
        text
    }

    /// Runs a command to its end; an endless one until its first output, then sends Ctrl-C. A server keeps running
    /// until the next one is started.
    pub async fn run(&mut self, command: &str) -> ShellOutput {
        if let Some(export) = command.strip_prefix("export ") {
            self.exports.push(export.to_owned());
            return ShellOutput {
                code: Some(0),
                output: String::new(),
            };
        }
        if command.starts_with("dateline serve") {
            self.stop_server().await;
            let server = self.start(command);
            server.wait_for_output("serving address=").await;
            self.server = Some(server);
            return ShellOutput {
                code: Some(0),
                output: String::new(),
            };
        }
        let running = self.start(command);
        if follows(command) {
            self.until_something(&running, command).await;
            running.interrupt();
        }
        running.end().await
    }

    pub async fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            server.interrupt();
            let ran = server.end().await;
            assert_eq!(ran.code, Some(0), "{}", ran.output);
        }
    }

    fn start(&self, command: &str) -> RunningServe {
        let exports: String = self
            .exports
            .iter()
            .map(|export| format!("export {export}\n"))
            .collect();
        let mut child = Command::new("bash")
            .args(["-c", &format!("exec 2>&1\n{exports}{command}")])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let kept = output.clone();
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut bytes).await {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                kept.lock().unwrap().push_str(&text);
            }
        });
        RunningServe { child, output }
    }

    /// Waits for the first output, which may go to a file; for a snapshot, until its end.
    async fn until_something(&self, running: &RunningServe, command: &str) {
        let file = command.split_once(">> ").map(|(_, rest)| {
            let name = rest.split_whitespace().next().unwrap();
            self.directory.join(name.trim_matches('\''))
        });
        let came = || {
            let written = file
                .as_ref()
                .and_then(|file| std::fs::read_to_string(file).ok());
            let output = written.unwrap_or_default() + &running.output.lock().unwrap();
            if command.contains("--snapshot") {
                output.contains("caughtUp") || output.contains("caught up")
            } else {
                !output.is_empty()
            }
        };
        let waiting = async {
            while !came() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PROCESS_TIMEOUT, waiting).await;
        assert!(waited.is_ok(), "{command}: nothing came");
    }
}

/// True if a command runs until it is stopped.
fn follows(command: &str) -> bool {
    command.starts_with("dateline watch") && !command.contains("--limit")
        || command.contains("--schedule")
}

impl Drop for RunningServe {
    /// Also stops the processes of the shell when a test fails.
    fn drop(&mut self) {
        if let Some(id) = self.child.id() {
            let _ = killpg(pid(id), Signal::SIGKILL);
        }
    }
}

impl RunningServe {
    async fn wait_for_output(&self, words: &str) {
        let waiting = async {
            while !self.output.lock().unwrap().contains(words) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PROCESS_TIMEOUT, waiting).await;
        assert!(waited.is_ok(), "{}", self.output.lock().unwrap());
    }

    fn interrupt(&self) {
        if let Some(id) = self.child.id() {
            killpg(pid(id), Signal::SIGINT).unwrap();
        }
    }

    async fn end(mut self) -> ShellOutput {
        let ended = tokio::time::timeout(PROCESS_TIMEOUT, self.child.wait()).await;
        let status = ended
            .unwrap_or_else(|_| panic!("it did not end: {}", self.output.lock().unwrap()))
            .unwrap();
        // The last output may still be in flight.
        while Arc::strong_count(&self.output) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let output = self.output.lock().unwrap().clone();
        ShellOutput {
            code: status.code(),
            output,
        }
    }
}
