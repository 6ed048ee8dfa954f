//! HTTP/2 frame by frame, in sequences that no client sends. `benches/abuse.rs` uses it as well.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

/// Maximum wait for anything.
const TIMEOUT: Duration = Duration::from_secs(30);

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_HEADERS: u8 = 4;
pub const END_STREAM: u8 = 1;
/// `ENHANCE_YOUR_CALM`
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

pub const GET: &str = "/dateline.v1.RecordService/GetRecord";
pub const LIST: &str = "/dateline.v1.RecordService/ListRecords";

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a gRPC call, all as literals.
pub fn headers(path: &str) -> Vec<u8> {
    // :method POST and :scheme http are in HPACK's table.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A call with a message.
pub fn call(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    [
        frame(HEADERS, END_HEADERS, stream, &headers(path)),
        frame(DATA, END_STREAM, stream, &body),
    ]
    .concat()
}

/// The preface and settings of a connection, with windows that never fill.
pub fn preface_with_wide_windows() -> Vec<u8> {
    let window = (u32::MAX >> 1).to_be_bytes();
    let settings = [&[0, 4], &window[..]].concat();
    let more = ((u32::MAX >> 1) - 65_535).to_be_bytes();
    [
        PREFACE,
        &frame(SETTINGS, 0, 0, &settings),
        &frame(WINDOW_UPDATE, 0, 0, &more),
    ]
    .concat()
}

/// A connection that writes any bytes and reads everything.
pub struct H2Connection {
    writer: tokio::net::tcp::OwnedWriteHalf,
    reading_task: JoinHandle<Vec<u8>>,
}

impl H2Connection {
    /// Connects and writes nothing.
    pub async fn connect(address: &str) -> Self {
        Self::from_stream(TcpStream::connect(address).await.unwrap())
    }

    pub fn from_stream(stream: TcpStream) -> Self {
        let (reading, writer) = stream.into_split();
        Self {
            writer,
            reading_task: tokio::spawn(read_to_close(reading)),
        }
    }

    /// Connects and sends the HTTP/2 preface.
    pub async fn connect_with_preface(address: &str) -> Self {
        let mut talker = Self::connect(address).await;
        assert!(talker.send(PREFACE).await);
        assert!(talker.send(&frame(SETTINGS, 0, 0, &[])).await);
        talker
    }

    /// Writes bytes; returns false if the connection is closed.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let saying = tokio::time::timeout(TIMEOUT, self.writer.write_all(bytes));
        saying.await.expect("the server reads, or closes").is_ok()
    }

    /// Writes the bytes repeatedly, at most `most` times. Returns the number of writes before the end.
    pub async fn flood(&mut self, bytes: &[u8], most: usize) -> usize {
        for count in 0..most {
            if self.reading_task.is_finished() || !self.send(bytes).await {
                return count;
            }
        }
        most
    }

    /// True if the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.reading_task.is_finished()
    }

    /// Everything that was received, once the server closes.
    pub async fn received(self) -> ReceivedFrames {
        let heard = tokio::time::timeout(TIMEOUT, self.reading_task).await;
        ReceivedFrames::parse(&heard.expect("the server closes").unwrap())
    }
}

/// Reads until the end, be it a close or a reset.
async fn read_to_close(mut reading: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut heard = Vec::new();
    let _ = reading.read_to_end(&mut heard).await;
    heard
}

/// Frames received from the server.
#[derive(Debug, Default)]
pub struct ReceivedFrames {
    /// Frame types, in order.
    pub kinds: Vec<u8>,
    /// Code and text of the last GOAWAY.
    pub goaway: Option<(u32, String)>,
}

impl ReceivedFrames {
    fn parse(mut bytes: &[u8]) -> Self {
        let mut heard = Self::default();
        while let Some((header, rest)) = bytes.split_at_checked(9) {
            let length =
                usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
            let Some((payload, rest)) = rest.split_at_checked(length) else {
                break;
            };
            heard.kinds.push(header[3]);
            if header[3] == GOAWAY {
                let code = u32::from_be_bytes(payload[4..8].try_into().unwrap());
                let words = String::from_utf8_lossy(&payload[8..]).into_owned();
                heard.goaway = Some((code, words));
            }
            bytes = rest;
        }
        heard
    }

    /// Asserts that the server sent `ENHANCE_YOUR_CALM` with this text.
    pub fn assert_enhance_your_calm(&self, words: &str) {
        let (code, said) = self.goaway.as_ref().expect("a goaway");
        assert_eq!(*code, ENHANCE_YOUR_CALM, "{said}");
        assert!(said.contains(words), "{said}");
    }
}
