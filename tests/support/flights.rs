//! The bundled flights: 336,776 rows, read and compared field by field.

use std::collections::BTreeMap;
use std::io::Read;

use quorate_client::{CqlType, Error, Options, RowStream, Session, Value};

/// Rows in the file, all distinct by their key.
pub const FLIGHTS: usize = 336_776;

/// The columns as `examples/flights.cql` names them, in the order of the file.
pub const COLUMNS: [&str; 19] = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "air_time",
    "distance",
    "hour",
    "minute",
    "time_hour",
];

/// Where the key's columns stand: origin, month, day, sched_dep_time, carrier, flight.
const KEY: [usize; 6] = [12, 1, 2, 4, 9, 10];

/// The statements that make the table, without those that load it.
pub const SCHEMA: &str = "
CREATE KEYSPACE IF NOT EXISTS nyc WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3};
CREATE TABLE IF NOT EXISTS nyc.flights (
    origin text, month int, day int, sched_dep_time int, carrier text, flight int,
    year int, dep_time int, dep_delay int, arr_time int, sched_arr_time int, arr_delay int, tailnum text, dest text,
    air_time int, distance int, hour int, minute int, time_hour timestamp,
    PRIMARY KEY ((origin, month, day), sched_dep_time, carrier, flight));";

/// A flight: its fields as the file has them, in the order of [`COLUMNS`].
pub type Flight = Vec<String>;
/// Flights by their key.
pub type Flights = BTreeMap<Vec<String>, Flight>;

/// A flight's key.
pub fn key_of(flight: &[String]) -> Vec<String> {
    KEY.iter().map(|index| flight[*index].clone()).collect()
}

/// The bundled file.
pub fn path() -> std::path::PathBuf {
    super::program::root().join("examples/nycflights13/flights.csv.gz")
}

/// Reads a CSV of flights, compressed or not, whose header names the columns in any order.
pub fn read_csv(path: &std::path::Path) -> Vec<Flight> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let source: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut reader = csv::Reader::from_reader(source);
    let header = reader.headers().expect("a header").clone();
    let place = |name: &&str| header.iter().position(|column| column == *name).unwrap_or_else(|| panic!("no {name}"));
    let places: Vec<usize> = COLUMNS.iter().map(place).collect();
    let record = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.expect("a row");
        places.iter().map(|place| record[*place].to_owned()).collect()
    };
    reader.into_records().map(record).collect()
}

/// The bundled flights in the order of the file.
pub fn bundled() -> Vec<Flight> {
    let flights = read_csv(&path());
    assert_eq!(flights.len(), FLIGHTS);
    flights
}

/// Flights by their key.
pub fn by_key(flights: &[Flight]) -> Flights {
    flights.iter().map(|flight| (key_of(flight), flight.clone())).collect()
}

/// The statement that writes a flight, for [`values`].
pub fn insert() -> String {
    format!("INSERT INTO nyc.flights ({}) VALUES ({})", COLUMNS.join(", "), ["?"; COLUMNS.len()].join(", "))
}

/// A flight's values for [`insert`].
pub fn values(flight: &[String]) -> Vec<Value> {
    let value = |(name, field): (&&str, &String)| match (*name, field.as_str()) {
        (_, "NA") => Value::Null,
        ("carrier" | "tailnum" | "origin" | "dest", text) => Value::Text(text.to_owned()),
        ("time_hour", text) => {
            let time: jiff::Timestamp = text.parse().expect("a time");
            Value::Timestamp(time.as_millisecond())
        }
        (_, number) => Value::Int(number.parse().expect("a number")),
    };
    COLUMNS.iter().zip(flight).map(value).collect()
}

fn field(value: &Value) -> String {
    match value {
        Value::Null => "NA".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Timestamp(millis) => jiff::Timestamp::from_millisecond(*millis).expect("a time of our age").to_string(),
        other => panic!("no value of a flight: {other:?}"),
    }
}

/// Reads all flights through a session.
pub async fn read_all(session: &Session, options: &Options) -> Result<Flights, Error> {
    let text = format!("SELECT {} FROM nyc.flights", COLUMNS.join(", "));
    let mut rows: RowStream = session.query_iter_with(text, (), options).await?;
    assert_eq!(rows.columns()[18].cql_type, CqlType::Timestamp);
    let mut flights = Flights::new();
    while let Some(row) = rows.next().await? {
        let flight: Flight = row.values()?.iter().map(field).collect();
        let before = flights.insert(key_of(&flight), flight);
        assert!(before.is_none(), "a row came twice: {before:?}");
    }
    Ok(flights)
}

/// Fails with the first few differences.
#[track_caller]
pub fn assert_equal(expected: &Flights, found: &Flights) {
    let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(*key)).collect();
    let beyond: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
    let other: Vec<_> = expected
        .iter()
        .filter_map(|(key, flight)| found.get(key).filter(|found| *found != flight).map(|found| (flight, found)))
        .collect();
    assert!(
        missing.is_empty() && beyond.is_empty() && other.is_empty(),
        "of {} flights {} are missing ({:?}), {} are beyond ({:?}), {} differ ({:?})",
        expected.len(),
        missing.len(),
        missing.first(),
        beyond.len(),
        beyond.first(),
        other.len(),
        other.first()
    );
}
