//! The client certificates of open connections, verified again when the authorities change or one of the certificates
//! expires: a handshake proves only that they were valid at its time.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use dateline_access::{CertificateName, ClientCertificate, Denied};
use rustls::{
    CertificateError,
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};
use webpki::EndEntityCert;
use x509_parser::parse_x509_certificate;

/// The certificate chains of open connections.
#[derive(Debug, Default)]
pub(super) struct OpenChains(Mutex<Vec<Chain>>);

#[derive(Debug)]
struct Chain {
    state: Weak<ClientCertificate>,
    /// The client's own certificate first.
    certificates: Vec<CertificateDer<'static>>,
    /// Time of the next expiry in the chain, in seconds of Unix time.
    verify_at: u64,
}

impl OpenChains {
    /// Adds the verified chain of a handshake.
    pub(super) fn add(&self, chain: &[CertificateDer<'_>]) -> Arc<ClientCertificate> {
        let names = chain.first().and_then(names);
        let certificate = Arc::new(ClientCertificate::new(names.unwrap_or_default()));
        let chain = Chain {
            state: Arc::downgrade(&certificate),
            certificates: chain.iter().map(|it| it.clone().into_owned()).collect(),
            // Verified once more at the next check: the authorities may have changed during the handshake.
            verify_at: 0,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(chain);
        certificate
    }

    /// Verifies again the chains with an expired certificate, or `all`, and ends those that are not valid any more.
    pub(super) fn verify(&self, verifier: &dyn ClientCertVerifier, all: bool) {
        let now = UnixTime::now();
        let mut chains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chains.retain_mut(|it| {
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

/// Returns the first expiry that is not past. A chain may hold expired certificates that are not needed.
fn next_expiry(chain: &[CertificateDer<'_>], now: UnixTime) -> Option<u64> {
    let ends = chain.iter().map(|certificate| {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        u64::try_from(certificate.validity().not_after.timestamp()).ok()
    });
    let ends: Vec<u64> = ends.collect::<Option<_>>()?;
    let later = ends.into_iter().filter(|end| *end >= now.as_secs());
    Some(later.min().unwrap_or(u64::MAX))
}

/// Returns URIs first, then DNS names; the common name is never used.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<CertificateName>> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let uris = certificate.valid_uri_names().map(CertificateName::uri);
    let names = certificate.valid_dns_names().map(CertificateName::dns);
    Some(uris.chain(names).collect())
}
