//! A terminal of a given width, and its screen content.

use std::{
    fs::File,
    io::{Read, Write},
};

use nix::pty::{Winsize, openpty};
use tokio::process::Child;

use crate::support::{cli::program, process::PROCESS_TIMEOUT};

/// A program on a terminal.
pub struct Terminal {
    pub child: Child,
    master: File,
    output: tokio::task::JoinHandle<Vec<u8>>,
}

impl Terminal {
    /// Starts it on a terminal of `columns` columns.
    pub fn start(server: &str, arguments: &[&str], columns: u16) -> Self {
        let size = Winsize {
            ws_row: 50,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        let end = || pty.slave.try_clone().unwrap();
        let mut command = program(server, arguments);
        command.stdin(end()).stdout(end()).stderr(end());
        command.env("TERM", "xterm-256color");
        let child = command.spawn().unwrap();
        drop(command);
        drop(pty.slave);
        let master = File::from(pty.master);
        let mut reader = master.try_clone().unwrap();
        let output = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            // Reading fails once the other side is closed.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..count]);
            }
            bytes
        });
        Self {
            child,
            master,
            output,
        }
    }

    pub fn type_text(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// The exit code, the screen at the end, and everything that was ever written to it.
    pub async fn end(mut self) -> (i32, String, String) {
        let ended = tokio::time::timeout(PROCESS_TIMEOUT, self.child.wait()).await;
        let code = ended.expect("it ends").unwrap().code().unwrap_or(-1);
        let bytes = self.output.await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (code, screen(&text), text)
    }
}

/// The lines of a terminal that never scrolls; follows carriage returns, moves up and cleared lines.
fn screen(text: &str) -> String {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '\n' => row += 1,
            '\r' => column = 0,
            '\u{1b}' if signs.peek() == Some(&'[') => {
                signs.next();
                let mut number = String::new();
                let end = loop {
                    match signs.next() {
                        Some(sign) if sign.is_ascii_alphabetic() => break sign,
                        Some(sign) => number.push(sign),
                        None => break 'm',
                    }
                };
                let count: usize = number.parse().unwrap_or(1);
                match end {
                    'A' => row = row.saturating_sub(count),
                    'B' => row += count,
                    'D' => column = column.saturating_sub(count),
                    'K' if number == "2" => lines[row].clear(),
                    'K' => lines[row].truncate(column),
                    'J' => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    _ => {}
                }
            }
            sign if sign.is_control() => {}
            sign => {
                if lines[row].len() <= column {
                    lines[row].resize(column + 1, ' ');
                }
                lines[row][column] = sign;
                column += 1;
            }
        }
        if lines.len() <= row {
            lines.resize(row + 1, Vec::new());
        }
    }
    let lines = lines.iter().map(|line| line.iter().collect::<String>());
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect::<String>()
        .trim_end()
        .to_owned()
        + "\n"
}
