//! Who may do what: tokens, JWT, certificates, roles, scopes; what ends with them; what is written down of it.

mod audit;
pub mod callers;
mod calls;
mod commands;
mod defaults;
mod embargo;
mod endings;
mod endings_certificates;
mod expected;
mod held;
mod issuer;
mod jwt;
mod jwt_claims;
mod matrix;
mod revocation;
mod scopes;
mod stage;
mod streams;
mod tokens;
