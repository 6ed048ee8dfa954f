//! Databases from before the baseline: eleven migrations were squashed into `0001_schema.sql` before the first
//! release.

use sqlx::{
    Connection, PgConnection,
    migrate::{AppliedMigration, Migrate, Migration, Migrator},
};

use super::super::Error;

/// The table in which `sqlx` records applied migrations.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// The version of the baseline.
const BASELINE: i64 = 1;

/// The squashed migrations: version, and the SHA-384 of the file. The files are in `tests/data/before_squash`.
const SQUASHED: [(i64, &str); 11] = [
    (
        1,
        "f65e0e61234677726e0b586442ab1d94b6a08709bc078d17db4a0cd570d9da65bb348ea59b2d310391b6fca2d372f584",
    ),
    (
        2,
        "1f9e3d5c073489c15e772d67d6978023c87091aa25c757407e28a95512a66bc32f7eb94a75e8afa069cbb393b62d64a8",
    ),
    (
        3,
        "b8a026a81cfd6cecb800febf46ceff56102bcc638f060bfea723c16160e5c10983991f55ee22221a40eb1dbbc0ad4b8d",
    ),
    (
        4,
        "aed03431b77456dd931875aa19f66ecae78a8cc7122a342531ea7ffa02223093df70fd203b946c44f6cbd1a1f7946f59",
    ),
    (
        5,
        "d8854ca6e45d1377afbc17cef8a5c98fd7e41cce102b9f02fa344f5403a5774aecace0ddbe0155fd719edf6c0c3de8f0",
    ),
    (
        6,
        "409f53f7cce1185c4b5ac127a81a72c9163a20858e216a7fab019d9dc7e68b14a8c537ca1301cfdc8d8ab81fa9135cf1",
    ),
    (
        7,
        "2587422c4bbe7550d992b3f9d0765160a3881a1d7c65866564821407f1f2d760bcf8c630676cb9ce4f1382d33a1c033a",
    ),
    (
        8,
        "20d3ab577fd226f2a33be11ec33d77d882674990e1c479a87df42da54e918261b0af8ddf0d6129e74b6e9417632e3d57",
    ),
    (
        10,
        "306e8fc31bfbb1e7ff210b8ea2696fd194082db35384ce3938e027581de1fbaceb9896634d95631b69954d80463071a4",
    ),
    (
        11,
        "bd1d28cbc634553c71af1b45d7bdf340f572f75acf8f8da62b0732ef83381e187d9e4fe5036a26b912953948228cf079",
    ),
    (
        13,
        "61f972a48ffa9658209df51bd357e547eb5735451f307084dc3c4c549f0d976ac7628714dcead17bfe16564766e799ae",
    ),
];

/// Records the baseline as applied in a database that has all of the squashed migrations: its tables are the same. A
/// database that has only some of them is refused. The caller holds the lock of the migrations.
pub(super) async fn adopt(
    connection: &mut PgConnection,
    migrations: &Migrator,
) -> Result<(), Error> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(MIGRATIONS_TABLE)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(());
    }
    let applied = connection.list_applied_migrations(MIGRATIONS_TABLE).await;
    let applied = applied.map_err(Error::Schema)?;
    let squashed = applied.iter().filter(|it| is_squashed(it)).count();
    if squashed == 0 {
        return Ok(());
    }
    if squashed < SQUASHED.len() || squashed < applied.len() {
        return Err(Error::SchemaVersion(format!(
            "it was made by a version from before the first release, and has {squashed} of the {} migrations that were \
             squashed since; start the last such version, of commit 0039dbc, on it once, and then this one",
            SQUASHED.len()
        )));
    }
    let baseline = migrations.iter().find(|it| it.version == BASELINE);
    let baseline = baseline.ok_or_else(|| Error::Corrupt("the baseline is missing".to_owned()))?;
    replace_account(connection, baseline).await
}

fn is_squashed(applied: &AppliedMigration) -> bool {
    let checksum = hex::encode(&applied.checksum);
    SQUASHED.contains(&(applied.version, checksum.as_str()))
}

async fn replace_account(connection: &mut PgConnection, baseline: &Migration) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("DELETE FROM _sqlx_migrations")
        .execute(&mut *transaction)
        .await?;
    let adopted = transaction.skip(MIGRATIONS_TABLE, baseline).await;
    adopted.map_err(Error::Schema)?;
    transaction.commit().await?;
    tracing::info!("adopted a database from before the first release");
    Ok(())
}
