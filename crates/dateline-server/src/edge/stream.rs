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
    frames::{Flood, Frames, Inbound, goaway, kind},
    peer::{Peer, Verdict},
    told,
};

/// Bytes that are read from a peer after the GOAWAY: closing with unread bytes would discard what it has not read yet.
const DRAINED_BYTES: usize = 1024 * 1024;

/// The socket of a connection, with or without TLS.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A byte stream whose frames are counted.
#[derive(Debug)]
pub(super) struct Watched<IO> {
    io: IO,
    peer: Peer,
    inbound: Inbound,
    outbound: Frames,
    per_second: u32,
    stuck: String,
    has_begun: bool,
    goodbye: Option<Goodbye>,
}

/// The state of a connection that sends a GOAWAY and closes.
#[derive(Debug)]
struct Goodbye {
    words: String,
    frame: Vec<u8>,
    sent: usize,
    is_shut: bool,
    drained: usize,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Watched<IO> {
    /// Creates the stream. `stuck` is the reason sent to a peer that reads nothing.
    pub(super) fn new(io: IO, peer: Peer, per_second: u32, stuck: String) -> Self {
        Self {
            io,
            peer,
            inbound: Inbound::new(per_second),
            outbound: Frames::default(),
            per_second,
            stuck,
            has_begun: false,
            goodbye: None,
        }
    }

    /// Warns about TLS on a plain-text port: hyper only reports an unreadable preface.
    fn begin(&mut self, bytes: &[u8]) {
        /// The first byte of a TLS handshake.
        const HANDSHAKE: u8 = 0x16;
        self.has_begun = true;
        if bytes.first() == Some(&HANDSHAKE) {
            let from = self.peer.address();
            told::rarely("tls: none here", |left_out| {
                tracing::warn!(%from, left_out, "TLS on a port without (--tls-cert, --tls-key)");
            });
        }
    }

    fn begin_goodbye(&mut self, words: String) {
        // In the middle of a frame, a GOAWAY would be read as the rest of that frame.
        let can_be_told = self.outbound.is_between() && self.inbound.speaks_http2();
        let frame = if can_be_told {
            goaway(u32::MAX >> 1, &words)
        } else {
            Vec::new()
        };
        self.goodbye = Some(Goodbye {
            words,
            frame,
            sent: 0,
            is_shut: false,
            drained: 0,
        });
    }

    fn cut(&mut self, flood: Flood) {
        let words = flood.words(self.per_second);
        told::limit(flood.limit(), &self.peer, &words);
        self.peer.judge(Verdict::Flood);
        self.begin_goodbye(words);
    }

    /// Sends the GOAWAY, and reads what still arrives, up to a bound. Always ends with an error.
    fn poll_goodbye(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Some(goodbye) = &mut self.goodbye else {
            return Poll::Ready(io::ErrorKind::ConnectionAborted.into());
        };
        let mut io = Pin::new(&mut self.io);
        while goodbye.sent < goodbye.frame.len() {
            let rest = &goodbye.frame[goodbye.sent..];
            match ready!(io.as_mut().poll_write(context, rest)) {
                Ok(0) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                Ok(count) => goodbye.sent += count,
                Err(error) => return Poll::Ready(error),
            }
        }
        if !goodbye.is_shut {
            if let Err(error) = ready!(io.as_mut().poll_shutdown(context)) {
                return Poll::Ready(error);
            }
            goodbye.is_shut = true;
        }
        let mut scratch = [0; 4096];
        while goodbye.drained < DRAINED_BYTES {
            let mut read = ReadBuf::new(&mut scratch);
            match ready!(io.as_mut().poll_read(context, &mut read)) {
                Ok(()) if read.filled().is_empty() => break,
                Ok(()) => goodbye.drained += read.filled().len(),
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Ready(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            goodbye.words.clone(),
        ))
    }

    /// Counts the frames in the bytes that the socket took.
    fn wrote<'a>(&mut self, slices: impl IntoIterator<Item = &'a [u8]>, mut taken: usize) {
        let (mut data, mut moved) = (0, 0);
        for slice in slices {
            let part = slice.len().min(taken);
            self.outbound.pass(&slice[..part], |frame| match frame {
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

    fn looked_at<'a>(
        &mut self,
        written: Poll<io::Result<usize>>,
        slices: impl IntoIterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(taken)) => {
                self.peer.count_write(true);
                self.wrote(slices, *taken);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.peer.count_write(false),
        }
        written
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.goodbye.is_none() && self.peer.verdict() == Some(Verdict::Stuck) {
            let words = self.stuck.clone();
            self.begin_goodbye(words);
        }
        if self.goodbye.is_some() {
            return self.poll_goodbye(context).map(Err);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        if !self.has_begun {
            self.begin(&buffer.filled()[before..]);
        }
        match self.inbound.pass(&buffer.filled()[before..]) {
            Ok(0) => {}
            Ok(moved) => self.peer.count_moved(moved),
            Err(flood) => {
                buffer.set_filled(before);
                self.cut(flood);
                return self.poll_goodbye(context).map(Err);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.goodbye.is_some() {
            // Nothing may follow a GOAWAY.
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.looked_at(written, [bytes])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.goodbye.is_some() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.looked_at(written, slices.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.goodbye.is_some() {
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

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
