//! Authentication and authorization: API tokens, JWT of an issuer, client certificates; roles, scopes, and the one
//! table of what each method needs. Does not depend on gRPC status codes or SQL.

mod caller;
mod certificates;
mod claims;
mod gate;
mod jwks;
mod jwt;
mod permission;
mod ring_provider;
mod scope;
mod sessions;
mod sight;
mod stamp;
mod token;

pub use self::{
    caller::{Caller, Denied},
    certificates::{CertificateName, ClientCertificate},
    claims::Fault,
    gate::{Gate, Settings},
    jwt::{Algorithm, JwtSettings},
    permission::{METHODS, Permission, Role, method, needed_for},
    scope::Scope,
    sessions::Quotas,
    sight::Sight,
    stamp::Stamp,
    token::{Secret, new_token},
};
