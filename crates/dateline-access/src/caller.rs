//! Who makes a call, and whether they may.

use std::{net::SocketAddr, sync::Arc};

use dateline_engine::request::By;
use dateline_proto::v1::{self, write};
use dateline_record::name::Name;
use dateline_store::View;

use super::{
    certificates::ClientCertificate,
    claims::Fault,
    permission::{Permission, needed_for},
    sessions::Session,
    sight::Sight,
};

/// Why somebody may not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Denied {
    /// Nobody said who calls.
    #[error(
        "this server wants to know who calls: send `authorization: Bearer TOKEN` (on the command line, --token-file FILE)"
    )]
    Missing,
    /// Not one that is known, or not well-formed, or by an issuer that is not trusted. It is not told which.
    #[error("these credentials are not valid here")]
    Invalid,
    /// A JWT that the issuer signed, and that says something else than it has to.
    #[error("this JWT is not valid here: {0}")]
    Claim(Fault),
    /// It was good once.
    #[error("these credentials were revoked; ask for others")]
    Revoked,
    /// It was good until now.
    #[error("these credentials have expired; ask for new ones")]
    Expired,
    /// While a stream was open.
    #[error("what these credentials allow has changed; open the stream again")]
    Changed,
    /// No role that allows it.
    #[error("this needs the role {}, which these credentials do not have", .0.least_role())]
    Role(Permission),
    /// Outside of what the credentials are narrowed to.
    #[error("these credentials are narrowed by a scope: {0}")]
    Scope(&'static str),
    /// Too many unknown credentials come from one address.
    #[error("too many credentials from this address that are not known here; try again later")]
    TooManyAttempts,
    /// It cannot be looked up.
    #[error("credentials cannot be looked up")]
    Store(Arc<dateline_store::Error>),
}

/// Who makes a call. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    session: Arc<Session>,
    /// The one of the connection, whatever the caller is known by.
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

    /// What goes by the same credentials, together.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Whether one of the roles allows it.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.session.may(permission)
    }

    /// Whether it is allowed.
    ///
    /// # Errors
    /// If none of the roles allows it.
    pub fn require(&self, permission: Permission) -> Result<(), Denied> {
        if self.may(permission) {
            Ok(())
        } else {
            Err(Denied::Role(permission))
        }
    }

    /// Whether one of these is allowed, as the table of methods says.
    ///
    /// # Errors
    /// If none of the roles allows any.
    pub fn require_one(&self, needed: &[Permission]) -> Result<(), Denied> {
        match needed.first() {
            Some(_) if needed.iter().any(|permission| self.may(*permission)) => Ok(()),
            Some(first) => Err(Denied::Role(*first)),
            None => Err(Denied::Invalid),
        }
    }

    /// What the caller sees of a view. The one place where that is decided (F10).
    ///
    /// # Errors
    /// If the caller may not see that view.
    pub fn sight(&self, view: v1::View) -> Result<Sight, Denied> {
        let view = match view {
            v1::View::Unspecified | v1::View::Published => View::Published,
            v1::View::Desk => View::Desk,
        };
        self.require(match view {
            View::Published => Permission::Read,
            View::Desk => Permission::ReadDesk,
        })?;
        Ok(Sight::new(view, self.session.scope().clone()))
    }

    /// Whether the caller may make these writes.
    ///
    /// # Errors
    /// If a role is missing for one of them, or one reaches beyond the scope.
    pub fn require_writes(&self, commit: &v1::CommitRequest) -> Result<(), Denied> {
        let actions = || {
            commit
                .writes
                .iter()
                .filter_map(|write| write.action.as_ref())
        };
        for action in actions() {
            self.require(needed_for(action))?;
        }
        if self.session.scope().is_everything() {
            return Ok(());
        }
        if actions().any(is_cascade) {
            return Err(Denied::Scope("a cascade reaches records of other kinds"));
        }
        let written = actions().filter_map(name_of);
        let looked_at = commit.preconditions.iter().map(|it| it.name.as_str());
        let names = written.chain(looked_at).filter_map(Name::parse);
        for name in names {
            if !self.session.scope().has_kind(name.kind()) {
                return Err(Denied::Scope("this kind of record is not in it"));
            }
        }
        Ok(())
    }

    /// Whom the log and the audit name.
    #[must_use]
    pub fn by(&self) -> By {
        By {
            author: self.session.identity().to_owned(),
            credential: self.session.credential().to_owned(),
            peer: self.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            method: self.method.to_owned(),
        }
    }

    /// Waits until what the caller may do has changed, for whom nothing may be sent any more.
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

    /// Why that is.
    #[must_use]
    pub fn why_ended(&self) -> Denied {
        let of_connection = self.certificate.as_ref().and_then(|it| it.end_reason());
        of_connection.unwrap_or_else(|| self.session.why_ended())
    }
}

fn is_cascade(action: &write::Action) -> bool {
    match action {
        write::Action::Retract(retract) => retract.cascade,
        write::Action::Purge(purge) => purge.cascade,
        _ => false,
    }
}

fn name_of(action: &write::Action) -> Option<&str> {
    use write::Action;
    let record = match action {
        Action::Create(create) => &create.record,
        Action::Update(update) => &update.record,
        Action::Correct(correct) => &correct.record,
        Action::Delete(version) => return Some(&version.name),
        Action::Publish(it) => return name_in(it.record.as_ref()),
        Action::Submit(it) => return name_in(it.record.as_ref()),
        Action::SendBack(it) => return name_in(it.record.as_ref()),
        Action::Retract(it) => return name_in(it.record.as_ref()),
        Action::Merge(it) => return name_in(it.record.as_ref()),
        Action::Unmerge(it) => return name_in(it.record.as_ref()),
        Action::Restore(it) => return name_in(it.record.as_ref()),
        Action::Purge(it) => return name_in(it.record.as_ref()),
    };
    Some(record.as_ref()?.kind.as_ref()?.name())
}

fn name_in(version: Option<&v1::RecordVersion>) -> Option<&str> {
    version.map(|version| version.name.as_str())
}
