//! Reads the protocol's notations from a body, without copying values and without trusting a length.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Buf as _, Bytes};
use quorate_model::Consistency;
use quorate_model::request::BoundValue;

use crate::error::WireError;

/// A body that is being read. What it returns shares the body's memory.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
    length: usize,
}

impl Reader {
    /// Begins to read.
    pub fn new(bytes: Bytes) -> Self {
        let length = bytes.len();
        Self { bytes, length }
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Where in the body it stands.
    pub fn offset(&self) -> usize {
        self.length - self.bytes.len()
    }

    /// All that is left.
    pub fn rest(&mut self) -> Bytes {
        self.bytes.split_off(0)
    }

    fn need(&self, needed: usize, field: &'static str) -> Result<(), WireError> {
        if self.bytes.len() < needed {
            return Err(WireError::Truncated { field, offset: self.offset(), needed, left: self.bytes.len() });
        }
        Ok(())
    }

    /// So many bytes.
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<Bytes, WireError> {
        self.need(count, field)?;
        Ok(self.bytes.split_to(count))
    }

    /// `[byte]`
    pub fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        self.need(1, field)?;
        Ok(self.bytes.get_u8())
    }

    /// `[short]`
    pub fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        self.need(2, field)?;
        Ok(self.bytes.get_u16())
    }

    /// `[int]`
    pub fn i32(&mut self, field: &'static str) -> Result<i32, WireError> {
        self.need(4, field)?;
        Ok(self.bytes.get_i32())
    }

    /// `[long]`
    pub fn i64(&mut self, field: &'static str) -> Result<i64, WireError> {
        self.need(8, field)?;
        Ok(self.bytes.get_i64())
    }

    /// An `[int]` that counts something, each of which takes at least so many bytes: a count that the rest of the body
    /// cannot hold is refused before anything is reserved for it.
    pub fn count(&mut self, item_bytes: usize, field: &'static str) -> Result<usize, WireError> {
        let offset = self.offset();
        let found = self.i32(field)?;
        let count = usize::try_from(found).map_err(|_| WireError::NegativeLength { field, offset, found })?;
        self.need(count.saturating_mul(item_bytes), field)?;
        Ok(count)
    }

    /// A `[short]` that counts something, likewise.
    pub fn short_count(&mut self, item_bytes: usize, field: &'static str) -> Result<usize, WireError> {
        let count = usize::from(self.u16(field)?);
        self.need(count.saturating_mul(item_bytes), field)?;
        Ok(count)
    }

    /// `[string]`
    pub fn string(&mut self, field: &'static str) -> Result<String, WireError> {
        let length = usize::from(self.u16(field)?);
        self.text(length, field)
    }

    /// `[long string]`
    pub fn long_string(&mut self, field: &'static str) -> Result<String, WireError> {
        let length = self.count(1, field)?;
        self.text(length, field)
    }

    fn text(&mut self, length: usize, field: &'static str) -> Result<String, WireError> {
        self.need(length, field)?;
        let offset = self.offset();
        let text = self.bytes.get(..length).unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|_| WireError::NotUtf8 { field, offset })?.to_owned();
        self.bytes.advance(length);
        Ok(text)
    }

    /// `[short bytes]`
    pub fn short_bytes(&mut self, field: &'static str) -> Result<Bytes, WireError> {
        let length = usize::from(self.u16(field)?);
        self.take(length, field)
    }

    /// `[bytes]`: none if the length is negative.
    pub fn bytes(&mut self, field: &'static str) -> Result<Option<Bytes>, WireError> {
        let length = self.i32(field)?;
        match usize::try_from(length) {
            Ok(length) => self.take(length, field).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// `[value]`: -1 is null; -2 is unset where `unset_allowed` (from v4 on), and null before.
    pub fn value(&mut self, unset_allowed: bool, field: &'static str) -> Result<BoundValue, WireError> {
        let offset = self.offset();
        let length = self.i32(field)?;
        match length {
            0.. => self.take(length.unsigned_abs() as usize, field).map(BoundValue::Bytes),
            -1 => Ok(BoundValue::Null),
            -2 if unset_allowed => Ok(BoundValue::Unset),
            _ if !unset_allowed => Ok(BoundValue::Null),
            found => Err(WireError::NegativeLength { field, offset, found }),
        }
    }

    /// `[uuid]`
    pub fn uuid(&mut self, field: &'static str) -> Result<[u8; 16], WireError> {
        self.need(16, field)?;
        let mut uuid = [0; 16];
        self.bytes.copy_to_slice(&mut uuid);
        Ok(uuid)
    }

    /// `[consistency]`
    pub fn consistency(&mut self) -> Result<Consistency, WireError> {
        let offset = self.offset();
        let code = self.u16("consistency")?;
        Consistency::from_code(code).ok_or(WireError::UnknownNumber {
            field: "consistency",
            offset,
            found: i64::from(code),
        })
    }

    /// `[inetaddr]`
    pub fn inet_address(&mut self, field: &'static str) -> Result<IpAddr, WireError> {
        let offset = self.offset();
        match self.u8(field)? {
            4 => {
                self.need(4, field)?;
                Ok(IpAddr::V4(Ipv4Addr::from_bits(self.bytes.get_u32())))
            }
            16 => {
                self.need(16, field)?;
                Ok(IpAddr::V6(Ipv6Addr::from_bits(self.bytes.get_u128())))
            }
            found => Err(WireError::UnknownNumber { field, offset, found: i64::from(found) }),
        }
    }

    /// `[inet]`
    pub fn inet(&mut self, field: &'static str) -> Result<SocketAddr, WireError> {
        let address = self.inet_address(field)?;
        let offset = self.offset();
        let port = self.i32(field)?;
        let port =
            u16::try_from(port).map_err(|_| WireError::UnknownNumber { field, offset, found: i64::from(port) })?;
        Ok(SocketAddr::new(address, port))
    }

    /// `[string list]`
    pub fn string_list(&mut self, field: &'static str) -> Result<Vec<String>, WireError> {
        let count = self.short_count(2, field)?;
        (0..count).map(|_| self.string(field)).collect()
    }

    /// `[string map]`, in the order in which it was sent.
    pub fn string_map(&mut self, field: &'static str) -> Result<Vec<(String, String)>, WireError> {
        let count = self.short_count(4, field)?;
        (0..count).map(|_| Ok((self.string(field)?, self.string(field)?))).collect()
    }

    /// `[string multimap]`
    pub fn string_multimap(&mut self, field: &'static str) -> Result<Vec<(String, Vec<String>)>, WireError> {
        let count = self.short_count(4, field)?;
        (0..count).map(|_| Ok((self.string(field)?, self.string_list(field)?))).collect()
    }

    /// `[bytes map]`
    pub fn bytes_map(&mut self, field: &'static str) -> Result<Vec<(String, Option<Bytes>)>, WireError> {
        let count = self.short_count(6, field)?;
        (0..count).map(|_| Ok((self.string(field)?, self.bytes(field)?))).collect()
    }
}
