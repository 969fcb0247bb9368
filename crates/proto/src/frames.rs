//! The checksum of frames between nodes.

use crc_fast::{CrcAlgorithm, Digest};

use crate::convert::{ConvertError, broken, u16_of};
use crate::internode::v1::{Frame, Lane};

/// CRC-32C of a frame: of its target, its source (u16, little-endian) and its payload.
pub fn frame_checksum(target: u16, source: u16, payload: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&[target.to_le_bytes(), source.to_le_bytes()].concat());
    digest.update(payload);
    digest.finalize() as u32
}

/// The frame's target and source, if its checksum is right.
pub fn verify_frame(frame: &Frame) -> Result<(u16, u16), ConvertError> {
    let target = u16_of(frame.target, "frames.target")?;
    let source = u16_of(frame.source, "frames.source")?;
    let found = frame_checksum(target, source, &frame.payload);
    if found == frame.crc32c {
        Ok((target, source))
    } else {
        Err(broken("frames.crc32c", format!("is {:08x}, but the frame's content gives {found:08x}", frame.crc32c)))
    }
}

/// The lane that a hello names.
pub fn hello_lane(lane: i32) -> Result<Lane, ConvertError> {
    match Lane::try_from(lane) {
        Ok(Lane::Unspecified) | Err(_) => Err(broken("hello.lane", format!("is {lane}, which is no lane"))),
        Ok(lane) => Ok(lane),
    }
}
