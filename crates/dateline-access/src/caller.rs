//! The authenticated caller of a request, and the checks of what it is allowed to do.

use std::{net::SocketAddr, sync::Arc};

use dateline_engine::request::Attribution;
use dateline_proto::v1::{self, write};
use dateline_record::name::Name;
use dateline_store::FeedView;

use super::{
    certificates::ClientCertificate,
    claims::ClaimError,
    permission::{Permission, required_permission},
    sessions::Session,
    visibility::Visibility,
};

/// Reason why a caller is refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Denied {
    /// The request carries no credentials.
    #[error(
        "this server wants to know who calls: send `authorization: Bearer TOKEN` (on the command line, --token-file FILE)"
    )]
    Missing,
    /// Unknown or malformed credentials, or an untrusted issuer. The client does not learn which.
    #[error("these credentials are not valid here")]
    Invalid,
    /// The issuer signed the JWT, but a claim is wrong.
    #[error("this JWT is not valid here: {0}")]
    Claim(ClaimError),
    /// The credentials were revoked.
    #[error("these credentials were revoked; ask for others")]
    Revoked,
    /// The credentials have expired.
    #[error("these credentials have expired; ask for new ones")]
    Expired,
    /// The credentials changed while a stream was open.
    #[error("what these credentials allow has changed; open the stream again")]
    Changed,
    /// No role of the caller has this permission.
    #[error("this needs the role {}, which these credentials do not have", .0.least_role())]
    Role(Permission),
    /// The request reaches outside the scope of the credentials.
    #[error("these credentials are narrowed by a scope: {0}")]
    Scope(&'static str),
    /// Too many unknown credentials come from one address.
    #[error("too many credentials from this address that are not known here; try again later")]
    TooManyAttempts,
    /// It cannot be looked up.
    #[error("credentials cannot be looked up")]
    Store(Arc<dateline_store::Error>),
}

/// The caller of a request. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    session: Arc<Session>,
    /// The certificate of the connection, also if other credentials identify the caller.
    certificate: Option<Arc<ClientCertificate>>,
    peer: Option<SocketAddr>,
    method: &'static str,
}

impl Caller {
    pub(super) fn new(
        session: Arc<Session>,
        certificate: Option<Arc<ClientCertificate>>,
        peer: Option<SocketAddr>,
        method: &'static str,
    ) -> Self {
        Self {
            session,
            certificate,
            peer,
            method,
        }
    }

    /// The session of the caller's credentials.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// True if one of the roles has the permission.
    #[must_use]
    pub fn has_permission(&self, permission: Permission) -> bool {
        self.session.has_permission(permission)
    }

    /// Checks that one of the roles has the permission.
    ///
    /// # Errors
    /// If none of the roles allows it.
    pub fn require(&self, permission: Permission) -> Result<(), Denied> {
        if self.has_permission(permission) {
            Ok(())
        } else {
            Err(Denied::Role(permission))
        }
    }

    /// Checks that one of the roles has one of these permissions, as listed in the table of methods.
    ///
    /// # Errors
    /// If none of the roles allows any.
    pub fn require_any(&self, needed: &[Permission]) -> Result<(), Denied> {
        match needed.first() {
            Some(_)
                if needed
                    .iter()
                    .any(|permission| self.has_permission(*permission)) =>
            {
                Ok(())
            }
            Some(first) => Err(Denied::Role(*first)),
            None => Err(Denied::Invalid),
        }
    }

    /// Returns the part of a view that the caller may read. No other code decides this (F10).
    ///
    /// # Errors
    /// If the caller may not read that view.
    pub fn visibility(&self, view: v1::View) -> Result<Visibility, Denied> {
        let view = match view {
            v1::View::Unspecified | v1::View::Published => FeedView::Wire,
            v1::View::Desk => FeedView::Desk,
        };
        self.require(match view {
            FeedView::Wire => Permission::Read,
            FeedView::Desk => Permission::ReadDesk,
        })?;
        Ok(Visibility::new(view, self.session.scope().clone()))
    }

    /// Checks that the caller may make these writes.
    ///
    /// # Errors
    /// If a role is missing for one of them, or one reaches outside the scope.
    pub fn require_writes(&self, commit: &v1::CommitRequest) -> Result<(), Denied> {
        let actions = || {
            commit
                .writes
                .iter()
                .filter_map(|write| write.action.as_ref())
        };
        for action in actions() {
            self.require(required_permission(action))?;
        }
        if self.session.scope().is_unrestricted() {
            return Ok(());
        }
        if actions().any(is_cascade) {
            return Err(Denied::Scope("a cascade reaches records of other kinds"));
        }
        let written = actions().filter_map(record_name);
        let looked_at = commit.preconditions.iter().map(|it| it.name.as_str());
        let names = written.chain(looked_at).filter_map(Name::parse);
        for name in names {
            if !self.session.scope().allows_kind(name.kind()) {
                return Err(Denied::Scope("this kind of record is not in it"));
            }
        }
        Ok(())
    }

    /// The identity for the log and the audit.
    #[must_use]
    pub fn attribution(&self) -> Attribution {
        Attribution {
            author: self.session.identity().to_owned(),
            credential: self.session.credential().to_owned(),
            peer: self.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            method: self.method.to_owned(),
        }
    }

    /// Waits until the caller's permissions end or change. Nothing may be sent to the caller after that.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let session = self.session.ended();
        let certificate = self.certificate.as_ref().map(|it| it.ended());
        async move {
            match certificate {
                Some(certificate) => tokio::select! {
                    () = session => {}
                    () = certificate => {}
                },
                None => session.await,
            }
        }
    }

    /// The reason why they ended.
    #[must_use]
    pub fn end_reason(&self) -> Denied {
        let of_connection = self.certificate.as_ref().and_then(|it| it.end_reason());
        of_connection.unwrap_or_else(|| self.session.end_reason())
    }
}

fn is_cascade(action: &write::Action) -> bool {
    match action {
        write::Action::Retract(retract) => retract.cascade,
        write::Action::Purge(purge) => purge.cascade,
        _ => false,
    }
}

fn record_name(action: &write::Action) -> Option<&str> {
    use write::Action;
    let record = match action {
        Action::Create(create) => &create.record,
        Action::Update(update) => &update.record,
        Action::Correct(correct) => &correct.record,
        Action::Delete(version) => return Some(&version.name),
        Action::Publish(it) => return version_name(it.record.as_ref()),
        Action::Submit(it) => return version_name(it.record.as_ref()),
        Action::SendBack(it) => return version_name(it.record.as_ref()),
        Action::Retract(it) => return version_name(it.record.as_ref()),
        Action::Merge(it) => return version_name(it.record.as_ref()),
        Action::Unmerge(it) => return version_name(it.record.as_ref()),
        Action::Restore(it) => return version_name(it.record.as_ref()),
        Action::Purge(it) => return version_name(it.record.as_ref()),
    };
    Some(record.as_ref()?.kind.as_ref()?.name())
}

fn version_name(version: Option<&v1::RecordVersion>) -> Option<&str> {
    version.map(|version| version.name.as_str())
}
