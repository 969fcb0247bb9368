//! Likeness of vectors: 0 to 1 (of dot products: any number), the greater the more alike.

use quorate_model::{CqlType, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    Cosine,
    Euclidean,
    DotProduct,
}

impl Likeness {
    /// By the function's name without underscores.
    pub(crate) fn find(short: &str) -> Option<Self> {
        Some(match short {
            "similaritycosine" => Self::Cosine,
            "similarityeuclidean" => Self::Euclidean,
            "similaritydotproduct" => Self::DotProduct,
            _ => return None,
        })
    }

    pub(crate) fn of(self, left: &Value, right: &Value) -> Result<Value, String> {
        let (left, right) = (floats(left), floats(right));
        let dot = |one: &[f32], other: &[f32]| -> f32 { one.iter().zip(other).map(|(a, b)| a * b).sum() };
        let product = dot(&left, &right);
        Ok(Value::Float(match self {
            Self::DotProduct => (1.0 + product) / 2.0,
            Self::Euclidean => {
                let squares: f32 = left.iter().zip(&right).map(|(a, b)| (a - b) * (a - b)).sum();
                1.0 / (1.0 + squares)
            }
            Self::Cosine => {
                let lengths = dot(&left, &left) * dot(&right, &right);
                if lengths == 0.0 {
                    return Err("Function system.similarity_cosine doesn't support all-zero vectors.".to_owned());
                }
                (1.0 + product / lengths.sqrt()) / 2.0
            }
        }))
    }
}

/// Whether the type is a vector of floats.
pub(crate) fn is_float_vector(cql_type: &CqlType) -> bool {
    matches!(cql_type, CqlType::Vector(element, _) if **element == CqlType::Float)
}

fn floats(value: &Value) -> Vec<f32> {
    let Value::Sequence(items) = value else { return Vec::new() };
    items.iter().map(|item| if let Value::Float(number) = item { *number } else { 0.0 }).collect()
}
