//! The pages against the program: every command of README.md and docs/ is run in order, and its output equals that on
//! the page. A block that is not run has a comment with the reason before it (`<!-- docs-test: not run: … -->`).

mod blocks;
mod changelog;
mod compare;
mod fixture;
mod metrics;
mod names;
mod shell;

use std::fs;

use blocks::{Command, blocks};
use fixture::PageFixture;
use shell::Shell;

use crate::support::tools::repo_path;

/// Languages of blocks that show data or code. Each has a test of its own, or a marker.
const DATA: [&str; 5] = ["text", "json", "yaml", "sql", "python"];

fn pages() -> Vec<String> {
    let entries = fs::read_dir(repo_path("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages = names.filter_map(|name| Some(format!("docs/{}.md", name.strip_suffix(".md")?)));
    let mut pages: Vec<_> = pages.collect();
    pages.sort();
    pages
}

/// Runs the commands of a page, each section in a directory and on a server of its own.
async fn run_page(page: &str) {
    let blocks: Vec<_> = blocks(page);
    let mut fixture: Option<(String, PageFixture)> = None;
    for block in blocks.iter().filter(|block| block.is_run()) {
        if fixture
            .as_ref()
            .is_none_or(|(section, _)| *section != block.section)
        {
            if let Some((_, done)) = fixture.take() {
                done.stop().await;
            }
            let files = blocks.iter().filter_map(|block| {
                let name = block.marker.as_deref()?.strip_prefix("file ")?;
                Some((name, block.text.as_str()))
            });
            let set = PageFixture::start(page, &block.section, files.collect()).await;
            fixture = Some((block.section.clone(), set));
        }
        let (_, fixture) = fixture.as_mut().unwrap();
        for command in block.commands() {
            run_command(fixture, &block.place, &command).await;
        }
    }
    if let Some((_, done)) = fixture {
        done.stop().await;
    }
}

async fn run_command(fixture: &mut PageFixture, place: &str, command: &Command) {
    let line = fixture.shell.here(&command.line);
    let ran = fixture.run(&line).await;
    let shown = command.shown.iter().map(|line| fixture.shell.here(line));
    let shown: Vec<_> = shown.collect();
    let fails = shown.iter().any(|line| line.starts_with("error:"));
    let told = format!("{place}: {line}\n{}", ran.output);
    assert_eq!(
        fails,
        !matches!(ran.code, Some(0 | 130)),
        "exit code {:?} of {told}",
        ran.code
    );
    let agree = shown.is_empty() || compare::agree(&shown, &ran.output);
    let shown = shown.join("\n");
    assert!(agree, "the page shows:\n{shown}\nbut this came of {told}");
}

#[tokio::test]
async fn readme_shows_what_its_commands_do() {
    run_page("README.md").await;
}

#[tokio::test]
async fn docs_show_what_their_commands_do() {
    for page in pages() {
        run_page(&page).await;
    }
}

#[tokio::test]
async fn readme_shows_what_the_demo_prints() {
    let shown = blocks("README.md")
        .into_iter()
        .find(|block| block.language == "text" && block.section == "Five minutes")
        .expect("README shows the demo");
    let (_keep, directory) = crate::support::server::temp_dir();
    let ran = Shell::new(directory).run("dateline demo --once").await;
    let lines: Vec<_> = shown.text.lines().map(str::to_owned).collect();
    let mut around = vec!["…".to_owned()];
    around.extend(lines);
    around.push("…".to_owned());
    assert_eq!(ran.code, Some(0), "{}", ran.output);
    assert!(
        compare::agree(&around, &ran.output),
        "README shows something else than:\n{}",
        ran.output
    );
}

#[test]
fn every_block_is_run_or_says_why_not() {
    let all = std::iter::once("README.md".to_owned()).chain(pages());
    let mut run = 0;
    for block in all.flat_map(|page| blocks(&page)) {
        let (place, language) = (&block.place, block.language.as_str());
        let marker = block.marker.as_deref().unwrap_or_default();
        if let Some(why) = marker.strip_prefix("not run:") {
            assert!(why.trim().len() > 10, "{place}: not run, for which reason?");
        } else if block.is_run() {
            run += block.commands().len();
        } else {
            assert!(DATA.contains(&language), "{place}: what is {language:?}?");
        }
        if language == "json" {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&block.text);
            assert!(parsed.is_ok(), "{place}: {parsed:?}");
        }
    }
    assert!(run >= 30, "only {run} commands were found");
}
