//! Compression of bodies (v3, v4) and of segments (v5). What is announced is checked before anything is reserved.

use bytes::{BufMut as _, Bytes, BytesMut};

/// How a connection's bodies or segments are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// LZ4 blocks, in all versions.
    Lz4,
    /// Snappy's raw format, in v3 and v4.
    Snappy,
}

impl Compression {
    /// Its name in `STARTUP` and `SUPPORTED`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
        }
    }

    /// The compression with this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Lz4, Self::Snappy].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// Appends a compressed body as v3 and v4 have it.
    pub(crate) fn compress_body(self, body: &[u8], out: &mut BytesMut) {
        match self {
            Self::Lz4 => {
                assert!(u32::try_from(body.len()).is_ok(), "a body of {} bytes", body.len());
                out.put_u32(body.len() as u32);
                out.put_slice(&lz4_flex::block::compress(body));
            }
            Self::Snappy => {
                // It fails for inputs of 4 GiB and more only.
                let compressed = snap::raw::Encoder::new().compress_vec(body);
                assert!(compressed.is_ok(), "a body of {} bytes", body.len());
                out.put_slice(&compressed.unwrap_or_default());
            }
        }
    }

    /// Decompresses such a body to at most so many bytes.
    pub(crate) fn decompress_body(self, body: &[u8], max: u32) -> Result<Bytes, &'static str> {
        match self {
            Self::Lz4 => {
                let (length, block) = body.split_first_chunk::<4>().ok_or("its length is missing")?;
                let length = u32::from_be_bytes(*length);
                check_length(length, block.len(), LZ4_RATIO_MAX, max)?;
                decompress_lz4(block, length as usize)
            }
            Self::Snappy => {
                let length = snap::raw::decompress_len(body).map_err(|_| "it does not tell its length")?;
                let length = u32::try_from(length).map_err(|_| "it is too big")?;
                check_length(length, body.len(), SNAPPY_RATIO_MAX, max)?;
                let body = snap::raw::Decoder::new().decompress_vec(body).map_err(|_| "it is not snappy")?;
                Ok(body.into())
            }
        }
    }
}

/// One byte of an LZ4 block stands for at most this many.
const LZ4_RATIO_MAX: u64 = 255;
/// Three bytes of Snappy stand for at most 64.
const SNAPPY_RATIO_MAX: u64 = 64;

fn check_length(length: u32, compressed: usize, ratio: u64, max: u32) -> Result<(), &'static str> {
    if length > max {
        return Err("it is too big");
    }
    if u64::from(length) > (compressed as u64).saturating_mul(ratio) {
        return Err("so few bytes cannot be so many");
    }
    Ok(())
}

/// Decompresses a block that must give exactly so many bytes. The length was checked.
pub(crate) fn decompress_lz4(block: &[u8], length: usize) -> Result<Bytes, &'static str> {
    let body = lz4_flex::block::decompress(block, length).map_err(|_| "it is not LZ4")?;
    if body.len() != length {
        return Err("it has another length than it says");
    }
    Ok(body.into())
}
