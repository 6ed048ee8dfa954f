//! Parses HTTP/2 frames as they pass: the nine bytes of each header; payloads are skipped. Nothing here speaks the
//! protocol. It only counts, to distinguish a connection that sends useless frames from one that works.

use std::time::Instant;

/// The client connection preface (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_BYTES: usize = 9;

/// Types of frames (RFC 9113, 6).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// The position within a frame of one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct FrameParser {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have passed.
    known: usize,
    /// Bytes of the payload that have not passed.
    left: usize,
}

impl FrameParser {
    /// Skips over bytes, and calls `on_frame` with the type of each frame whose header ends in them.
    pub(super) fn advance(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(u8)) {
        while !bytes.is_empty() {
            let stepped = self.left.min(bytes.len());
            self.left -= stepped;
            bytes = &bytes[stepped..];
            if self.left > 0 {
                return;
            }
            let taken = (HEADER_BYTES - self.known).min(bytes.len());
            self.header[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known == HEADER_BYTES {
                let [a, b, c, kind, ..] = self.header;
                self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.known = 0;
                on_frame(kind);
            }
        }
    }

    /// True at the boundary between two frames, where the server can insert one of its own.
    pub(super) fn is_between(&self) -> bool {
        self.known == 0 && self.left == 0
    }
}

/// A token bucket: burst, and refill per second. The clock is read only when the bucket is empty.
#[derive(Debug)]
struct TokenBucket {
    left: u32,
    most: u32,
    per_second: u32,
    filled_at: Instant,
}

impl TokenBucket {
    fn new(most: u32, per_second: u32) -> Self {
        Self {
            left: most,
            most,
            per_second,
            filled_at: Instant::now(),
        }
    }

    fn try_take(&mut self, now: impl Fn() -> Instant) -> bool {
        if self.left == 0 {
            let now = now();
            let passed = now.duration_since(self.filled_at).as_millis();
            let more = passed * u128::from(self.per_second) / 1000;
            if more == 0 {
                return false;
            }
            self.left = self.most.min(u32::try_from(more).unwrap_or(u32::MAX));
            self.filled_at = now;
        }
        self.left -= 1;
        true
    }

    fn refill(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.most);
    }
}

/// A flood that hyper does not stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flood {
    /// PING, SETTINGS, PRIORITY, or frames of unknown types.
    Control,
    /// `WINDOW_UPDATE` out of proportion to the data sent.
    Windows,
}

impl Flood {
    /// Returns the name of the limit in the metrics.
    pub(super) fn limit_name(self) -> &'static str {
        match self {
            Flood::Control => "control_frames_per_second",
            Flood::Windows => "window_updates",
        }
    }

    /// Returns the text of the GOAWAY frame.
    pub(super) fn reason(self, per_second: u32) -> String {
        let what = match self {
            Flood::Control => "PING, SETTINGS, PRIORITY and unknown frames",
            Flood::Windows => "WINDOW_UPDATE frames beyond those for what was sent",
        };
        format!("too many {what}: {per_second} a second (--control-frames-per-second)")
    }
}

/// The frames received from a client.
#[derive(Debug)]
pub(super) struct FrameLimiter {
    frames: FrameParser,
    /// Bytes of the preface received; `None` if the client speaks another protocol.
    preface: Option<usize>,
    control: TokenBucket,
    windows: TokenBucket,
}

/// Burst of control frames, in seconds of the rate.
const CONTROL_BURST: u32 = 10;
/// The same for `WINDOW_UPDATE`: data sent in one burst is acknowledged in one burst.
const WINDOW_UPDATES_BURST: u32 = 100;
/// A client may answer each DATA frame with an update for its stream and one for its connection.
const WINDOW_UPDATES_PER_FRAME: u32 = 2;

impl FrameLimiter {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            frames: FrameParser::default(),
            preface: Some(0),
            control: TokenBucket::new(per_second.saturating_mul(CONTROL_BURST), per_second),
            windows: TokenBucket::new(per_second.saturating_mul(WINDOW_UPDATES_BURST), per_second),
        }
    }

    /// Counts the frames in the bytes received. Returns how many of them belong to calls.
    ///
    /// # Errors
    /// The kind of flood, if it is one.
    pub(super) fn count(&mut self, bytes: &[u8]) -> Result<u64, Flood> {
        let Some(frames) = self.after_preface(bytes) else {
            return Ok(0);
        };
        let (control, windows) = (&mut self.control, &mut self.windows);
        let (mut moved, mut flood) = (0, None);
        self.frames.advance(frames, |kind| match kind {
            kind::DATA | kind::CONTINUATION => moved += 1,
            kind::HEADERS => {
                moved += 1;
                // A client may widen the window of each call when it begins.
                windows.refill(WINDOW_UPDATES_PER_FRAME);
            }
            // hyper limits these itself, or closes after one.
            kind::RST_STREAM | kind::GOAWAY => {}
            kind::WINDOW_UPDATE => {
                if !windows.try_take(Instant::now) {
                    flood = Some(Flood::Windows);
                }
            }
            // PING, SETTINGS, PRIORITY and unknown types.
            _ => {
                if !control.try_take(Instant::now) {
                    flood = Some(Flood::Control);
                }
            }
        });
        flood.map_or(Ok(moved), Err)
    }

    /// Credits the client for DATA frames sent: with each it may measure the round trip by a PING.
    pub(super) fn sent(&mut self, frames: u32) {
        self.control.refill(frames);
        self.windows
            .refill(frames.saturating_mul(WINDOW_UPDATES_PER_FRAME));
    }

    /// True once the client has sent the HTTP/2 preface.
    pub(super) fn speaks_http2(&self) -> bool {
        self.preface == Some(PREFACE.len())
    }

    fn after_preface<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let known = self.preface?;
        let taken = (PREFACE.len() - known).min(bytes.len());
        if bytes[..taken] != PREFACE[known..known + taken] {
            self.preface = None;
            return None;
        }
        self.preface = Some(known + taken);
        Some(&bytes[taken..])
    }
}

/// Encodes a GOAWAY frame with a reason. Calls above the stream id `last` were not begun.
pub(super) fn goaway_frame(last: u32, reason: &str) -> Vec<u8> {
    /// `ENHANCE_YOUR_CALM`
    const CALM: u32 = 0xb;
    let length = u32::try_from(8 + reason.len()).unwrap_or(8).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind::GOAWAY, 0, 0, 0, 0, 0];
    frame.extend(last.to_be_bytes());
    frame.extend(CALM.to_be_bytes());
    frame.extend(reason.as_bytes());
    frame
}

/// An empty SETTINGS frame, which must be the first frame that a server sends.
pub(super) const SETTINGS: [u8; HEADER_BYTES] = [0, 0, 0, kind::SETTINGS, 0, 0, 0, 0, 0];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PRIORITY: u8 = 2;
    const PING: u8 = 6;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 0];
        frame.resize(HEADER_BYTES + usize::from(length), 0xff);
        frame
    }

    #[test]
    fn frames_are_seen_wherever_the_bytes_are_cut() {
        let kinds = [(kind::SETTINGS, 6), (kind::HEADERS, 200), (PING, 8)];
        let bytes: Vec<u8> = kinds
            .iter()
            .chain(&[(kind::DATA, 0), (kind::DATA, 1)])
            .flat_map(|(kind, length)| frame(*kind, *length))
            .collect();
        for piece in 1..bytes.len() {
            let mut frames = FrameParser::default();
            let mut seen = Vec::new();
            for bytes in bytes.chunks(piece) {
                frames.advance(bytes, |kind| seen.push(kind));
            }
            assert_eq!(seen, [4, 1, 6, 0, 0], "in pieces of {piece}");
            assert!(frames.is_between());
        }
        let mut frames = FrameParser::default();
        frames.advance(&bytes[..bytes.len() - 1], |_| ());
        assert!(!frames.is_between());
    }

    fn begun() -> FrameLimiter {
        let mut inbound = FrameLimiter::new(10);
        for byte in PREFACE {
            assert_eq!(inbound.count(&[*byte]), Ok(0));
        }
        assert!(inbound.speaks_http2());
        inbound
    }

    #[test]
    fn pings_beyond_the_burst_are_a_flood_and_with_data_they_are_none() {
        let ping = frame(PING, 8);
        let mut inbound = begun();
        assert_eq!(inbound.count(&ping.repeat(100)), Ok(0));
        assert_eq!(inbound.count(&ping.repeat(100)), Err(Flood::Control));
        let mut inbound = begun();
        for _ in 0..10_000 {
            inbound.sent(1);
            assert_eq!(inbound.count(&ping), Ok(0));
        }
    }

    #[test]
    fn every_kind_that_nobody_needs_counts_and_calls_do_not() {
        for kind in [kind::SETTINGS, PRIORITY, PING, 10, 0xff] {
            let flood = frame(kind, 0).repeat(200);
            assert_eq!(begun().count(&flood), Err(Flood::Control), "{kind}");
        }
        for kind in [kind::DATA, kind::HEADERS] {
            let calls = frame(kind, 0).repeat(5000);
            assert_eq!(begun().count(&calls), Ok(5000), "{kind}");
        }
    }

    #[test]
    fn window_updates_are_allowed_for_what_was_sent_and_for_calls() {
        let update = frame(kind::WINDOW_UPDATE, 4);
        let mut inbound = begun();
        for _ in 0..100_000 {
            inbound.sent(1);
            assert_eq!(inbound.count(&update.repeat(2)), Ok(0));
        }
        for _ in 0..100_000 {
            let call = [frame(kind::HEADERS, 1), update.repeat(2)].concat();
            assert_eq!(inbound.count(&call), Ok(1));
        }
        assert_eq!(inbound.count(&update.repeat(2000)), Err(Flood::Windows));
    }

    #[test]
    fn a_bucket_fills_with_time() {
        let mut bucket = TokenBucket::new(100, 10);
        let then = bucket.filled_at;
        let at = |millis| move || then + Duration::from_millis(millis);
        for _ in 0..100 {
            assert!(bucket.try_take(at(0)));
        }
        assert!(!bucket.try_take(at(99)));
        assert!(bucket.try_take(at(100)));
        assert!(!bucket.try_take(at(150)));
        for _ in 0..100 {
            assert!(bucket.try_take(at(3_600_000)));
        }
        assert!(!bucket.try_take(at(3_600_000)));
    }

    #[test]
    fn what_is_not_http2_is_let_pass_without_a_look() {
        let mut inbound = FrameLimiter::new(1);
        assert_eq!(inbound.count(b"GET / HTTP/1.1\r\n"), Ok(0));
        assert_eq!(inbound.count(&frame(PING, 0).repeat(1000)), Ok(0));
        assert!(!inbound.speaks_http2());
    }
}
