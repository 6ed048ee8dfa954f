//! A proxy to the tests' Postgres whose connections stop silently.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use tokio::{
    net::{TcpListener, UnixStream},
    sync::watch,
};

/// A proxy in front of a database; [`FreezableProxy::freeze`] stops its connections.
pub struct FreezableProxy {
    pub url: String,
    /// The URL that bypasses the proxy.
    pub past: String,
    frozen: watch::Sender<u64>,
    is_away: watch::Sender<bool>,
}

impl FreezableProxy {
    pub async fn before(past: &str) -> Self {
        let options = PgConnectOptions::from_str(past).unwrap();
        let directory = options.get_socket().expect("it is reached by a socket");
        let socket = directory.join(format!(".s.PGSQL.{}", options.get_port()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (frozen, hears) = watch::channel(0);
        let (is_away, away) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let (socket, mut hears) = (socket.clone(), hears.clone());
                // Accepted, and never answered.
                if *away.borrow() {
                    tokio::spawn(async move {
                        std::future::pending::<()>().await;
                        drop(outside);
                    });
                    continue;
                }
                let born = *hears.borrow_and_update();
                tokio::spawn(async move {
                    let Ok(mut inside) = UnixStream::connect(socket).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut outside, &mut inside) => {}
                        // Both ends stay open, and no data passes any more.
                        () = later(&mut hears, born) => std::future::pending().await,
                    }
                });
            }
        });
        let database = options.get_database().unwrap();
        let url = format!("postgres://postgres@{address}/{database}?sslmode=disable");
        Self {
            url,
            past: past.to_owned(),
            frozen,
            is_away,
        }
    }

    /// Leaves new connections without an answer, or answers them again.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.send_replace(is_away);
    }

    /// Freezes every existing connection.
    pub fn freeze(&self) {
        self.frozen.send_modify(|count| *count += 1);
    }
}

/// Waits until a count is higher; for ever if the counter is gone.
async fn later(count: &mut watch::Receiver<u64>, than: u64) {
    if count.wait_for(|now| *now > than).await.is_err() {
        std::future::pending::<()>().await;
    }
}
