//! Writes the protocol's notations.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut as _, Bytes, BytesMut};
use quorate_model::Consistency;
use quorate_model::request::BoundValue;

use crate::limits::{COUNT_MAX, STRING_BYTES_MAX};

/// Appends to a buffer. What has a two-byte length and is longer is cut: texts at a character, lists at their end.
/// Requests check their counts before ([`crate::RequestMessage::check`]), so that nothing of a request is ever cut.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
}

impl<'a> Writer<'a> {
    /// Appends to this buffer.
    pub fn new(out: &'a mut BytesMut) -> Self {
        Self { out }
    }

    /// As it is.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }

    /// `[byte]`
    pub fn u8(&mut self, value: u8) {
        self.out.put_u8(value);
    }

    /// `[short]`
    pub fn u16(&mut self, value: u16) {
        self.out.put_u16(value);
    }

    /// `[int]`
    pub fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    /// `[int]` of an unsigned number; what does not fit is the greatest that does.
    pub fn u32(&mut self, value: u32) {
        self.i32(i32::try_from(value).unwrap_or(i32::MAX));
    }

    /// `[long]`
    pub fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    /// A length or count of four bytes. Nothing that we hold in memory is longer.
    pub fn count(&mut self, count: usize) {
        assert!(i32::try_from(count).is_ok(), "{count} does not fit a length of the protocol");
        self.out.put_u32(count as u32);
    }

    /// `[string]`
    pub fn string(&mut self, text: &str) {
        let end = text.floor_char_boundary(STRING_BYTES_MAX);
        let text = text.get(..end).unwrap_or_default();
        self.u16(text.len() as u16);
        self.raw(text.as_bytes());
    }

    /// `[long string]`
    pub fn long_string(&mut self, text: &str) {
        self.count(text.len());
        self.raw(text.as_bytes());
    }

    /// `[short bytes]`
    pub fn short_bytes(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= COUNT_MAX, "{} bytes do not fit [short bytes]", bytes.len());
        self.u16(bytes.len() as u16);
        self.raw(bytes);
    }

    /// `[bytes]`
    pub fn bytes(&mut self, bytes: Option<&Bytes>) {
        match bytes {
            Some(bytes) => {
                self.count(bytes.len());
                self.raw(bytes);
            }
            None => self.i32(-1),
        }
    }

    /// `[value]`
    pub fn value(&mut self, value: &BoundValue) {
        match value {
            BoundValue::Bytes(bytes) => self.bytes(Some(bytes)),
            BoundValue::Null => self.i32(-1),
            BoundValue::Unset => self.i32(-2),
        }
    }

    /// `[consistency]`
    pub fn consistency(&mut self, level: Consistency) {
        self.u16(level.code());
    }

    /// `[inetaddr]`
    pub fn inet_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                self.u8(4);
                self.raw(&address.octets());
            }
            IpAddr::V6(address) => {
                self.u8(16);
                self.raw(&address.octets());
            }
        }
    }

    /// `[inet]`
    pub fn inet(&mut self, address: SocketAddr) {
        self.inet_address(address.ip());
        self.i32(i32::from(address.port()));
    }

    /// `[string list]`
    pub fn string_list(&mut self, list: &[String]) {
        let list = list.get(..COUNT_MAX).unwrap_or(list);
        self.u16(list.len() as u16);
        for text in list {
            self.string(text);
        }
    }

    /// `[string map]`
    pub fn string_map(&mut self, map: &[(String, String)]) {
        let map = map.get(..COUNT_MAX).unwrap_or(map);
        self.u16(map.len() as u16);
        for (key, value) in map {
            self.string(key);
            self.string(value);
        }
    }

    /// `[string multimap]`
    pub fn string_multimap(&mut self, map: &[(String, Vec<String>)]) {
        let map = map.get(..COUNT_MAX).unwrap_or(map);
        self.u16(map.len() as u16);
        for (key, values) in map {
            self.string(key);
            self.string_list(values);
        }
    }

    /// `[bytes map]`
    pub fn bytes_map(&mut self, map: &[(String, Option<Bytes>)]) {
        let map = map.get(..COUNT_MAX).unwrap_or(map);
        self.u16(map.len() as u16);
        for (key, value) in map {
            self.string(key);
            self.bytes(value.as_ref());
        }
    }
}
