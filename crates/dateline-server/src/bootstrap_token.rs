//! The bootstrap token: the first admin token, without which nobody could create tokens.

use std::{io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result, anyhow};
use dateline_access::{Role, new_token};
use dateline_engine::request::Attribution;
use dateline_store::{Store, StoredToken};
use secrecy::ExposeSecret;
use time::{Duration, OffsetDateTime};

/// Lifetime of the token: long enough to create others with it.
const LIFETIME: Duration = Duration::days(30);

/// Creates an admin token and writes it to a file that only its owner can read, unless there is an admin already.
///
/// # Errors
/// If the file or the token cannot be created.
pub async fn ensure_admin_token(store: &Store, path: &Path) -> Result<()> {
    let new = new_token().ok_or_else(|| anyhow!("the system has no randomness"))?;
    let now = OffsetDateTime::now_utc();
    let by = Attribution {
        author: "first-start".to_owned(),
        credential: "none".to_owned(),
        peer: String::new(),
        method: "FirstToken".to_owned(),
    };
    let token = StoredToken {
        id: new.id,
        secret_sha256: new.hash.to_vec(),
        name: "first-admin".to_owned(),
        roles: vec![Role::Admin.as_str().to_owned()],
        scope: Vec::new(),
        created_at: now,
        created_by: by.author.clone(),
        expires_at: now + LIFETIME,
        revoked_at: None,
        last_used_at: None,
    };
    // The file is written first: a token that nobody can read would lock everybody out.
    let beside = path.with_extension("new");
    write(&beside, new.secret.expose_secret())
        .with_context(|| format!("cannot write the first token to {}", beside.display()))?;
    let created = store.create_first_admin(&token, &by).await;
    match created {
        Ok(true) => {
            std::fs::rename(&beside, path)
                .with_context(|| format!("cannot write the first token to {}", path.display()))?;
            tracing::warn!(
                id = token.id,
                "there was no admin; a token for one, for 30 days, is in a file: {}",
                show_command(path)
            );
        }
        other => {
            let _ = std::fs::remove_file(&beside);
            other?;
            if path.exists() {
                tracing::info!("the token of the first admin: {}", show_command(path));
            }
        }
    }
    Ok(())
}

/// Returns the command that prints the token.
fn show_command(path: &Path) -> String {
    let show = format!("cat {}", path.display());
    let is_container =
        Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists();
    if is_container {
        format!("{show} (with Docker Compose: docker compose exec dateline {show})")
    } else {
        show
    }
}

fn write(path: &Path, secret: &str) -> std::io::Result<()> {
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}
