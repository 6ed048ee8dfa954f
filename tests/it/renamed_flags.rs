//! Flags and variables that were renamed: the old one is an error that names the new one, and the new one exists.

use std::process::{Command, Output};

use dateline::renamed_flags::{OldValue, RENAMED_FLAGS, RenamedFlag};

use crate::support::server::PROGRAM;

/// Runs a command without the variables of this process.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(PROGRAM);
    let own =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DATELINE_"));
    for (name, _) in own {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}: {stderr}");
    assert!(stderr.contains(message), "no {message:?} in {stderr}");
}

/// Values of the old flag and of the new one.
fn values(renamed: &RenamedFlag) -> (&'static str, &'static str) {
    match renamed.value {
        OldValue::None => ("true", "true"),
        OldValue::Seconds => ("30", "30s"),
        OldValue::Same("BYTES") => ("9000000", "9000000"),
        OldValue::Same("HOW") => ("optional", "optional"),
        OldValue::Same(_) => ("30", "30"),
    }
}

#[test]
fn an_old_flag_is_an_error_that_names_the_new_flag_and_its_value() {
    for renamed in &RENAMED_FLAGS {
        let (command, (value, new_value)) = (renamed.command, values(renamed));
        let (old, new) = (format!("--{}", renamed.old), format!("--{}", renamed.new));
        if renamed.value == OldValue::None {
            let message = format!("error: `{old}` is now `{new}`\n");
            assert_refused(&run(&[command, &old], &[]), &message);
            continue;
        }
        let message = format!("error: `{old} {value}` is now `{new} {new_value}`\n");
        assert_refused(&run(&[command, &old, value], &[]), &message);
        let joined = format!("{old}={value}");
        assert_refused(&run(&["--ca", "x", command, &joined], &[]), &message);
        let placeholder = match renamed.value {
            OldValue::Same(placeholder) => placeholder,
            _ => "DURATION",
        };
        let message = format!("error: `{old}` is now `{new} {placeholder}`\n");
        assert_refused(&run(&[command, &old], &[]), &message);
    }
}

#[test]
fn an_old_variable_is_an_error_that_names_the_new_variable_and_its_value() {
    let mut count = 0;
    for renamed in &RENAMED_FLAGS {
        let (Some(old), Some(new)) = (renamed.old_variable(), renamed.new_variable()) else {
            continue;
        };
        count += 1;
        let (value, new_value) = values(renamed);
        let message = format!("error: `{old}={value}` is now `{new}={new_value}`\n");
        let set = [(old.as_str(), value)];
        assert_refused(&run(&["serve"], &set), &message);
        let help = run(&["serve", "--help"], &set);
        assert_eq!(help.status.code(), Some(0), "{old} does not keep the help");
    }
    assert_eq!(count, RENAMED_FLAGS.len() - 1, "all but that of `export`");
}

#[test]
fn a_new_flag_and_its_variable_accept_the_rewritten_value() {
    for renamed in &RENAMED_FLAGS {
        let (command, (old_value, value)) = (renamed.command, values(renamed));
        let flag = match renamed.value {
            OldValue::None => format!("--{}", renamed.new),
            _ => format!("--{}={value}", renamed.new),
        };
        let output = run(&[command, &flag, "--help"], &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{flag}: {stderr}");
        // Lines are broken anywhere.
        let help = String::from_utf8_lossy(&output.stdout);
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(variable) = renamed.new_variable() {
            assert!(help.contains(&format!("[env: {variable}=")), "{variable}");
        }
        if renamed.value == OldValue::Seconds {
            let flag = format!("--{}={old_value}", renamed.new);
            let output = run(&[command, &flag, "--help"], &[]);
            assert_refused(&output, "the unit is missing; write `30s`");
        }
    }
}

#[test]
fn a_flag_that_another_command_never_had_is_merely_unknown() {
    let output = run(&["list", "--streams", "5"], &[]);
    assert_refused(&output, "unexpected argument '--streams'");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("is now"));
}
