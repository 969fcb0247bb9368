//! The server under load: the driver's session and its prepared statements.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::prepared::PreparedStatement;
use std::num::NonZeroUsize;

use crate::Problem;
use crate::arguments::{Arguments, Workload};

/// Rows of a partition of the table of slices.
pub const PARTITION_ROWS: i32 = 1_000;
/// Rows of a slice.
pub const SLICE_ROWS: i32 = 100;

/// With speculative executions: how often connections are tried, and how long an answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// One request.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Insert a row.
    Write(u64),
    /// Insert a row that lives for a minute.
    WriteBriefly(u64),
    /// Delete a row.
    Delete(u64),
    /// Select a row.
    Read(u64),
    /// Select a row that may be there or not.
    Look(u64),
    /// Insert a row of a partition.
    WriteWide(u64, i32),
    /// Select 100 rows of a partition from this one on.
    Slice(u64, i32),
}

/// A session and its statements.
pub struct Target {
    session: Session,
    insert: PreparedStatement,
    /// Of rows that come and go: an insert for a minute, and a delete. Only where they are wanted, as the null server knows none.
    churn: Option<(PreparedStatement, PreparedStatement)>,
    select: PreparedStatement,
    insert_wide: PreparedStatement,
    slice: PreparedStatement,
    value: Vec<u8>,
}

impl Target {
    /// Connects, creates keyspace and tables if this run fills them, prepares.
    pub async fn connect(arguments: &Arguments) -> Result<Self, Problem> {
        let connections = NonZeroUsize::new(arguments.connections).ok_or("no connections")?;
        let mut profile = ExecutionProfile::builder()
            .consistency(arguments.consistency)
            .request_timeout(Some(Duration::from_secs(20)));
        let mut session = SessionBuilder::new()
            .known_nodes(&arguments.host)
            .pool_size(PoolSize::PerHost(connections))
            .schema_agreement_timeout(Duration::from_secs(20));
        if let Some(delay) = arguments.speculative_ms {
            let policy =
                SimpleSpeculativeExecutionPolicy { max_retry_count: 2, retry_interval: Duration::from_millis(delay) };
            profile = profile
                .retry_policy(Arc::new(DefaultRetryPolicy::new()))
                .speculative_execution_policy(Some(Arc::new(policy)));
            session = session.keepalive_interval(KEEP_ALIVE).keepalive_timeout(KEEP_ALIVE);
        } else {
            // Whatever fails is counted: nothing is tried again behind our back.
            profile = profile.retry_policy(Arc::new(FallthroughRetryPolicy::new()));
        }
        let session = session.default_execution_profile_handle(profile.build().into_handle()).build().await?;
        if arguments.workload == Workload::Fill {
            let keyspace = format!(
                "CREATE KEYSPACE IF NOT EXISTS pairs WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {}}}",
                arguments.replication
            );
            let tables = [
                "CREATE TABLE IF NOT EXISTS pairs.kv (key blob PRIMARY KEY, value blob)",
                "CREATE TABLE IF NOT EXISTS pairs.wide (key blob, n int, value blob, PRIMARY KEY (key, n))",
            ];
            session.query_unpaged(keyspace, ()).await?;
            for table in tables {
                session.query_unpaged(table, ()).await?;
            }
        }
        let prepare = async |text: &str| {
            let mut statement = session.prepare(text).await?;
            statement.set_use_cached_result_metadata(arguments.cached_metadata);
            // All of them are: the same values, written again, are the same row.
            statement.set_is_idempotent(true);
            Ok::<_, Problem>(statement)
        };
        Ok(Self {
            insert: prepare("INSERT INTO pairs.kv (key, value) VALUES (?, ?)").await?,
            churn: match arguments.workload {
                Workload::Churn => Some((
                    prepare("INSERT INTO pairs.kv (key, value) VALUES (?, ?) USING TTL 60").await?,
                    prepare("DELETE FROM pairs.kv WHERE key = ?").await?,
                )),
                _ => None,
            },
            select: prepare("SELECT value FROM pairs.kv WHERE key = ?").await?,
            insert_wide: prepare("INSERT INTO pairs.wide (key, n, value) VALUES (?, ?, ?)").await?,
            slice: prepare("SELECT n, value FROM pairs.wide WHERE key = ? AND n >= ? LIMIT 100").await?,
            value: half_compressible(arguments.value_size),
            session,
        })
    }

    /// Sends one request and waits for its answer; whether it brought as many rows as it should.
    pub async fn run(&self, operation: Operation) -> Result<bool, Problem> {
        let (result, rows) = match operation {
            Operation::Write(key) => {
                (self.session.execute_unpaged(&self.insert, (&key_of(key)[..], &self.value)).await?, 0)
            }
            Operation::WriteBriefly(key) => {
                let (insert, _) = self.churn.as_ref().ok_or("only churn writes briefly")?;
                (self.session.execute_unpaged(insert, (&key_of(key)[..], &self.value)).await?, 0)
            }
            Operation::Delete(key) => {
                let (_, delete) = self.churn.as_ref().ok_or("only churn deletes")?;
                (self.session.execute_unpaged(delete, (&key_of(key)[..],)).await?, 0)
            }
            Operation::Look(key) => (self.session.execute_unpaged(&self.select, (&key_of(key)[..],)).await?, 0),
            Operation::Read(key) => (self.session.execute_unpaged(&self.select, (&key_of(key)[..],)).await?, 1),
            Operation::WriteWide(key, n) => {
                (self.session.execute_unpaged(&self.insert_wide, (&key_of(key)[..], n, &self.value)).await?, 0)
            }
            Operation::Slice(key, n) => {
                (self.session.execute_unpaged(&self.slice, (&key_of(key)[..], n)).await?, SLICE_ROWS)
            }
        };
        if rows == 0 {
            return Ok(true);
        }
        Ok(result.into_rows_result()?.rows_num() == rows as usize)
    }
}

/// Keys in no order, so that they spread over every structure that sorts them as they are.
fn key_of(number: u64) -> [u8; 16] {
    let mut random = Random(number);
    let (high, low) = (random.next(), random.next());
    let mut key = [0; 16];
    key[..8].copy_from_slice(&high.to_be_bytes());
    key[8..].copy_from_slice(&low.to_be_bytes());
    key
}

/// Half of it random.
fn half_compressible(size: usize) -> Vec<u8> {
    let mut random = Random(7);
    (0..size).map(|place| if place % 2 == 0 { random.next() as u8 } else { b'v' }).collect()
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
