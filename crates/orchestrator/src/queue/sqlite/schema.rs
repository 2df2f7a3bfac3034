//! The tables and their versions. A store of an older format is brought forward in one transaction when it is
//! opened; a newer one is refused.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::open::OpenCause;

/// Marks a database file as ours: `gwkq`.
const APPLICATION_ID: i32 = 0x6777_6b71;

/// Step n takes a store from format n to format n + 1. Steps are only ever added.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("format_1.sql"), include_str!("format_2.sql")];

/// Refuses a file that is not ours, without writing to it.
pub(super) fn recognize(connection: &Connection) -> Result<(), OpenCause> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    match (tables, application) {
        (0, 0) => Ok(()),
        (_, APPLICATION_ID) => supported(version(connection)?, MIGRATIONS),
        _ => Err(OpenCause::Foreign),
    }
}

/// Brings the store to the format after the last of `migrations`.
pub(super) fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), OpenCause> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        create_meta(&transaction)?;
    }
    let found = version(&transaction)?;
    supported(found, migrations)?;
    let done = usize::try_from(found).map_err(|_| impossible(found))?;
    let steps = migrations.get(done..).unwrap_or_default();
    if steps.is_empty() {
        return Ok(());
    }
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.execute("UPDATE meta SET value = ?1 WHERE key = 'format_version'", [count(migrations)])?;
    transaction.commit()?;
    Ok(())
}

fn create_meta(transaction: &Transaction<'_>) -> Result<(), OpenCause> {
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
         INSERT INTO meta (key, value) VALUES ('format_version', 0);",
    )?;
    Ok(())
}

fn version(connection: &Connection) -> Result<i64, OpenCause> {
    let found = connection
        .query_row("SELECT value FROM meta WHERE key = 'format_version'", [], |row| row.get(0))
        .optional()
        .map_err(|error| match OpenCause::from(error) {
            OpenCause::Sqlite(error) => OpenCause::Corrupt { detail: error.to_string() },
            other => other,
        })?;
    found.ok_or_else(|| OpenCause::Corrupt { detail: "its format version is missing".to_owned() })
}

fn supported(found: i64, migrations: &[&str]) -> Result<(), OpenCause> {
    let supported = count(migrations);
    match found {
        ..0 => Err(impossible(found)),
        _ if found > supported => Err(OpenCause::Newer { found, supported }),
        _ => Ok(()),
    }
}

fn impossible(found: i64) -> OpenCause {
    OpenCause::Corrupt { detail: format!("its format version is {found}") }
}

fn count(migrations: &[&str]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}
