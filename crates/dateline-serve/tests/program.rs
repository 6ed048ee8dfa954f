//! The program `dateline-server`: it serves without a command, reports its health, and creates tokens. Its private
//! Postgres is found or fetched as by `dateline serve`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets what it does not expect has to fail"
)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dateline-server");

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    let variables = std::env::vars_os().map(|(name, _)| name);
    for name in variables.filter(|name| name.to_string_lossy().starts_with("DATELINE_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server that is told to stop when it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts a server without naming a command, and waits until it serves.
    fn start(home: &Path) -> Self {
        let token = home.join("admin.token");
        let mut child = program(&["--listen", "127.0.0.1:0", "--log-format", "json"])
            .arg("--data-dir")
            .arg(home.join("data"))
            .arg("--bootstrap-token-file")
            .arg(&token)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let serving = log.by_ref().map_while(Result::ok).find(|line| {
            seen.push_str(line);
            seen.push('\n');
            line.contains(r#""message":"serving""#)
        });
        let serving = serving.unwrap_or_else(|| panic!("it does not serve: {seen}"));
        let address = serving.split(r#""address":""#).nth(1).unwrap();
        let address = address.split('"').next().unwrap().to_owned();
        // Read to the end, so that the log never blocks the server.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address }
    }

    fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn it_serves_without_a_command_reports_its_health_and_creates_tokens() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path());
    let health = run(&["health", "--server", &server.address]);
    assert_eq!(
        text(&health.stdout),
        "serving\n",
        "{}",
        text(&health.stderr)
    );
    let admin = home.path().join("admin.token");
    let create = [
        "token",
        "create",
        "--role",
        "publisher",
        "--expires",
        "+30d",
    ];
    let by_admin = [
        "--server",
        &server.address,
        "--token-file",
        admin.to_str().unwrap(),
    ];
    let created = run(&[&create[..], &by_admin[..]].concat());
    assert!(created.status.success(), "{}", text(&created.stderr));
    assert!(text(&created.stdout).starts_with("dateline_"));
    let refused = run(&[&create[..], &["--server", &server.address]].concat());
    assert!(
        text(&refused.stderr).contains("authorization"),
        "{refused:?}"
    );
    let address = server.address.clone();
    assert_eq!(server.stop(), Some(0));
    let health = run(&["health", "--server", &address]);
    assert_eq!(health.status.code(), Some(4), "{}", text(&health.stderr));
}

#[test]
fn it_has_the_version_of_the_workspace_and_three_commands() {
    let version = run(&["--version"]);
    let expected = format!("dateline-server {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&version.stdout), expected);
    let help = text(&run(&["--help"]).stdout);
    for command in ["serve", "health", "token"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
}

#[test]
fn a_renamed_flag_is_an_error_that_names_the_new_one_without_a_command_too() {
    for arguments in [&["serve", "--readers", "3"][..], &["--readers", "3"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        let message = "error: `--readers 3` is now `--read-pool-size 3`\n";
        assert!(text(&output.stderr).contains(message), "{output:?}");
    }
}
