//! The values of one statement.

use bytes::Bytes;
use quorate_model::Value;
use quorate_model::request::{BoundValue, ResultMetadata, Values};

use crate::codec::encode;
use crate::error::ValueError;
use crate::value::{Bind, ToValue};

/// Values for a statement's markers.
#[derive(Clone, Debug, PartialEq)]
pub enum Binds {
    /// In the order of the markers.
    Positional(Vec<Bind>),
    /// By the markers' names.
    Named(Vec<(String, Bind)>),
}

impl Binds {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Positional(values) => values.is_empty(),
            Self::Named(values) => values.is_empty(),
        }
    }

    /// Encodes them as the markers' types say.
    pub(crate) fn encode(&self, parameters: &ResultMetadata) -> Result<Values, ValueError> {
        let columns = &parameters.columns;
        match self {
            Self::Positional(binds) => {
                if binds.len() != columns.len() {
                    return Err(ValueError {
                        place: "statement".to_owned(),
                        expected: format!("{} values", columns.len()),
                        found: binds.len().to_string(),
                    });
                }
                let values = columns
                    .iter()
                    .zip(binds)
                    .map(|(column, bind)| encode_bind(&column.cql_type, bind, &column.name))
                    .collect::<Result<_, _>>()?;
                Ok(Values::Positional(values))
            }
            Self::Named(binds) => {
                if let Some((name, _)) =
                    binds.iter().find(|(name, _)| !columns.iter().any(|column| column.name == *name))
                {
                    return Err(ValueError {
                        place: name.clone(),
                        expected: "a marker of the statement".to_owned(),
                        found: "none of this name".to_owned(),
                    });
                }
                // Sent by position, so that routing finds the partition key; what is not named is left unset.
                let values = columns
                    .iter()
                    .map(|column| match binds.iter().find(|(name, _)| *name == column.name) {
                        Some((_, bind)) => encode_bind(&column.cql_type, bind, &column.name),
                        None => Ok(BoundValue::Unset),
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Values::Positional(values))
            }
        }
    }
}

fn encode_bind(cql_type: &quorate_model::CqlType, bind: &Bind, place: &str) -> Result<BoundValue, ValueError> {
    match bind {
        Bind::Unset => Ok(BoundValue::Unset),
        Bind::Value(value) => Ok(encode(cql_type, value, place)?.map_or(BoundValue::Null, BoundValue::Bytes)),
    }
}

/// The serialised partition key, if the markers give all of it.
pub(crate) fn partition_key(indexes: &[u16], values: &Values) -> Option<Bytes> {
    let Values::Positional(values) = values else { return None };
    let component = |index: &u16| match values.get(usize::from(*index)) {
        Some(BoundValue::Bytes(bytes)) => Some(bytes.clone()),
        _ => None,
    };
    match indexes {
        [] => None,
        [single] => component(single),
        several => {
            let mut key = Vec::new();
            for index in several {
                let bytes = component(index)?;
                key.extend_from_slice(&u16::try_from(bytes.len()).ok()?.to_be_bytes());
                key.extend_from_slice(&bytes);
                key.push(0);
            }
            Some(key.into())
        }
    }
}

/// What can give the values of a statement: a tuple of up to 16 values, a slice or vector of values, [`Named`] ones, or
/// `()` for none.
pub trait ToValues {
    /// The values.
    fn to_values(&self) -> Binds;
}

/// Values by the markers' names.
///
/// ```
/// use quorate_client::{Named, ToValue};
///
/// let values = Named::new().with("origin", "JFK").with("month", 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Named(Vec<(String, Bind)>);

impl Named {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl ToValue) -> Self {
        self.0.push((name.into(), value.bind()));
        self
    }
}

impl ToValues for Named {
    fn to_values(&self) -> Binds {
        Binds::Named(self.0.clone())
    }
}

impl ToValues for Binds {
    fn to_values(&self) -> Binds {
        self.clone()
    }
}

impl ToValues for () {
    fn to_values(&self) -> Binds {
        Binds::Positional(Vec::new())
    }
}

impl<T: ToValue> ToValues for [T] {
    fn to_values(&self) -> Binds {
        Binds::Positional(self.iter().map(ToValue::bind).collect())
    }
}

impl<T: ToValue> ToValues for Vec<T> {
    fn to_values(&self) -> Binds {
        self.as_slice().to_values()
    }
}

impl<T: ToValue, const N: usize> ToValues for [T; N] {
    fn to_values(&self) -> Binds {
        self.as_slice().to_values()
    }
}

impl<T: ToValues + ?Sized> ToValues for &T {
    fn to_values(&self) -> Binds {
        (**self).to_values()
    }
}

/// Calls a macro with every tuple of 1 to 16 type parameters.
macro_rules! each_tuple {
    ($macro:ident) => {
        $macro!(A 0);
        $macro!(A 0, B 1);
        $macro!(A 0, B 1, C 2);
        $macro!(A 0, B 1, C 2, D 3);
        $macro!(A 0, B 1, C 2, D 3, E 4);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
        $macro!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);
    };
}
pub(crate) use each_tuple;

macro_rules! tuple_to_values {
    ($($name:ident $index:tt),+) => {
        impl<$($name: ToValue),+> ToValues for ($($name,)+) {
            fn to_values(&self) -> Binds {
                Binds::Positional(vec![$(self.$index.bind()),+])
            }
        }
    };
}
each_tuple!(tuple_to_values);

impl From<Vec<Value>> for Binds {
    fn from(values: Vec<Value>) -> Self {
        Self::Positional(values.into_iter().map(Bind::Value).collect())
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::CqlType;
    use quorate_model::request::ColumnSpec;

    use super::*;

    fn markers(types: &[(&str, CqlType)]) -> ResultMetadata {
        let column = |(name, cql_type): &(&str, CqlType)| ColumnSpec {
            keyspace: "k".to_owned(),
            table: "t".to_owned(),
            name: (*name).to_owned(),
            cql_type: cql_type.clone(),
        };
        ResultMetadata { columns: types.iter().map(column).collect() }
    }

    #[test]
    fn tuples_fit_their_markers() {
        let markers = markers(&[("a", CqlType::Int), ("b", CqlType::Text)]);
        let values = (1, "x").to_values().encode(&markers).unwrap();
        let Values::Positional(values) = values else { panic!("not positional") };
        assert_eq!(values[1], BoundValue::Bytes(Bytes::from_static(b"x")));
        assert!((1,).to_values().encode(&markers).is_err());
        assert!(("x", 1).to_values().encode(&markers).is_err());
    }

    #[test]
    fn names_find_their_markers_and_the_rest_is_unset() {
        let markers = markers(&[("a", CqlType::Int), ("b", CqlType::Text)]);
        let values = Named::new().with("b", "x").to_values().encode(&markers).unwrap();
        let expected = vec![BoundValue::Unset, BoundValue::Bytes(Bytes::from_static(b"x"))];
        assert_eq!(values, Values::Positional(expected));
        let error = Named::new().with("c", 1).to_values().encode(&markers).unwrap_err();
        assert_eq!(error.place, "c");
    }

    #[test]
    fn partition_keys_are_serialised_as_drivers_do() {
        let bytes = |bytes: &'static [u8]| BoundValue::Bytes(Bytes::from_static(bytes));
        let values = Values::Positional(vec![bytes(b"JFK"), bytes(b"\0\0\0\x01"), BoundValue::Null]);
        assert_eq!(partition_key(&[0], &values).unwrap().as_ref(), b"JFK");
        assert_eq!(partition_key(&[0, 1], &values).unwrap().as_ref(), b"\0\x03JFK\0\0\x04\0\0\0\x01\0");
        assert_eq!(partition_key(&[2], &values), None);
        assert_eq!(partition_key(&[], &values), None);
        assert_eq!(partition_key(&[9], &values), None);
    }
}
