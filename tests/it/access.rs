//! Who may do what: tokens, JWT, certificates, roles, scopes; what ends with them; what is written down of it.

mod audit;
pub mod callers;
mod calls;
mod commands;
mod defaults;
mod embargo;
mod expected;
mod jwt;
mod matrix;
mod revocation;
mod scopes;
mod stage;
mod streams;
mod tokens;
