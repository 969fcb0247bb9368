//! Rust types as CQL values, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bytes::Bytes;
use num_bigint::BigInt;
use quorate_model::Value;

/// What a marker is bound to.
#[derive(Clone, Debug, PartialEq)]
pub enum Bind {
    /// The column stays as it is.
    Unset,
    /// A value, or null, which deletes the column.
    Value(Value),
}

/// A Rust value that a marker can be bound to.
pub trait ToValue {
    /// The CQL value.
    fn to_value(&self) -> Value;

    /// What the marker is bound to.
    fn bind(&self) -> Bind {
        Bind::Value(self.to_value())
    }
}

/// A Rust type that a CQL value can be read as.
pub trait FromValue: Sized {
    /// The type's name, for errors.
    const NAME: &'static str;

    /// The value, or `None` if it is of another type.
    fn from_value(value: Value) -> Option<Self>;
}

/// Binds a marker so that the column stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unset;

impl ToValue for Unset {
    fn to_value(&self) -> Value {
        Value::Null
    }

    fn bind(&self) -> Bind {
        Bind::Unset
    }
}

impl ToValue for Bind {
    fn to_value(&self) -> Value {
        match self {
            Self::Unset => Value::Null,
            Self::Value(value) => value.clone(),
        }
    }

    fn bind(&self) -> Bind {
        self.clone()
    }
}

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty) = $variant:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl ToValue for $name {
            fn to_value(&self) -> Value {
                Value::$variant(self.0)
            }
        }

        impl FromValue for $name {
            const NAME: &'static str = stringify!($name);

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::$variant(inner) => Some(Self(inner)),
                    _ => None,
                }
            }
        }
    };
}

newtype! {
    /// A `timestamp`: milliseconds since 1970.
    CqlTimestamp(i64) = Timestamp
}
newtype! {
    /// A `date`: days since 1970-01-01, plus 2^31.
    CqlDate(u32) = Date
}
newtype! {
    /// A `time`: nanoseconds since midnight.
    CqlTime(i64) = Time
}
newtype! {
    /// A `uuid` or `timeuuid`.
    CqlUuid([u8; 16]) = Uuid
}

/// A `duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CqlDuration {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Nanoseconds.
    pub nanoseconds: i64,
}

impl ToValue for CqlDuration {
    fn to_value(&self) -> Value {
        Value::Duration(self.months, self.days, self.nanoseconds)
    }
}

impl FromValue for CqlDuration {
    const NAME: &'static str = "CqlDuration";

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Duration(months, days, nanoseconds) => Some(Self { months, days, nanoseconds }),
            _ => None,
        }
    }
}

/// A `decimal`: `unscaled * 10^-scale`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CqlDecimal {
    /// The digits.
    pub unscaled: BigInt,
    /// Digits after the point.
    pub scale: i32,
}

impl ToValue for CqlDecimal {
    fn to_value(&self) -> Value {
        Value::Decimal(self.unscaled.clone(), self.scale)
    }
}

impl FromValue for CqlDecimal {
    const NAME: &'static str = "CqlDecimal";

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Decimal(unscaled, scale) => Some(Self { unscaled, scale }),
            _ => None,
        }
    }
}

macro_rules! to_value {
    ($($rust:ty: $value:ident => $expression:expr),* $(,)?) => {
        $(impl ToValue for $rust {
            fn to_value(&self) -> Value {
                let $value = self;
                $expression
            }
        })*
    };
}

to_value! {
    Value: value => value.clone(),
    str: value => Value::Text(value.to_owned()),
    String: value => Value::Text(value.clone()),
    i8: value => Value::TinyInt(*value),
    i16: value => Value::SmallInt(*value),
    i32: value => Value::Int(*value),
    i64: value => Value::BigInt(*value),
    u8: value => Value::SmallInt(i16::from(*value)),
    u16: value => Value::Int(i32::from(*value)),
    u32: value => Value::BigInt(i64::from(*value)),
    f32: value => Value::Float(*value),
    f64: value => Value::Double(*value),
    bool: value => Value::Boolean(*value),
    Bytes: value => Value::Blob(value.clone()),
    BigInt: value => Value::Varint(value.clone()),
    IpAddr: value => Value::Inet(*value),
    [u8]: value => Value::Blob(Bytes::copy_from_slice(value)),
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }

    fn bind(&self) -> Bind {
        (**self).bind()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: ToValue> ToValue for Vec<T> {
    fn to_value(&self) -> Value {
        Value::Sequence(self.iter().map(ToValue::to_value).collect())
    }
}

impl<T: ToValue> ToValue for BTreeSet<T> {
    fn to_value(&self) -> Value {
        Value::Sequence(self.iter().map(ToValue::to_value).collect())
    }
}

impl<K: ToValue, V: ToValue> ToValue for BTreeMap<K, V> {
    fn to_value(&self) -> Value {
        Value::Map(self.iter().map(|(key, value)| (key.to_value(), value.to_value())).collect())
    }
}

macro_rules! from_value {
    ($($rust:ty: $($pattern:pat => $expression:expr),+;)*) => {
        $(impl FromValue for $rust {
            const NAME: &'static str = stringify!($rust);

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    $($pattern => Some($expression),)+
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    String: Value::Text(text) => text;
    i8: Value::TinyInt(number) => number;
    i16: Value::SmallInt(number) => number, Value::TinyInt(number) => number.into();
    i32: Value::Int(number) => number, Value::SmallInt(number) => number.into(), Value::TinyInt(number) => number.into();
    i64: Value::BigInt(number) => number, Value::Int(number) => number.into(), Value::SmallInt(number) => number.into(),
        Value::TinyInt(number) => number.into();
    f32: Value::Float(number) => number;
    f64: Value::Double(number) => number, Value::Float(number) => number.into();
    bool: Value::Boolean(flag) => flag;
    Bytes: Value::Blob(bytes) => bytes;
    BigInt: Value::Varint(number) => number, Value::BigInt(number) => number.into(), Value::Int(number) => number.into();
    IpAddr: Value::Inet(address) => address;
}

impl FromValue for Value {
    const NAME: &'static str = "Value";

    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const NAME: &'static str = T::NAME;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// A collection's null (it was never written, or is empty) is the empty collection.
impl<T: FromValue> FromValue for Vec<T> {
    const NAME: &'static str = "Vec";

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::new()),
            Value::Sequence(values) => values.into_iter().map(T::from_value).collect(),
            _ => None,
        }
    }
}

impl<T: FromValue + Ord> FromValue for BTreeSet<T> {
    const NAME: &'static str = "BTreeSet";

    fn from_value(value: Value) -> Option<Self> {
        Vec::from_value(value).map(|values: Vec<T>| values.into_iter().collect())
    }
}

impl<K: FromValue + Ord, V: FromValue> FromValue for BTreeMap<K, V> {
    const NAME: &'static str = "BTreeMap";

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::new()),
            Value::Map(entries) => {
                entries.into_iter().map(|(key, value)| Some((K::from_value(key)?, V::from_value(value)?))).collect()
            }
            _ => None,
        }
    }
}
