//! Connections that end with the scope.
//!
//! tonic spawns a task of its own for every accepted connection, which outlives the listener. This wraps the
//! socket so that reading and writing fail as soon as the scope has stopped, and the task ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::scope::ScopeHandle;

/// After a failure to accept (no file descriptors left, mostly) the next attempt waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The connections of a listener.
pub(in crate::real) fn incoming(
    listener: TcpListener,
    scope: ScopeHandle,
) -> impl Stream<Item = io::Result<Guarded>> {
    futures::stream::unfold((listener, scope), |(listener, scope)| async move {
        loop {
            match listener.accept().await {
                Ok((io, _)) => {
                    // Only slower without it.
                    let _ = io.set_nodelay(true);
                    let watch = scope.clone();
                    let stopped = Box::pin(async move { watch.aborted().await });
                    let guarded = Guarded { io, stopped, is_stopped: false };
                    return Some((Ok(guarded), (listener, scope)));
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// A socket that breaks when the scope stops.
pub(in crate::real) struct Guarded {
    io: TcpStream,
    stopped: BoxFuture<'static, ()>,
    is_stopped: bool,
}

impl Guarded {
    /// Also registers for the wake-up. HTTP/2 always has a read pending, so a stop is noticed at once.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.is_stopped = self.is_stopped || self.stopped.as_mut().poll(cx).is_ready();
        if self.is_stopped { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Connected for Guarded {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.io.connect_info()
    }
}
