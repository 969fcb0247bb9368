//! Which files to compact: a pure function from their statistics to a decision.
//!
//! Files are sorted into levels by *density*: bytes per share of the ring that they cover. Files of one level that overlap
//! at one token make each read there look into all of them; as soon as `files_min` do, they are merged. Outputs that were
//! split by size do not overlap, so they are never merged with each other for nothing; sharing a token range with fewer
//! bytes over a smaller share has the same density. A small threshold behaves like levels, a large one like size tiers.

use crate::options::CompactionSettings;

/// What the decision needs to know of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSummary {
    /// Its number; lower is older.
    pub number: u64,
    /// Its size.
    pub bytes: u64,
    /// First token.
    pub first: i64,
    /// Last token, inclusive.
    pub last: i64,
}

/// Bounds of one decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PickLimits {
    /// Density (bytes over the whole ring) of the lowest level: about what one flush writes.
    pub base_bytes: u64,
    /// Bytes that the inputs may have together.
    pub input_bytes_max: u64,
}

/// The files to merge now, if it is worth it: the lowest level first, the most overlapping place in it, the oldest files
/// there.
pub fn pick(files: &[FileSummary], settings: &CompactionSettings, limits: PickLimits) -> Option<Vec<u64>> {
    let files_min = settings.files_min.max(2);
    let mut levels: Vec<u32> = files.iter().map(|file| level(file, settings, limits.base_bytes)).collect();
    levels.sort_unstable();
    levels.dedup();
    for wanted in levels {
        let members: Vec<&FileSummary> =
            files.iter().filter(|file| level(file, settings, limits.base_bytes) == wanted).collect();
        let overlapping = |at: i64| members.iter().filter(move |file| file.first <= at && at <= file.last);
        // The most overlapped token is where some file begins.
        let busiest = members.iter().map(|file| file.first).max_by_key(|at| (overlapping(*at).count(), *at))?;
        let mut chosen: Vec<&FileSummary> = overlapping(busiest).copied().collect();
        chosen.sort_by_key(|file| file.number);
        let chosen = within(&chosen, settings.files_max.max(files_min), limits.input_bytes_max);
        if chosen.len() >= files_min {
            return Some(chosen);
        }
    }
    None
}

/// The files of a major compaction: all that fit the bound, smallest first.
pub fn pick_major(files: &[FileSummary], input_bytes_max: u64) -> Option<Vec<u64>> {
    let mut chosen: Vec<&FileSummary> = files.iter().collect();
    chosen.sort_by_key(|file| (file.bytes, file.number));
    let chosen = within(&chosen, usize::MAX, input_bytes_max);
    (!chosen.is_empty()).then_some(chosen)
}

fn within(files: &[&FileSummary], count_max: usize, bytes_max: u64) -> Vec<u64> {
    let mut bytes = 0u64;
    let fitting = files.iter().take(count_max).take_while(|file| {
        bytes = bytes.saturating_add(file.bytes);
        bytes <= bytes_max
    });
    fitting.map(|file| file.number).collect()
}

/// The level of a file: how many times its density is the base's, on a logarithmic scale.
fn level(file: &FileSummary, settings: &CompactionSettings, base_bytes: u64) -> u32 {
    let span = (i128::from(file.last) - i128::from(file.first)).max(0) as u128;
    // A file of few partitions covers next to nothing; without a floor its density would be without bound.
    let share = (span as f64 / u64::MAX as f64).max(1.0 / 1024.0);
    let times = file.bytes as f64 / share / base_bytes.max(1) as f64;
    let ratio = (f64::from(settings.bucket_ratio_percent) / 100.0).max(1.2);
    if times <= ratio { 0 } else { (times.ln() / ratio.ln()) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PickLimits = PickLimits { base_bytes: 100, input_bytes_max: 1_000_000 };

    fn full(number: u64, bytes: u64) -> FileSummary {
        FileSummary { number, bytes, first: i64::MIN, last: i64::MAX }
    }

    fn part(number: u64, bytes: u64, first: i64, last: i64) -> FileSummary {
        FileSummary { number, bytes, first, last }
    }

    #[test]
    fn table_of_cases() {
        let settings = CompactionSettings::default();
        let few: Vec<FileSummary> = (1..=3).map(|n| full(n, 100)).collect();
        let four: Vec<FileSummary> = (1..=4).map(|n| full(n, 100)).collect();
        let mixed: Vec<FileSummary> = (1..=4).map(|n| full(n, 10u64.pow(n as u32 + 1))).collect();
        let beside: Vec<FileSummary> =
            (0..8).map(|n| part(n, 1000, n as i64 * 1_000_000, n as i64 * 1_000_000 + 999_999)).collect();
        let mut above = four.clone();
        above.push(full(9, 50_000));
        let check = |name: &str, files: &[FileSummary], expected: Option<Vec<u64>>| {
            assert_eq!(pick(files, &settings, LIMITS), expected, "{name}");
        };
        check("nothing", &[], None);
        check("too few", &few, None);
        check("enough", &four, Some(vec![1, 2, 3, 4]));
        check("of different size", &mixed, None);
        check("side by side", &beside, None);
        check("a large one stays out", &above, Some(vec![1, 2, 3, 4]));
    }

    #[test]
    fn inputs_are_bounded() {
        let settings = CompactionSettings { files_max: 5, ..Default::default() };
        let many: Vec<FileSummary> = (1..=40).map(|n| full(n, 100)).collect();
        assert_eq!(pick(&many, &settings, LIMITS), Some(vec![1, 2, 3, 4, 5]));
        let tight = PickLimits { input_bytes_max: 450, ..LIMITS };
        assert_eq!(pick(&many, &settings, tight), Some(vec![1, 2, 3, 4]));
        assert_eq!(pick(&many, &settings, PickLimits { input_bytes_max: 350, ..LIMITS }), None);
        assert_eq!(pick_major(&many, 250), Some(vec![1, 2]));
    }
}
