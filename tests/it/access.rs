//! Authentication and authorisation: tokens, JWT, certificates, roles, scopes; the end of credentials; the audit log.

mod audit;
mod calls;
mod commands;
mod defaults;
mod embargo;
mod endings;
mod endings_certificates;
mod expected;
mod jwt;
mod jwt_claims;
mod matrix;
mod revocation;
mod scopes;
mod tokens;
