//! Byte-comparable encodings.
