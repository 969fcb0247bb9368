//! The sample data, loaded through the public API as anybody would.

use std::sync::Arc;

use quorate_shell::copy::import::{Import, import};
use quorate_shell::copy::options::CopyOptions;
use quorate_shell::copy::source::Source;
use quorate_shell::front::Front;
use quorate_shell::grpc::GrpcFront;
use quorate_shell::progress::Progress;
use quorate_shell::{Consistency, QueryOptions, Value};

/// Hourly readings of 2013, CC0; see `examples/nycflights13/README.md`.
static WEATHER: &[u8] = include_bytes!("../../../../examples/nycflights13/weather.csv.gz");
/// Rows in it.
const WEATHER_ROWS: i64 = 26_115;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS nyc.weather (
    origin text, month int, time_hour timestamp, year int, day int, hour int,
    temp double, dewp double, humid double, wind_dir int, wind_speed double, wind_gust double,
    precip double, pressure double, visib double,
    PRIMARY KEY ((origin, month), time_hour))";

/// Creates `nyc.weather` and fills it, unless it is full from an earlier run.
pub async fn load(address: &str, nodes: usize) -> Result<(), String> {
    let front = GrpcFront::connect(address, None).await.map_err(|error| error.to_string())?;
    let keyspace = format!(
        "CREATE KEYSPACE IF NOT EXISTS nyc WITH replication = \
         {{'class': 'SimpleStrategy', 'replication_factor': {}}}",
        nodes.min(3)
    );
    run(&front, &keyspace).await?;
    run(&front, TABLE).await?;
    let counted = quorate_shell::names::rows(&front, "SELECT COUNT(*) FROM nyc.weather").await;
    if let Ok(rows) = counted
        && rows.first().and_then(|row| row.first()) == Some(&Value::BigInt(WEATHER_ROWS))
    {
        println!("nyc.weather has its {WEATHER_ROWS} rows already.");
        return Ok(());
    }
    let source = Source::from_bytes(WEATHER, "weather.csv.gz");
    let bytes = source.bytes_total.map(|total| (total, Arc::clone(&source.bytes_read)));
    let mut options = CopyOptions::default();
    options.dialect.header = true;
    options.dialect.null = "NA".to_owned();
    let job = Import {
        keyspace: "nyc".to_owned(),
        table: "weather".to_owned(),
        columns: None,
        source,
        options,
        consistency: Consistency::Quorum,
    };
    let front: Arc<dyn Front> = Arc::new(front);
    let progress = Progress::on_terminal("nyc.weather", bytes);
    let summary = import(&front, job, &progress).await.map_err(|error| error.to_string())?;
    println!("{}", summary.render("the bundled weather.csv.gz"));
    Ok(())
}

async fn run(front: &GrpcFront, statement: &str) -> Result<(), String> {
    let response = front.query(statement, None, QueryOptions::default()).await.map_err(|error| error.to_string())?;
    response.result.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_bundled_file_has_its_rows() {
        let mut text = String::new();
        Source::from_bytes(WEATHER, "weather.csv.gz").reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count() as i64, WEATHER_ROWS + 1);
    }
}
