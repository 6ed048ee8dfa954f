//! The fenced blocks of a Markdown page, each with its heading and the marker before it.

use std::fs;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};

use crate::support::tools::repo_path;

/// Marker of a block: an HTML comment right before it, `<!-- docs-test: WORDS -->`.
const MARKER: &str = "docs-test:";

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// File and line, for messages.
    pub place: String,
    /// The second-level heading above it.
    pub section: String,
    pub language: String,
    pub text: String,
    /// The words of its marker: `not run: REASON`, or `file NAME`.
    pub marker: Option<String>,
}

/// A command of a console block, and the output shown below it.
#[derive(Debug)]
pub struct Command {
    pub line: String,
    pub shown: Vec<String>,
}

/// Returns the fenced blocks of a page in their order.
pub fn blocks(file: &str) -> Vec<Block> {
    let text = fs::read_to_string(repo_path(file)).unwrap();
    let mut section = String::new();
    let mut heading = false;
    let mut marker = None;
    let mut open: Option<Block> = None;
    let mut found = Vec::new();
    for (event, range) in Parser::new(&text).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) if level <= HeadingLevel::H2 => {
                heading = true;
                section.clear();
            }
            Event::End(TagEnd::Heading(_)) => heading = false,
            Event::Text(words) | Event::Code(words) if heading => section.push_str(&words),
            Event::Html(html) => marker = words_of(&html).or(marker),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                let line = text[..range.start].lines().count() + 1;
                open = Some(Block {
                    place: format!("{file}:{line}"),
                    section: section.clone(),
                    language: language.into_string(),
                    text: String::new(),
                    marker: marker.take(),
                });
            }
            Event::Text(words) => {
                marker = None;
                if let Some(block) = &mut open {
                    block.text.push_str(&words);
                }
            }
            Event::End(TagEnd::CodeBlock) => found.extend(open.take()),
            _ => {}
        }
    }
    found
}

fn words_of(html: &str) -> Option<String> {
    let (_, words) = html.split_once(MARKER)?;
    Some(words.split_once("-->")?.0.trim().to_owned())
}

impl Block {
    /// Returns the commands: the lines after `$ ` of a console block, every line of a script.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        for line in self.text.lines() {
            let command = match self.language.as_str() {
                "console" => line.strip_prefix("$ "),
                _ => Some(line).filter(|line| !line.is_empty() && !line.starts_with('#')),
            };
            match (command, commands.last_mut()) {
                (None, Some(last)) if last.line.ends_with('\\') => {
                    last.line.push('\n');
                    last.line.push_str(line);
                }
                (Some(command), _) => commands.push(Command {
                    line: command.to_owned(),
                    shown: Vec::new(),
                }),
                (None, Some(last)) => last.shown.push(line.to_owned()),
                (None, None) => panic!("{}: begins with output: {line}", self.place),
            }
        }
        commands
    }

    pub fn is_run(&self) -> bool {
        matches!(self.language.as_str(), "console" | "sh")
            && !self
                .marker
                .as_deref()
                .is_some_and(|marker| marker.starts_with("not run"))
    }
}
