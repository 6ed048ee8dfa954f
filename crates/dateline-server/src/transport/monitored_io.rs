//! The byte stream of a connection, above TLS: counts frames as they pass, and replaces the stream by a GOAWAY when the
//! connection is to close with a reason.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{
    frame_limiter::{Flood, FrameLimiter, FrameParser, goaway_frame, kind},
    log_throttle,
    peer::{CloseReason, Peer},
};

/// Bytes that are read from a peer after the GOAWAY: closing with unread bytes would discard what it has not read yet.
const MAX_DRAINED_BYTES: usize = 1024 * 1024;

/// The socket of a connection, with or without TLS.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A byte stream whose frames are counted.
#[derive(Debug)]
pub(super) struct MonitoredIo<IO> {
    io: IO,
    peer: Peer,
    inbound: FrameLimiter,
    outbound: FrameParser,
    per_second: u32,
    stuck: String,
    has_begun: bool,
    goaway: Option<Goaway>,
}

/// The state of a connection that sends a GOAWAY and closes.
#[derive(Debug)]
struct Goaway {
    reason: String,
    frame: Vec<u8>,
    sent: usize,
    is_shut: bool,
    drained: usize,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> MonitoredIo<IO> {
    /// Creates the stream. `stuck` is the reason sent to a peer that reads nothing.
    pub(super) fn new(io: IO, peer: Peer, per_second: u32, stuck: String) -> Self {
        Self {
            io,
            peer,
            inbound: FrameLimiter::new(per_second),
            outbound: FrameParser::default(),
            per_second,
            stuck,
            has_begun: false,
            goaway: None,
        }
    }

    /// Warns about TLS on a plain-text port: hyper only reports an unreadable preface.
    fn check_first_bytes(&mut self, bytes: &[u8]) {
        /// The first byte of a TLS handshake.
        const HANDSHAKE: u8 = 0x16;
        self.has_begun = true;
        if bytes.first() == Some(&HANDSHAKE) {
            let from = self.peer.address();
            log_throttle::log_throttled("tls: none here", |left_out| {
                tracing::warn!(%from, left_out, "TLS on a port without (--tls-cert, --tls-key)");
            });
        }
    }

    fn begin_goaway(&mut self, reason: String) {
        // In the middle of a frame, a GOAWAY would be read as the rest of that frame.
        let can_send_reason = self.outbound.is_between() && self.inbound.speaks_http2();
        let frame = if can_send_reason {
            goaway_frame(u32::MAX >> 1, &reason)
        } else {
            Vec::new()
        };
        self.goaway = Some(Goaway {
            reason,
            frame,
            sent: 0,
            is_shut: false,
            drained: 0,
        });
    }

    fn close_for_flood(&mut self, flood: Flood) {
        let reason = flood.reason(self.per_second);
        log_throttle::log_limit(flood.limit_name(), &self.peer, &reason);
        self.peer.request_close(CloseReason::Flood);
        self.begin_goaway(reason);
    }

    /// Sends the GOAWAY, and reads what still arrives, up to a bound. Always ends with an error.
    fn poll_goaway(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Some(goaway) = &mut self.goaway else {
            return Poll::Ready(io::ErrorKind::ConnectionAborted.into());
        };
        let mut io = Pin::new(&mut self.io);
        while goaway.sent < goaway.frame.len() {
            let rest = &goaway.frame[goaway.sent..];
            match ready!(io.as_mut().poll_write(context, rest)) {
                Ok(0) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                Ok(count) => goaway.sent += count,
                Err(error) => return Poll::Ready(error),
            }
        }
        if !goaway.is_shut {
            if let Err(error) = ready!(io.as_mut().poll_shutdown(context)) {
                return Poll::Ready(error);
            }
            goaway.is_shut = true;
        }
        let mut scratch = [0; 4096];
        while goaway.drained < MAX_DRAINED_BYTES {
            let mut read = ReadBuf::new(&mut scratch);
            match ready!(io.as_mut().poll_read(context, &mut read)) {
                Ok(()) if read.filled().is_empty() => break,
                Ok(()) => goaway.drained += read.filled().len(),
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Ready(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            goaway.reason.clone(),
        ))
    }

    /// Counts the frames in the bytes that the socket took.
    fn count_written_frames<'a>(
        &mut self,
        slices: impl IntoIterator<Item = &'a [u8]>,
        mut taken: usize,
    ) {
        let (mut data, mut moved) = (0, 0);
        for slice in slices {
            let part = slice.len().min(taken);
            self.outbound.advance(&slice[..part], |frame| match frame {
                kind::DATA => data += 1,
                kind::HEADERS => moved += 1,
                _ => {}
            });
            taken -= part;
        }
        if data > 0 {
            self.inbound.sent(data);
        }
        if data > 0 || moved > 0 {
            self.peer.count_moved(u64::from(data) + moved);
        }
    }

    fn count_write_result<'a>(
        &mut self,
        written: Poll<io::Result<usize>>,
        slices: impl IntoIterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(taken)) => {
                self.peer.count_write(true);
                self.count_written_frames(slices, *taken);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.peer.count_write(false),
        }
        written
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for MonitoredIo<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.goaway.is_none() && self.peer.close_reason() == Some(CloseReason::Stuck) {
            let reason = self.stuck.clone();
            self.begin_goaway(reason);
        }
        if self.goaway.is_some() {
            return self.poll_goaway(context).map(Err);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        if !self.has_begun {
            self.check_first_bytes(&buffer.filled()[before..]);
        }
        match self.inbound.count(&buffer.filled()[before..]) {
            Ok(0) => {}
            Ok(moved) => self.peer.count_moved(moved),
            Err(flood) => {
                buffer.set_filled(before);
                self.close_for_flood(flood);
                return self.poll_goaway(context).map(Err);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MonitoredIo<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.goaway.is_some() {
            // Nothing may follow a GOAWAY.
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.count_write_result(written, [bytes])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.goaway.is_some() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.count_write_result(written, slices.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.goaway.is_some() {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        // TLS takes some bytes before the socket does; only a flush shows whether they leave.
        self.peer.count_flush(flushed.is_ready());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(context),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
