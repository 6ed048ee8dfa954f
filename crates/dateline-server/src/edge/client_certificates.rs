//! The client certificates of open connections, verified again when an authority is taken away or one of their
//! certificates expires: a handshake says what held when it was made.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use dateline_access::{CertificateName, ClientCertificate, Denied};
use rustls::{
    CertificateError,
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};
use webpki::EndEntityCert;
use x509_parser::parse_x509_certificate;

/// The certificates that open connections have shown.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Vec<Chain>>);

#[derive(Debug)]
struct Chain {
    state: Weak<ClientCertificate>,
    /// The client's own first.
    certificates: Vec<CertificateDer<'static>>,
    /// Seconds of Unix time when one of them expires, the next time.
    verify_at: u64,
}

impl Shown {
    /// Adds the chain of a handshake that was verified.
    pub(super) fn add(&self, chain: &[CertificateDer<'_>]) -> Arc<ClientCertificate> {
        let names = chain.first().and_then(names);
        let certificate = Arc::new(ClientCertificate::new(names.unwrap_or_default()));
        let shown = Chain {
            state: Arc::downgrade(&certificate),
            certificates: chain.iter().map(|it| it.clone().into_owned()).collect(),
            // Once more at the next look, for the authorities may have changed during the handshake.
            verify_at: 0,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(shown);
        certificate
    }

    /// Verifies those again of which a certificate has expired, or `all`, and ends those that do not hold.
    pub(super) fn verify(&self, verifier: &dyn ClientCertVerifier, all: bool) {
        let now = UnixTime::now();
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain_mut(|it| {
            let Some(certificate) = it.state.upgrade() else {
                return false;
            };
            if !all && now.as_secs() <= it.verify_at {
                return true;
            }
            match it.verify(verifier, now) {
                Ok(()) => true,
                Err(why) => {
                    let names = certificate.names();
                    tracing::info!(?names, "a client certificate does not hold any more: {why}");
                    certificate.end(why);
                    false
                }
            }
        });
    }
}

impl Chain {
    fn verify(&mut self, verifier: &dyn ClientCertVerifier, now: UnixTime) -> Result<(), Denied> {
        let (own, others) = self.certificates.split_first().ok_or(Denied::Invalid)?;
        verifier
            .verify_client_cert(own, others, now)
            .map_err(|error| match error {
                rustls::Error::InvalidCertificate(
                    CertificateError::Expired | CertificateError::ExpiredContext { .. },
                ) => Denied::Expired,
                _ => Denied::Revoked,
            })?;
        self.verify_at = next_expiry(&self.certificates, now).ok_or(Denied::Invalid)?;
        Ok(())
    }
}

/// The first end of a certificate that has not expired yet. A chain may hold some that are not needed.
fn next_expiry(chain: &[CertificateDer<'_>], now: UnixTime) -> Option<u64> {
    let ends = chain.iter().map(|certificate| {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        u64::try_from(certificate.validity().not_after.timestamp()).ok()
    });
    let ends: Vec<u64> = ends.collect::<Option<_>>()?;
    let later = ends.into_iter().filter(|end| *end >= now.as_secs());
    Some(later.min().unwrap_or(u64::MAX))
}

/// URIs first, then DNS names, never the common name.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<CertificateName>> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let uris = certificate.valid_uri_names().map(CertificateName::uri);
    let names = certificate.valid_dns_names().map(CertificateName::dns);
    Some(uris.chain(names).collect())
}
