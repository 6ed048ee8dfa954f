//! Programs of other languages that tests run, with packages from the registries, once per set of requirements. If that
//! fails, tests print clearly what is missing, and pass; with `CI=true` they fail.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::support::server::TIMEOUT;

/// Packages of the Python example.
pub const PYTHON: &str = "examples/python/requirements.txt";
/// Maximum duration of an installation, on a slow line.
const INSTALLATION: Duration = Duration::from_mins(5);

pub fn repo_path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// Runs a program to its end; returns its output, or why it failed.
pub async fn run_tool(command: &mut Command, timeout: Duration) -> Result<String, String> {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let output = tokio::time::timeout(timeout, command.kill_on_drop(true).output())
        .await
        .map_err(|_| format!("{program} did not end within {} s", timeout.as_secs()))?
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("there is no {program} on the path"),
            _ => format!("{program} does not run: {error}"),
        })?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{:?} ended with {}:\n{stdout}{stderr}",
        command.as_std(),
        output.status
    ))
}

/// A directory for what is made from `ingredients`, and whether it is complete: the file `finished` marks that.
/// Other tests, of this run or of another one, wait until the returned lock is dropped.
async fn cached_directory(kind: &str, ingredients: &[&str]) -> (PathBuf, bool, File) {
    let mut hash = Sha256::new();
    for file in ingredients {
        hash.update(fs::read(repo_path(file)).unwrap());
    }
    let name = format!("{kind}-{}", &hex::encode(hash.finalize())[..16]);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = File::create(directory.with_extension("lock")).unwrap();
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .unwrap()
        .unwrap();
    let made = directory.join("finished").exists();
    if !made {
        drop(fs::remove_dir_all(&directory));
        fs::create_dir_all(&directory).unwrap();
    }
    (directory, made, lock)
}

fn finished(directory: &Path) {
    fs::write(directory.join("finished"), "").unwrap();
}

/// The interpreter of a virtual environment with the packages of a requirements file.
pub async fn python_environment(requirements: &str) -> Result<PathBuf, String> {
    let (directory, made, _lock) = cached_directory("python", &[requirements]).await;
    let interpreter = directory.join("bin/python");
    if !made {
        let venv = ["-m", "venv"].map(OsStr::new);
        run_tool(
            Command::new("python3").args(venv).arg(&directory),
            INSTALLATION,
        )
        .await?;
        let install = ["-m", "pip", "install", "--quiet", "--requirement"];
        // Requirements that are directories are relative to the repository.
        run_tool(
            Command::new(&interpreter)
                .args(install)
                .arg(repo_path(requirements))
                .current_dir(env!("CARGO_MANIFEST_DIR")),
            INSTALLATION,
        )
        .await?;
        finished(&directory);
    }
    Ok(interpreter)
}

/// Installs the packages of a directory, such as `examples/node`; returns the directory in which Node looks for them.
pub async fn node_modules(of: &str) -> Result<PathBuf, String> {
    let ingredients = ["package.json", "package-lock.json"].map(|file| format!("{of}/{file}"));
    let ingredients = [ingredients[0].as_str(), ingredients[1].as_str()];
    let (directory, made, _lock) = cached_directory("node", &ingredients).await;
    if !made {
        run_tool(Command::new("node").arg("--version"), TIMEOUT).await?;
        for file in ingredients.map(repo_path) {
            fs::copy(&file, directory.join(file.file_name().unwrap())).unwrap();
        }
        let install = [
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ];
        run_tool(
            Command::new("npm").args(install).current_dir(&directory),
            INSTALLATION,
        )
        .await?;
        finished(&directory);
    }
    Ok(directory.join("node_modules"))
}

/// The tools, or `None` after printing clearly what the test cannot do.
pub fn or_skip<Tools>(tools: Result<Tools, String>, test: &str) -> Option<Tools> {
    let missing = match tools {
        Ok(tools) => return Some(tools),
        Err(missing) => missing,
    };
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} has to run in CI: {missing}"
    );
    // Bypasses the test harness, which hides the output of passing tests.
    let told = format!("\nNOT TESTED: {test}, because {missing}\n\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    None
}

/// Generates the modules in a directory of their own, so that a stale copy cannot hide an error.
pub async fn generate_python_stubs(python: &Path) -> (tempfile::TempDir, PathBuf) {
    let (keep, directory) = crate::support::server::temp_dir();
    let mut command = Command::new(python);
    command
        .arg(repo_path("examples/python/generate.py"))
        .arg(&directory);
    let told = run_tool(&mut command, TIMEOUT * 2).await.unwrap();
    assert!(told.starts_with("generated 16 schemas"), "{told}");
    (keep, directory)
}
