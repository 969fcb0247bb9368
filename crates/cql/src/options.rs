//! Table options: reading, checking, printing.

use std::collections::BTreeMap;

use quorate_model::Ttl;
use quorate_model::request::RequestError;
use quorate_model::schema::TableOptions;

use crate::ast::{Name, Property};

/// Memtable configurations that a Cassandra as it is shipped knows. There is one kind of memtable here, whatever is said.
const MEMTABLES: [&str; 3] = ["default", "skiplist", "trie"];

const COMPACTION_PACKAGE: &str = "org.apache.cassandra.db.compaction.";
const COMPRESSION_PACKAGE: &str = "org.apache.cassandra.io.compress.";
const COMPACTIONS: [&str; 4] = [
    "SizeTieredCompactionStrategy",
    "LeveledCompactionStrategy",
    "TimeWindowCompactionStrategy",
    "UnifiedCompactionStrategy",
];
const COMPRESSORS: [&str; 5] =
    ["LZ4Compressor", "ZstdCompressor", "SnappyCompressor", "DeflateCompressor", "NoopCompressor"];
/// The least false-positive chance that a filter can have, as in Cassandra.
const FILTER_CHANCE_MIN: f64 = 6.71e-5;

fn syntax(message: String, name: &Name) -> RequestError {
    RequestError::Syntax { message, place: Some(name.place) }
}

fn text<'a>(name: &Name, value: &'a Property) -> Result<&'a str, RequestError> {
    match value {
        Property::Text(text) => Ok(text),
        Property::Map(_) => Err(syntax(format!("Invalid value for property '{name}'. It should be a string."), name)),
    }
}

/// A property that must be a map; of a key given twice the last stands.
pub(crate) fn map(name: &Name, value: &Property) -> Result<BTreeMap<String, String>, RequestError> {
    match value {
        Property::Map(entries) => Ok(entries.iter().cloned().collect()),
        Property::Text(_) => Err(syntax(format!("Invalid value for property '{name}'. It should be a map."), name)),
    }
}

/// A property that must be true or false.
pub(crate) fn boolean(name: &Name, value: &Property) -> Result<bool, RequestError> {
    match text(name, value)?.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        other => Err(syntax(format!("Invalid boolean value {other} for '{name}'"), name)),
    }
}

fn integer(name: &Name, value: &Property, least: i64) -> Result<u32, RequestError> {
    let text = text(name, value)?;
    let number: i32 = text.parse().map_err(|_| syntax(format!("Invalid integer value {text} for '{name}'"), name))?;
    if i64::from(number) < least {
        let message = format!("{name} must be greater than or equal to {least} (got {number})");
        return Err(RequestError::Configuration(message));
    }
    Ok(u32::try_from(number).unwrap_or(0))
}

fn double(name: &Name, value: &Property) -> Result<f64, RequestError> {
    let text = text(name, value)?;
    text.parse().map_err(|_| syntax(format!("Invalid double value {text} for '{name}'"), name))
}

/// Puts `WITH` properties over options.
pub(crate) fn apply(options: &mut TableOptions, properties: &[(Name, Property)]) -> Result<(), RequestError> {
    for (index, (name, value)) in properties.iter().enumerate() {
        if properties.iter().take(index).any(|(earlier, _)| earlier.text == name.text) {
            return Err(syntax(format!("Multiple definitions for property '{name}'"), name));
        }
        set(options, name, value)?;
    }
    if options.max_index_interval < options.min_index_interval {
        return Err(RequestError::Configuration(format!(
            "max_index_interval must be greater than or equal to min_index_interval ({}) (got {})",
            options.min_index_interval, options.max_index_interval
        )));
    }
    Ok(())
}

fn set(options: &mut TableOptions, name: &Name, value: &Property) -> Result<(), RequestError> {
    match name.text.as_str() {
        "comment" => options.comment = text(name, value)?.to_owned(),
        "default_time_to_live" => {
            let ttl = integer(name, value, 0)?;
            if ttl > Ttl::MAX.0 {
                let message = format!("default_time_to_live must be less than or equal to {} (got {ttl})", Ttl::MAX.0);
                return Err(RequestError::Configuration(message));
            }
            options.default_time_to_live = ttl;
        }
        "gc_grace_seconds" => options.gc_grace_seconds = integer(name, value, 0)?,
        "memtable_flush_period_in_ms" => options.memtable_flush_period_in_ms = integer(name, value, 0)?,
        "min_index_interval" => options.min_index_interval = integer(name, value, 1)?,
        "max_index_interval" => options.max_index_interval = integer(name, value, 1)?,
        "bloom_filter_fp_chance" => {
            let chance = double(name, value)?;
            if !(chance > FILTER_CHANCE_MIN && chance <= 1.0) {
                let message = format!(
                    "bloom_filter_fp_chance must be larger than 6.71E-5 and less than or equal to 1.0 (got {chance:?})"
                );
                return Err(RequestError::Configuration(message));
            }
            options.bloom_filter_fp_chance = chance;
        }
        "crc_check_chance" => {
            let chance = double(name, value)?;
            if !(0.0..=1.0).contains(&chance) {
                let message = format!(
                    "crc_check_chance must be larger than or equal to 0 and smaller than or equal to 1.0 (got {chance:?})"
                );
                return Err(RequestError::Configuration(message));
            }
            options.crc_check_chance = chance;
        }
        "compaction" => options.compaction = compaction(map(name, value)?)?,
        "compression" => options.compression = compression(map(name, value)?)?,
        "caching" => options.caching = caching(map(name, value)?)?,
        "speculative_retry" => options.speculative_retry = retry_policy(name, value)?,
        "additional_write_policy" => options.additional_write_policy = retry_policy(name, value)?,
        "read_repair" => {
            let strategy = text(name, value)?.to_ascii_uppercase();
            if !["BLOCKING", "NONE"].contains(&strategy.as_str()) {
                let message = format!("Invalid value {strategy} for option 'read_repair': BLOCKING or NONE");
                return Err(RequestError::Configuration(message));
            }
            options.read_repair = strategy;
        }
        "memtable" => {
            let memtable = text(name, value)?;
            if !MEMTABLES.contains(&memtable) {
                return Err(RequestError::Configuration(format!("Memtable configuration \"{memtable}\" not found.")));
            }
            options.memtable = memtable.to_owned();
        }
        "cdc" if !boolean(name, value)? => options.cdc = false,
        "cdc" => return Err(RequestError::invalid("Change data capture (cdc = true) is not supported yet")),
        "allow_auto_snapshot" | "incremental_backups" if boolean(name, value)? => {}
        "allow_auto_snapshot" | "incremental_backups" => {
            return Err(RequestError::invalid(format!("{name} = false is not supported yet")));
        }
        "extensions" => options.extensions = extensions(name, map(name, value)?)?,
        // Gone since Cassandra 4; old schemas still carry them.
        "read_repair_chance" | "dclocal_read_repair_chance" => {}
        _ => return Err(syntax(format!("Unknown property '{name}'"), name)),
    }
    Ok(())
}

fn compaction(mut map: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, RequestError> {
    let Some(class) = map.get("class").cloned() else {
        let message = "Missing sub-option 'class' for the 'compaction' option";
        return Err(RequestError::Configuration(message.to_owned()));
    };
    let short = class.strip_prefix(COMPACTION_PACKAGE).unwrap_or(&class);
    if !COMPACTIONS.contains(&short) {
        let full = if class.contains('.') { class } else { format!("{COMPACTION_PACKAGE}{class}") };
        return Err(RequestError::Configuration(format!("Unable to find compaction strategy class '{full}'")));
    }
    map.insert("class".to_owned(), short.to_owned());
    if short != "UnifiedCompactionStrategy" {
        map.entry("max_threshold".to_owned()).or_insert_with(|| "32".to_owned());
        map.entry("min_threshold".to_owned()).or_insert_with(|| "4".to_owned());
    }
    Ok(map)
}

fn compression(mut map: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, RequestError> {
    let disabled = map.is_empty() || map.get("enabled").is_some_and(|enabled| enabled.eq_ignore_ascii_case("false"));
    if disabled {
        return Ok(BTreeMap::from([("enabled".to_owned(), "false".to_owned())]));
    }
    map.remove("enabled");
    let Some(class) = map.remove("class").or_else(|| map.remove("sstable_compression")) else {
        let message = "Missing sub-option 'class' for the 'compression' option.";
        return Err(RequestError::Configuration(message.to_owned()));
    };
    let short = class.strip_prefix(COMPRESSION_PACKAGE).unwrap_or(&class);
    if !COMPRESSORS.contains(&short) {
        let full = if class.contains('.') { class } else { format!("{COMPRESSION_PACKAGE}{class}") };
        return Err(RequestError::Configuration(format!("Could not create Compression for type {full}")));
    }
    let chunk = map.entry("chunk_length_in_kb".to_owned()).or_insert_with(|| "16".to_owned());
    if !chunk.parse::<u32>().is_ok_and(|chunk| chunk.is_power_of_two() && chunk <= 1024) {
        let message = format!("chunk_length_in_kb must be a power of 2 of at most 1024, but was {chunk}");
        return Err(RequestError::Configuration(message));
    }
    map.insert("class".to_owned(), short.to_owned());
    Ok(map)
}

fn caching(map: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, RequestError> {
    let mut caching =
        BTreeMap::from([("keys".to_owned(), "ALL".to_owned()), ("rows_per_partition".to_owned(), "NONE".to_owned())]);
    for (key, value) in map {
        let upper = value.to_ascii_uppercase();
        let all_or_none = ["ALL", "NONE"].contains(&upper.as_str());
        match key.as_str() {
            "keys" if all_or_none => {}
            "keys" => {
                return Err(RequestError::Configuration(format!(
                    "Invalid value '{value}' for caching sub-option 'keys': only 'ALL' and 'NONE' are allowed"
                )));
            }
            "rows_per_partition" if all_or_none || value.parse::<u32>().is_ok() => {}
            "rows_per_partition" => {
                return Err(RequestError::Configuration(format!(
                    "Invalid value '{value}' for caching sub-option 'rows_per_partition': only 'ALL', 'NONE', and integer values are allowed"
                )));
            }
            _ => {
                return Err(RequestError::Configuration(format!(
                    "Invalid caching sub-options [{key}]: only 'keys' and 'rows_per_partition' are allowed"
                )));
            }
        }
        caching.insert(key, upper);
    }
    Ok(caching)
}

fn retry_policy(name: &Name, value: &Property) -> Result<String, RequestError> {
    let given = text(name, value)?;
    let upper = given.to_ascii_uppercase();
    let number = |text: &str| text.parse::<f64>().is_ok_and(|number| number >= 0.0);
    let single = |text: &str| {
        let text = text.trim();
        ["ALWAYS", "NEVER", "NONE"].contains(&text)
            || text
                .strip_suffix("PERCENTILE")
                .or_else(|| text.strip_suffix('P'))
                .is_some_and(|text| text.parse::<f64>().is_ok_and(|percent| (0.0..=100.0).contains(&percent)))
            || text.strip_suffix("MS").is_some_and(number)
    };
    let pair =
        upper.strip_prefix("MIN(").or_else(|| upper.strip_prefix("MAX(")).and_then(|rest| rest.strip_suffix(')'));
    let valid = single(&upper)
        || pair.is_some_and(|pair| pair.split_once(',').is_some_and(|(left, right)| single(left) && single(right)));
    if !valid {
        return Err(RequestError::Configuration(format!("Invalid value {given} for option '{name}'")));
    }
    Ok(match upper.as_str() {
        "ALWAYS" | "NEVER" => upper,
        "NONE" => "NEVER".to_owned(),
        _ => given.to_owned(),
    })
}

fn extensions(name: &Name, map: BTreeMap<String, String>) -> Result<BTreeMap<String, Vec<u8>>, RequestError> {
    let bytes = |text: &str| {
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() % 2 == 0)?;
        let pairs = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
        pairs.collect::<Option<Vec<u8>>>()
    };
    let wrong = || syntax(format!("Invalid value for property '{name}': a map of blobs is expected"), name);
    map.into_iter().map(|(key, value)| Ok((key, bytes(&value).ok_or_else(wrong)?))).collect()
}

/// `compaction` with the full name of its class.
pub(crate) fn full_compaction(options: &TableOptions) -> BTreeMap<String, String> {
    full(&options.compaction, COMPACTION_PACKAGE)
}

/// `compression` with the full name of its class.
pub(crate) fn full_compression(options: &TableOptions) -> BTreeMap<String, String> {
    full(&options.compression, COMPRESSION_PACKAGE)
}

fn full(map: &BTreeMap<String, String>, package: &str) -> BTreeMap<String, String> {
    let mut map = map.clone();
    if let Some(class) = map.get_mut("class")
        && !class.contains('.')
    {
        *class = format!("{package}{class}");
    }
    map
}

/// A map as CQL has it: `{'a': 'b'}`.
pub(crate) fn show_map(map: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", quote(key), quote(value))).collect();
    format!("{{{}}}", entries.join(", "))
}

/// A string literal.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// All options as DESCRIBE prints them, in its order.
pub(crate) fn show(options: &TableOptions) -> Vec<String> {
    let extensions: Vec<String> = options
        .extensions
        .iter()
        .map(|(key, value)| {
            let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}: 0x{digits}", quote(key))
        })
        .collect();
    vec![
        format!("additional_write_policy = {}", quote(&options.additional_write_policy)),
        "allow_auto_snapshot = true".to_owned(),
        format!("bloom_filter_fp_chance = {:?}", options.bloom_filter_fp_chance),
        format!("caching = {}", show_map(&options.caching)),
        format!("cdc = {}", options.cdc),
        format!("comment = {}", quote(&options.comment)),
        format!("compaction = {}", show_map(&full_compaction(options))),
        format!("compression = {}", show_map(&full_compression(options))),
        format!("memtable = {}", quote(&options.memtable)),
        format!("crc_check_chance = {:?}", options.crc_check_chance),
        format!("default_time_to_live = {}", options.default_time_to_live),
        format!("extensions = {{{}}}", extensions.join(", ")),
        format!("gc_grace_seconds = {}", options.gc_grace_seconds),
        "incremental_backups = true".to_owned(),
        format!("max_index_interval = {}", options.max_index_interval),
        format!("memtable_flush_period_in_ms = {}", options.memtable_flush_period_in_ms),
        format!("min_index_interval = {}", options.min_index_interval),
        format!("read_repair = {}", quote(&options.read_repair)),
        format!("speculative_retry = {}", quote(&options.speculative_retry)),
    ]
}
