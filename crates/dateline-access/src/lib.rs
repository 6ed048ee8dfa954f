//! Authentication and authorization: API tokens, JWT of an issuer, client certificates; roles, scopes, and the one
//! table of what each method needs. Does not depend on gRPC status codes or SQL.

mod authenticator;
mod caller;
mod certificates;
mod claims;
mod file_version;
mod jwks;
mod jwt;
mod permission;
mod ring_provider;
mod scope;
mod sessions;
mod token;
mod visibility;

pub use self::{
    authenticator::{Authenticator, Settings},
    caller::{Caller, Denied},
    certificates::{CertificateName, ClientCertificate},
    claims::ClaimError,
    file_version::FileVersion,
    jwt::{Algorithm, JwtSettings},
    permission::{METHODS, Permission, Role, lookup_method, required_permission},
    scope::Scope,
    sessions::Quotas,
    token::{Secret, new_token},
    visibility::Visibility,
};
