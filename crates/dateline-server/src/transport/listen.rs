//! Addresses to listen on: numeric, or a host name that resolves to one or several.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

use tokio::net::TcpListener;

/// Addresses to listen on, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The text as configured.
    text: String,
    addresses: Vec<SocketAddr>,
}

impl Listen {
    /// Returns the addresses, IPv4 first.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns true if all of them are loopback addresses.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.addresses
            .iter()
            .all(|address| address.ip().is_loopback())
    }

    /// Listens on all of them, on the same port. If a name resolves to several, addresses that this machine does not
    /// have are skipped.
    ///
    /// # Errors
    /// If one is in use, or none can be bound.
    pub async fn bind(&self) -> io::Result<Vec<TcpListener>> {
        let mut listeners: Vec<TcpListener> = Vec::with_capacity(self.addresses.len());
        let mut failed = None;
        for address in &self.addresses {
            let mut address = *address;
            if let Some(first) = listeners.first() {
                address.set_port(first.local_addr()?.port());
            }
            match TcpListener::bind(address).await {
                Ok(listener) => listeners.push(listener),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if listeners.is_empty() => Err(error),
            _ => Ok(listeners),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self {
            text: address.to_string(),
            addresses: vec![address],
        }
    }
}

impl From<([u8; 4], u16)> for Listen {
    fn from(address: ([u8; 4], u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let has_port = text
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !has_port {
            return Err(
                "write HOST:PORT, such as 127.0.0.1:7400, localhost:7400 or [::1]:7400".to_owned(),
            );
        }
        let found = text.to_socket_addrs();
        let found = found.map_err(|error| format!("the name leads to no address: {error}"))?;
        let mut addresses: Vec<_> = found.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses.dedup();
        if addresses.is_empty() {
            return Err("the name leads to no address".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            addresses,
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_addresses_and_what_lacks_a_port_is_told_how_to_write_it() {
        for text in ["127.0.0.1:7400", "[::1]:0", "localhost:7400"] {
            let listen: Listen = text.parse().unwrap();
            assert!(listen.is_loopback(), "{text}");
            assert_eq!(listen.to_string(), text);
        }
        assert!(!"0.0.0.0:1".parse::<Listen>().unwrap().is_loopback());
        for text in [
            "7400",
            ":7400",
            "localhost",
            "localhost:",
            "localhost:99999",
            "[::1]",
            "",
        ] {
            let wrong = text.parse::<Listen>().unwrap_err();
            assert!(wrong.starts_with("write HOST:PORT"), "{text}: {wrong}");
        }
        let wrong = "no.such.host.invalid:1".parse::<Listen>().unwrap_err();
        assert!(wrong.starts_with("the name leads to no address"), "{wrong}");
    }

    #[tokio::test]
    async fn all_addresses_of_a_name_are_listened_on_at_one_port() {
        let listen = Listen {
            text: "both".to_owned(),
            addresses: vec![([127, 0, 0, 1], 0).into(), ([127, 0, 0, 2], 0).into()],
        };
        let listeners = listen.bind().await.unwrap();
        let ports = listeners.iter().map(|it| it.local_addr().unwrap().port());
        let ports: std::collections::BTreeSet<_> = ports.collect();
        assert_eq!((listeners.len(), ports.len()), (2, 1));
        let taken = Listen::from(listeners[1].local_addr().unwrap());
        assert_eq!(
            taken.bind().await.unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
