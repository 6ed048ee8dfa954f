//! Certificates for tests, generated at run time.

use std::path::{Path, PathBuf};

use dateline_client::Connection;
use dateline_server::transport::TlsFiles;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};
use time::OffsetDateTime;

/// An authority that signs any certificate.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate with its key, both in PEM.
pub struct IssuedCert {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("authority {}", uuid::Uuid::now_v7());
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn sign(&self, mut params: CertificateParams, names: Vec<SanType>) -> IssuedCert {
        let key = KeyPair::generate().unwrap();
        params.subject_alt_names = names;
        IssuedCert {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Signs a certificate for a server on this machine.
    pub fn server(&self) -> IssuedCert {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let params = CertificateParams::new(names).unwrap();
        let names = params.subject_alt_names.clone();
        self.sign(params, names)
    }

    /// Signs one for a client; its common name must not be used as its identity.
    pub fn client(&self, uri: &str, dns: &str) -> IssuedCert {
        self.client_until(uri, dns, 2999)
    }

    /// Signs one for a client that expires in this year.
    pub fn client_until(&self, uri: &str, dns: &str, year: i32) -> IssuedCert {
        self.client_for(uri, dns, date_time_ymd(year, 1, 1))
    }

    /// Signs one with a URI that expires at a time.
    pub fn client_until_time(&self, uri: &str, end: OffsetDateTime) -> IssuedCert {
        self.client_for(uri, "unused.example", end)
    }

    fn client_for(&self, uri: &str, dns: &str, end: OffsetDateTime) -> IssuedCert {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "common.example");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = end;
        let dns = SanType::DnsName(dns.try_into().unwrap());
        let uri = SanType::URI(uri.try_into().unwrap());
        self.sign(params, vec![dns, uri])
    }
}

/// Files of a test.
pub struct CertDir(pub PathBuf);

impl CertDir {
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Files of a server without client certificates.
    pub fn server(&self, authority: &Authority) -> TlsFiles {
        let paper = authority.server();
        TlsFiles {
            certificate: self.write("server.pem", &paper.certificate),
            key: self.write("server.key", &paper.key),
            client_authorities: None,
            client_optional: false,
            also_1_2: false,
        }
    }

    /// TLS settings of a client that trusts an authority, with or without a certificate.
    pub fn client(
        &self,
        address: &str,
        authority: &Authority,
        paper: Option<&IssuedCert>,
    ) -> Connection {
        let unique = uuid::Uuid::now_v7();
        let write = |what: &str, text: &str| self.write(&format!("{unique}.{what}"), text);
        Connection {
            server: format!("https://{address}"),
            ca: Some(write("ca", &authority.pem)),
            client_cert: paper.map(|paper| write("pem", &paper.certificate)),
            client_key: paper.map(|paper| write("key", &paper.key)),
            ..Connection::default()
        }
    }
}

/// The path as an argument of a command.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
