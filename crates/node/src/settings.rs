//! From a table's schema to the storage engine's settings.

use quorate_model::IndexDefinition;
use quorate_model::schema::{Table, TableOptions};
use quorate_storage::{CompactionSettings, Compression, TableSettings};

/// The settings that follow from a table's options. Options were validated when the table was made; what is not
/// understood here falls back to its default.
pub(crate) fn table_settings(options: &TableOptions) -> TableSettings {
    TableSettings {
        compression: compression(options),
        bloom_filter_fp_chance: options.bloom_filter_fp_chance,
        compaction: compaction(options),
        auto_compaction: options.compaction.get("enabled").is_none_or(|enabled| enabled != "false"),
    }
}

fn compression(options: &TableOptions) -> Compression {
    let class = options.compression.get("class").or_else(|| options.compression.get("sstable_compression"));
    if options.compression.get("enabled").is_some_and(|enabled| enabled == "false") {
        return Compression::None;
    }
    let class = class.map(|class| class.rsplit('.').next().unwrap_or_default());
    match class {
        Some("ZstdCompressor" | "DeflateCompressor") => {
            let level = options.compression.get("compression_level").and_then(|level| level.parse().ok());
            Compression::Zstd(level.unwrap_or(3))
        }
        Some("" | "NoopCompressor") => Compression::None,
        _ => Compression::Lz4,
    }
}

fn compaction(options: &TableOptions) -> CompactionSettings {
    let number = |name: &str| options.compaction.get(name).and_then(|value| value.parse::<usize>().ok());
    let default = CompactionSettings::default();
    CompactionSettings {
        files_min: number("min_threshold").unwrap_or(default.files_min).max(2),
        files_max: number("max_threshold").unwrap_or(default.files_max).max(2),
        ..default
    }
}

/// What the engine is told of a table's indexes.
pub(crate) fn index_definitions(table: &Table) -> Vec<IndexDefinition> {
    table.indexes.iter().filter_map(|index| index.definition(table)).collect()
}
