//! A load that never stops by itself and remembers what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate_client::{Error, Options, Session};

use super::cluster::quorum;

/// Rows that are looked up at the same time.
const LOOK_UPS_AT_ONCE: usize = 64;

/// What was acknowledged: for each writer, the number of rows, and of its register the last value acknowledged and the
/// last one sent.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    /// Bytes that every row has beyond its own.
    pub padding: usize,
    /// Rows that were acknowledged: (writer, number).
    pub rows: Vec<(i32, i32)>,
    /// By writer: the greatest acknowledged and the greatest sent value of its register.
    pub registers: BTreeMap<i32, (i32, i32)>,
    /// Reads that were answered.
    pub reads: u64,
    /// Errors that reached the client, with the time since the load began.
    pub errors: Vec<(Duration, String)>,
}

impl Acknowledged {
    /// Writes that were acknowledged.
    pub fn writes(&self) -> usize {
        self.rows.len() + self.registers.values().map(|(acknowledged, _)| *acknowledged as usize).sum::<usize>()
    }
}

/// A load under way: so many writers on tasks of the test's own runtime. Each writes rows that nobody writes again, and
/// every fourth time a register of its own, with growing values and timestamps; every eighth time it reads a row back.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

/// The load's tables.
pub async fn create_tables(session: &Session, factor: usize) {
    let keyspace = format!(
        "CREATE KEYSPACE load WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"
    );
    for statement in [
        keyspace.as_str(),
        "CREATE TABLE load.rows (writer int, number int, payload text, PRIMARY KEY ((writer, number)))",
        "CREATE TABLE load.registers (writer int PRIMARY KEY, value int)",
    ] {
        session.query(statement, ()).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

fn payload(writer: i32, number: i32, padding: usize) -> String {
    format!("{writer}/{number}:{}", "x".repeat((number % 97) as usize + padding))
}

impl Load {
    /// Starts so many writers; their numbers begin after `first`, which keeps the rows of several loads apart.
    pub fn start(session: &Session, first: i32, writers: i32) -> Self {
        Self::start_padded(session, first, writers, 0)
    }

    /// The same, with rows that are greater by so many bytes.
    pub fn start_padded(session: &Session, first: i32, writers: i32, padding: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Acknowledged { padding, ..Acknowledged::default() }));
        let started = Instant::now();
        let writers = (first..first + writers)
            .map(|writer| {
                let (session, stop, acknowledged) = (session.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
                tokio::spawn(async move {
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        if let Err(error) = step(&session, writer, number, &acknowledged).await {
                            acknowledged.lock().unwrap().errors.push((started.elapsed(), error.to_string()));
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        number += 1;
                    }
                })
            })
            .collect();
        Self { stop, acknowledged, writers }
    }

    /// Writes acknowledged so far.
    pub fn writes(&self) -> usize {
        self.acknowledged.lock().unwrap().writes()
    }

    /// Errors so far.
    pub fn errors(&self) -> usize {
        self.acknowledged.lock().unwrap().errors.len()
    }

    /// What was acknowledged so far, without the first so many rows.
    pub fn acknowledged_since(&self, rows: usize) -> Acknowledged {
        let all = self.acknowledged.lock().unwrap();
        Acknowledged {
            padding: all.padding,
            rows: all.rows.get(rows..).unwrap_or_default().to_vec(),
            registers: all.registers.clone(),
            reads: all.reads,
            errors: Vec::new(),
        }
    }

    /// Waits until so many more writes are acknowledged.
    pub async fn goes_on(&self, writes: usize, within: Duration) {
        let goal = self.writes() + writes;
        super::eventually(within, "the load goes on", async || {
            let now = self.writes();
            if now >= goal { Ok(()) } else { Err(format!("{} of {goal} writes, {} errors", now, self.errors())) }
        })
        .await;
    }

    /// Ends the writers and gives what was acknowledged.
    pub async fn stop(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.expect("a writer ends");
        }
        self.acknowledged.lock().unwrap().clone()
    }
}

async fn step(session: &Session, writer: i32, number: i32, acknowledged: &Mutex<Acknowledged>) -> Result<(), Error> {
    let padding = acknowledged.lock().unwrap().padding;
    let insert = session.prepare("INSERT INTO load.rows (writer, number, payload) VALUES (?, ?, ?)").await?;
    session.execute_with(&insert, (writer, number, payload(writer, number, padding)), &quorum()).await?;
    acknowledged.lock().unwrap().rows.push((writer, number));
    if number % 4 == 0 {
        let value = {
            let mut all = acknowledged.lock().unwrap();
            let register = all.registers.entry(writer).or_default();
            register.1 += 1;
            register.1
        };
        let update = session.prepare("UPDATE load.registers SET value = ? WHERE writer = ?").await?;
        session.execute_with(&update, (value, writer), &quorum().timestamp(i64::from(value))).await?;
        if let Some(register) = acknowledged.lock().unwrap().registers.get_mut(&writer) {
            register.0 = register.0.max(value);
        }
    }
    if number % 8 == 0 {
        let select = session.prepare("SELECT payload FROM load.rows WHERE writer = ? AND number = ?").await?;
        let found = session.execute_with(&select, (writer, number), &quorum()).await?;
        let found = found.first_as::<(String,)>()?;
        assert_eq!(found, Some((payload(writer, number, padding),)), "an acknowledged row at QUORUM, right after");
        acknowledged.lock().unwrap().reads += 1;
    }
    Ok(())
}

/// The acknowledged rows that are not there, or not as they were written, each looked up by itself; and the registers that
/// are behind what was acknowledged, as rows without a number.
pub async fn missing(
    session: &Session,
    acknowledged: &Acknowledged,
    options: &Options,
) -> Result<Vec<(i32, i32)>, Error> {
    let select = session.prepare("SELECT payload FROM load.rows WHERE writer = ? AND number = ?").await?;
    let mut missing = Vec::new();
    for part in acknowledged.rows.chunks(LOOK_UPS_AT_ONCE) {
        let mut looks = tokio::task::JoinSet::new();
        for (writer, number) in part.iter().copied() {
            let (session, select, options) = (session.clone(), select.clone(), options.clone());
            looks.spawn(async move {
                let found = session.execute_with(&select, (writer, number), &options).await?;
                Ok::<_, Error>((writer, number, found.first_as::<(String,)>()?))
            });
        }
        for look in looks.join_all().await {
            let (writer, number, found) = look?;
            if found != Some((payload(writer, number, acknowledged.padding),)) {
                missing.push((writer, number));
            }
        }
    }
    let registers = session.query_with("SELECT writer, value FROM load.registers", (), options).await?;
    let registers: BTreeMap<i32, i32> = registers.rows_as::<(i32, i32)>()?.into_iter().collect();
    let behind =
        |(writer, (least, _)): &(&i32, &(i32, i32))| registers.get(*writer).copied().unwrap_or_default() < *least;
    missing.extend(acknowledged.registers.iter().filter(behind).map(|(writer, _)| (*writer, -1)));
    Ok(missing)
}

/// Fails unless everything that was acknowledged is there.
pub async fn assert_kept(session: &Session, acknowledged: &Acknowledged, options: &Options) {
    let read = async || -> Result<_, Error> {
        let mut found = BTreeMap::new();
        let mut rows = session.query_iter_with("SELECT writer, number, payload FROM load.rows", (), options).await?;
        while let Some((writer, number, payload)) = rows.next_as::<(i32, i32, String)>().await? {
            found.insert((writer, number), payload);
        }
        let registers = session.query_with("SELECT writer, value FROM load.registers", (), options).await?;
        Ok((found, registers.rows_as::<(i32, i32)>()?.into_iter().collect::<BTreeMap<_, _>>()))
    };
    let (found, registers) = super::eventually(Duration::from_secs(30), "the tables can be read", async || {
        read().await.map_err(|error| error.to_string())
    })
    .await;
    let padding = acknowledged.padding;
    let wrong =
        |(writer, number): &&(i32, i32)| found.get(&(*writer, *number)) != Some(&payload(*writer, *number, padding));
    let lost: Vec<_> = acknowledged.rows.iter().filter(wrong).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged rows are lost: {lost:?}", lost.len(), acknowledged.rows.len());
    for (writer, (least, most)) in &acknowledged.registers {
        let value = registers.get(writer).copied().unwrap_or_default();
        assert!((*least..=*most).contains(&value), "register {writer} is {value}, not within {least} to {most}");
    }
}
