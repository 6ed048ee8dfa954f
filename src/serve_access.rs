//! Who is let in by `dateline serve`: flags and `DATELINE_*` variables.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use dateline_access::{Algorithm, JwtSettings, Quotas, Settings};

/// Who is let in.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// Ask every caller for credentials. Implied by TLS, by an address that others can reach, and by any setting below
    #[arg(long, env = "DATELINE_REQUIRE_CREDENTIALS")]
    require_credentials: bool,
    /// Let everybody who can connect do everything, without credentials, even from other machines
    #[arg(
        long,
        env = "DATELINE_OPEN_TO_EVERYBODY",
        conflicts_with = "require_credentials"
    )]
    open_to_everybody: bool,
    /// File for the token of the first admin, made if there is none yet
    #[arg(long, env = "DATELINE_FIRST_TOKEN_FILE", value_name = "FILE")]
    pub(super) first_token_file: Option<PathBuf>,
    /// Take JWT of this issuer, `iss`; the keys of one that is an address are found by OIDC discovery
    #[arg(
        long,
        env = "DATELINE_JWT_ISSUER",
        value_name = "ISSUER|URL",
        requires = "jwt_audience"
    )]
    jwt_issuer: Option<String>,
    /// What JWT have to be meant for: `aud`
    #[arg(
        long,
        env = "DATELINE_JWT_AUDIENCE",
        value_name = "AUDIENCE",
        requires = "jwt_issuer"
    )]
    jwt_audience: Option<String>,
    /// The issuer's keys, a JWK set: a file, or an address that is asked every 5 minutes [default: by discovery]
    #[arg(
        long,
        env = "DATELINE_JWT_KEYS",
        value_name = "FILE|URL",
        requires = "jwt_issuer"
    )]
    jwt_keys: Option<String>,
    /// How the issuer signs; no other algorithm is taken
    #[arg(
        long,
        env = "DATELINE_JWT_ALGORITHM",
        value_enum,
        default_value = "RS256",
        value_name = "ALG"
    )]
    jwt_algorithm: AlgorithmArg,
    /// Claim with the roles; dots lead into objects, as in `realm_access.roles`
    #[arg(
        long,
        env = "DATELINE_JWT_ROLES_CLAIM",
        default_value = "dateline_roles",
        value_name = "CLAIM"
    )]
    jwt_roles_claim: String,
    /// Claim with the scope, a list of words such as kind:event
    #[arg(
        long,
        env = "DATELINE_JWT_SCOPE_CLAIM",
        default_value = "dateline_scope",
        value_name = "CLAIM"
    )]
    jwt_scope_claim: String,
    /// YAML file that gives roles to the names in client certificates
    #[arg(long, env = "DATELINE_CLIENT_ROLES", value_name = "FILE")]
    client_roles: Option<PathBuf>,
    /// Tell the schema to whoever may call; on a loopback address it is told unless this is false
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
    /// Who is let in, on an address that is loopback or not, with TLS or without.
    ///
    /// # Errors
    /// When settings contradict each other.
    pub(super) fn settings(
        &self,
        quotas: Quotas,
        is_loopback: bool,
        has_tls: bool,
    ) -> Result<Settings> {
        let jwt = self.jwt();
        jwt.as_ref().map_or(Ok(()), JwtSettings::check)?;
        let is_configured =
            jwt.is_some() || self.client_roles.is_some() || self.first_token_file.is_some();
        if self.open_to_everybody && is_configured {
            bail!(
                "--open-to-everybody asks nobody for credentials; leave it out, or the settings of credentials"
            );
        }
        if self.client_roles.is_some() && !has_tls {
            bail!(
                "--client-roles gives roles to client certificates, which only come with TLS; set --tls-cert, --tls-key and --client-ca"
            );
        }
        let required = self.require_credentials || is_configured || has_tls || !is_loopback;
        if self.open_to_everybody && !is_loopback {
            tracing::warn!(
                "--open-to-everybody: whoever can connect may read, change, publish and erase everything"
            );
        }
        Ok(Settings {
            required: required && !self.open_to_everybody,
            jwt,
            client_roles: self.client_roles.clone(),
            quotas,
        })
    }

    /// Whether the schema is told.
    pub(super) fn tells_schema(&self, is_loopback: bool) -> bool {
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
