//! The steps about data: schema, types, prepared statements, batches, pages, errors.

use futures::{StreamExt, TryStreamExt};
use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::unprepared::Statement;
use scylla::value::{CqlValue, Row};

use crate::values::text;
use crate::world::{Failure, World};
use crate::{KEYSPACE, check};

const ROWS: usize = 100_000;
const ROWS_A_PARTITION: usize = 1_000;
const ROWS_A_BATCH: usize = 100;
const PAGE: i32 = 4_999;

/// A schema that all nodes agree on, and that the driver knows.
pub async fn schema(world: &World, session: &Session) -> Result<(), Failure> {
    let columns: Vec<String> =
        world.values.values.iter().enumerate().map(|(index, value)| format!("v{index} {}", value.cql_type)).collect();
    let mut statements = vec![
        format!("DROP KEYSPACE IF EXISTS {KEYSPACE}"),
        format!("CREATE KEYSPACE {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}}"),
        format!("USE {KEYSPACE}"),
    ];
    statements.extend(world.values.types.iter().cloned());
    statements.push(format!("CREATE TABLE every_type (id int PRIMARY KEY, {})", columns.join(", ")));
    statements.push("CREATE TABLE altered (k int PRIMARY KEY, v int)".to_owned());
    statements.push("CREATE TABLE batched (p int, c int, v text, PRIMARY KEY (p, c))".to_owned());
    statements.push("CREATE TABLE paged (p int, c int, PRIMARY KEY (p, c))".to_owned());
    for statement in statements {
        if let Some(keyspace) = statement.strip_prefix("USE ") {
            session.use_keyspace(keyspace, false).await?;
            continue;
        }
        // The driver waits for agreement by itself after a change of the schema, and fails if there is none.
        session.query_unpaged(statement, ()).await?;
    }
    check!(session.check_schema_agreement().await?.is_some(), "the nodes have different schemas");
    session.refresh_metadata().await?;
    let state = session.get_cluster_state();
    let keyspace = state.get_keyspace(KEYSPACE).ok_or("the driver does not know the keyspace")?;
    let table = keyspace.tables.get("batched").ok_or("the driver does not know the table")?;
    check!(table.partition_key == ["p"] && table.clustering_key == ["c"], "another key: {table:?}");
    check!(keyspace.user_defined_types.contains_key("person"), "the driver does not know the type");
    Ok(())
}

/// Every value goes in as a literal, comes out, goes in as the driver's own value, and comes out the same.
pub async fn types(world: &World, session: &Session) -> Result<(), Failure> {
    let values = &world.values.values;
    let names: Vec<String> = (0..values.len()).map(|index| format!("v{index}")).collect();
    let literals: Vec<&str> = values.iter().map(|value| value.literal.as_str()).collect();
    let names = names.join(", ");
    session
        .query_unpaged(format!("INSERT INTO every_type (id, {names}) VALUES (1, {})", literals.join(", ")), ())
        .await?;
    let select = session.prepare(format!("SELECT {names} FROM every_type WHERE id = ?")).await?;
    let markers = vec!["?"; values.len() + 1].join(", ");
    let insert = session.prepare(format!("INSERT INTO every_type (id, {names}) VALUES ({markers})")).await?;
    for id in [1, 2] {
        let row = session.execute_unpaged(&select, (id,)).await?.into_rows_result()?.single_row::<Row>()?;
        for (found, wanted) in row.columns.iter().zip(values) {
            let found = text(found.as_ref());
            check!(
                found == wanted.text,
                "row {id}: {} {} came as {found}, not {}",
                wanted.cql_type,
                wanted.literal,
                wanted.text
            );
        }
        if id == 1 {
            let mut bound = vec![Some(CqlValue::Int(2))];
            bound.extend(row.columns);
            session.execute_unpaged(&insert, bound).await?;
        }
    }
    Ok(())
}

/// A prepared statement outlives a new column, and sees it.
pub async fn prepared(session: &Session) -> Result<(), Failure> {
    let insert = session.prepare("INSERT INTO altered (k, v) VALUES (?, ?)").await?;
    let select = session.prepare("SELECT * FROM altered WHERE k = ?").await?;
    session.execute_unpaged(&insert, (1, 2)).await?;
    let row = session.execute_unpaged(&select, (1,)).await?.into_rows_result()?.single_row::<(i32, i32)>()?;
    check!(row == (1, 2), "before: {row:?}");
    session.query_unpaged("ALTER TABLE altered ADD w text", ()).await?;
    session.query_unpaged("UPDATE altered SET w = 'new' WHERE k = 1", ()).await?;
    session.execute_unpaged(&insert, (2, 3)).await?;
    for _ in 0..6 {
        let row =
            session.execute_unpaged(&select, (1,)).await?.into_rows_result()?.single_row::<(i32, i32, String)>()?;
        check!(row == (1, 2, "new".to_owned()), "after: {row:?}");
    }
    let row =
        session.execute_unpaged(&select, (2,)).await?.into_rows_result()?.single_row::<(i32, i32, Option<String>)>()?;
    check!(row == (2, 3, None), "the other row: {row:?}");
    Ok(())
}

/// Unlogged batches of prepared and plain statements, over several partitions, with a timestamp.
pub async fn batches(session: &Session) -> Result<(), Failure> {
    let insert = session.prepare("INSERT INTO batched (p, c, v) VALUES (?, ?, ?)").await?;
    let mut batch = Batch::new(BatchType::Unlogged);
    let mut bound = Vec::new();
    for number in 0..20_i32 {
        batch.append_statement(insert.clone());
        bound.push((number % 4, number, format!("row {number}")));
    }
    batch.set_timestamp(Some(1_234_567));
    session.batch(&batch, bound).await?;
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.append_statement("INSERT INTO batched (p, c, v) VALUES (1, 100, 'plain')");
    batch.append_statement("DELETE FROM batched WHERE p = 1 AND c = 1");
    session.batch(&batch, ((), ())).await?;
    let answer =
        session.query_unpaged("SELECT c, v, writetime(v) FROM batched WHERE p = 1", ()).await?.into_rows_result()?;
    let rows = answer.rows::<(i32, String, i64)>()?.collect::<Result<Vec<_>, _>>()?;
    let found: Vec<(i32, &str)> = rows.iter().map(|(c, v, _)| (*c, v.as_str())).collect();
    check!(
        found == [(5, "row 5"), (9, "row 9"), (13, "row 13"), (17, "row 17"), (100, "plain")],
        "partition 1 holds {found:?}"
    );
    check!(rows[0].2 == 1_234_567, "the batch's timestamp became {}", rows[0].2);
    Ok(())
}

/// A hundred thousand rows come page by page, each once.
pub async fn paging(session: &Session) -> Result<(), Failure> {
    let insert = session.prepare("INSERT INTO paged (p, c) VALUES (?, ?)").await?;
    let mut batch = Batch::new(BatchType::Unlogged);
    (0..ROWS_A_BATCH).for_each(|_| batch.append_statement(insert.clone()));
    let batch = session.prepare_batch(&batch).await?;
    futures::stream::iter((0..ROWS).step_by(ROWS_A_BATCH))
        .map(|first| {
            let bound: Vec<(i32, i32)> =
                (first..first + ROWS_A_BATCH).map(|row| ((row / ROWS_A_PARTITION) as i32, row as i32)).collect();
            let batch = &batch;
            async move { session.batch(batch, bound).await }
        })
        .buffer_unordered(8)
        .try_for_each(async |_| Ok(()))
        .await?;
    let mut select = session.prepare("SELECT p, c FROM paged").await?;
    select.set_page_size(PAGE);
    let mut rows = session.execute_iter(select, ()).await?.rows_stream::<(i32, i32)>()?;
    let mut seen = vec![0_u32; ROWS];
    while let Some((p, c)) = rows.try_next().await? {
        check!(p as usize == c as usize / ROWS_A_PARTITION, "row {c} came from partition {p}");
        *seen.get_mut(c as usize).ok_or_else(|| format!("row {c} was never written"))? += 1;
    }
    let (skipped, repeated) =
        (seen.iter().filter(|times| **times == 0).count(), seen.iter().filter(|times| **times > 1).count());
    check!(skipped == 0 && repeated == 0, "{skipped} rows skipped, {repeated} repeated");
    let pages = rows.request_coordinators().count();
    check!(pages > ROWS / PAGE as usize, "{ROWS} rows came in {pages} pages of {PAGE}");
    Ok(())
}

/// Errors arrive as what they are.
pub async fn errors(session: &Session) -> Result<(), Failure> {
    let error = refusal(session, Statement::new("SELEC 1")).await?;
    check!(matches!(error, DbError::SyntaxError), "not a syntax error: {error:?}");
    let error = refusal(session, Statement::new("SELECT * FROM no_such_table")).await?;
    check!(matches!(error, DbError::Invalid), "not an invalid request: {error:?}");
    for statement in [
        "DROP KEYSPACE IF EXISTS d_rust_far",
        "CREATE KEYSPACE d_rust_far WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 5}",
        "CREATE TABLE d_rust_far.t (k int PRIMARY KEY)",
    ] {
        session.query_unpaged(statement, ()).await?;
    }
    let error = refusal(session, Statement::new("CREATE TABLE d_rust_far.t (k int PRIMARY KEY)")).await?;
    check!(matches!(error, DbError::AlreadyExists { .. }), "not 'already exists': {error:?}");
    let mut statement = Statement::new("INSERT INTO d_rust_far.t (k) VALUES (1)");
    statement.set_consistency(Consistency::All);
    let error = refusal(session, statement).await?;
    check!(matches!(error, DbError::Unavailable { required: 5, alive: 3, .. }), "not 'unavailable': {error:?}");
    Ok(())
}

async fn refusal(session: &Session, statement: Statement) -> Result<DbError, Failure> {
    match session.query_unpaged(statement.clone(), ()).await {
        Ok(_) => Err(format!("'{}' succeeded", statement.contents).into()),
        Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _))) => Ok(error),
        Err(ExecutionError::PrepareError(PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(error, _),
        })) => Ok(error),
        Err(other) => Err(format!("'{}' failed otherwise: {other:?}", statement.contents).into()),
    }
}
