//! Access control of `dateline serve`: flags and `DATELINE_*` variables.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use dateline_access::{Algorithm, JwtSettings, Quotas, Settings};

/// Flags of authentication and authorization.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// Require credentials on every call. Implied by TLS, by an address that other machines can reach, and by each flag
    /// of credentials below
    #[arg(long, env = "DATELINE_REQUIRE_CREDENTIALS")]
    require_credentials: bool,
    /// Allow every call without credentials, even from other machines
    #[arg(
        long,
        env = "DATELINE_ALLOW_ANONYMOUS",
        conflicts_with = "require_credentials"
    )]
    allow_anonymous: bool,
    /// Write an admin token to this file at the start if no admin token is valid
    #[arg(long, env = "DATELINE_BOOTSTRAP_TOKEN_FILE", value_name = "FILE")]
    pub bootstrap_token_file: Option<PathBuf>,
    /// Accept JWTs of this issuer (`iss`). If it is a URL, its keys are found by OIDC discovery
    #[arg(
        long,
        env = "DATELINE_JWT_ISSUER",
        value_name = "ISSUER|URL",
        requires = "jwt_audience"
    )]
    jwt_issuer: Option<String>,
    /// Required audience of JWTs (`aud`)
    #[arg(
        long,
        env = "DATELINE_JWT_AUDIENCE",
        value_name = "AUDIENCE",
        requires = "jwt_issuer"
    )]
    jwt_audience: Option<String>,
    /// JWK set of the issuer: a file, or a URL that is read every 5 minutes [default: by OIDC discovery]
    #[arg(
        long,
        env = "DATELINE_JWT_KEYS",
        value_name = "FILE|URL",
        requires = "jwt_issuer"
    )]
    jwt_keys: Option<String>,
    /// Signature algorithm of JWTs; others are rejected
    #[arg(
        long,
        env = "DATELINE_JWT_ALGORITHM",
        value_enum,
        default_value = "RS256",
        value_name = "ALG"
    )]
    jwt_algorithm: AlgorithmArg,
    /// Claim with the roles; dots separate a path into objects, as in `realm_access.roles`
    #[arg(
        long,
        env = "DATELINE_JWT_ROLES_CLAIM",
        default_value = "dateline_roles",
        value_name = "CLAIM"
    )]
    jwt_roles_claim: String,
    /// Claim with the scope, a list of entries such as kind:event
    #[arg(
        long,
        env = "DATELINE_JWT_SCOPE_CLAIM",
        default_value = "dateline_scope",
        value_name = "CLAIM"
    )]
    jwt_scope_claim: String,
    /// YAML file that maps names in client certificates to roles
    #[arg(long, env = "DATELINE_CLIENT_ROLES", value_name = "FILE")]
    client_roles: Option<PathBuf>,
    /// Serve gRPC reflection [default: true on a loopback address, false elsewhere]
    #[arg(long, env = "DATELINE_REFLECTION", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    reflection: Option<bool>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "verbatim")]
enum AlgorithmArg {
    RS256,
    PS256,
    ES256,
    ES384,
    #[value(name = "EdDSA")]
    EdDsa,
}

impl AlgorithmArg {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::Rs256,
            Self::PS256 => Algorithm::Ps256,
            Self::ES256 => Algorithm::Es256,
            Self::ES384 => Algorithm::Es384,
            Self::EdDsa => Algorithm::EdDsa,
        }
    }
}

impl AccessArgs {
    /// Returns the settings of access control for this listener.
    ///
    /// # Errors
    /// If settings contradict each other.
    pub fn settings(&self, quotas: Quotas, is_loopback: bool, has_tls: bool) -> Result<Settings> {
        let jwt = self.jwt();
        jwt.as_ref().map_or(Ok(()), JwtSettings::check)?;
        let is_configured =
            jwt.is_some() || self.client_roles.is_some() || self.bootstrap_token_file.is_some();
        if self.allow_anonymous && is_configured {
            bail!(
                "--allow-anonymous asks nobody for credentials; remove it, or remove the flags of credentials"
            );
        }
        if self.client_roles.is_some() && !has_tls {
            bail!(
                "--client-roles gives roles to client certificates, which only come with TLS; set --tls-cert, --tls-key and --client-ca"
            );
        }
        let required = self.require_credentials || is_configured || has_tls || !is_loopback;
        if self.allow_anonymous && !is_loopback {
            tracing::warn!(
                "--allow-anonymous: whoever can connect may read, change, publish and erase everything"
            );
        }
        Ok(Settings {
            required: required && !self.allow_anonymous,
            jwt,
            client_roles: self.client_roles.clone(),
            quotas,
        })
    }

    /// Returns true if gRPC reflection is served.
    pub fn has_reflection(&self, is_loopback: bool) -> bool {
        self.reflection.unwrap_or(is_loopback)
    }

    fn jwt(&self) -> Option<JwtSettings> {
        let (issuer, audience) = self
            .jwt_issuer
            .as_deref()
            .zip(self.jwt_audience.as_deref())?;
        Some(JwtSettings {
            keys: self.jwt_keys.clone(),
            algorithm: self.jwt_algorithm.algorithm(),
            roles_claim: self.jwt_roles_claim.clone(),
            scope_claim: self.jwt_scope_claim.clone(),
            ..JwtSettings::new(issuer, audience)
        })
    }
}
