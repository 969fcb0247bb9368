//! Calls of scalar functions and operators: chosen by name and by the types of the arguments, then evaluated.

use bytes::Bytes;
use num_bigint::BigInt;
use quorate_model::request::RequestError;
use quorate_model::{CqlType, Value};

use crate::arithmetic;
use crate::ast::{Constant, Term, TermKind};
use crate::bind::Evaluator;
use crate::expr::{Parameters, fits, type_of};
use crate::functions::{self, Function};
use crate::vectors::{self, Likeness};
use crate::{casts, codec, json, moments};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Native {
    /// Time and identity.
    Time(Function),
    Operation(char),
    Negate,
    Math(Math),
    AsBlob,
    FromBlob,
    CollectionCount,
    Fold(Fold),
    MapKeys,
    MapValues,
    ToJson,
    Cast,
    Floor,
    Likeness(Likeness),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Math {
    Abs,
    Exp,
    Log,
    Log10,
    Round,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    Min,
    Max,
    Sum,
    Average,
}

const MATH: [(&str, Math); 5] =
    [("abs", Math::Abs), ("exp", Math::Exp), ("log", Math::Log), ("log10", Math::Log10), ("round", Math::Round)];
/// A function with the types of its arguments and of its result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    native: Native,
    pub(crate) arguments: Vec<CqlType>,
    pub(crate) returns: CqlType,
    /// `system.abs`, for messages and names of columns.
    pub(crate) name: String,
}

/// An argument as far as it is known: its type, or the term that may have several.
pub(crate) struct Argument<'a> {
    pub(crate) exact: Option<CqlType>,
    pub(crate) term: Option<&'a Term>,
    pub(crate) shown: String,
}

impl<'a> Argument<'a> {
    pub(crate) fn of_term(term: &'a Term, parameters: &Parameters) -> Self {
        Self { exact: type_of(term, parameters), term: Some(term), shown: term.to_string() }
    }

    pub(crate) fn of_type(cql_type: &CqlType, shown: String) -> Self {
        Self { exact: Some(cql_type.clone()), term: None, shown }
    }

    pub(crate) fn fits(&self, cql_type: &CqlType, parameters: &Parameters) -> bool {
        match (&self.exact, self.term) {
            (Some(exact), _) => assignable(exact, cql_type),
            (None, Some(term)) => fits(term, cql_type, parameters),
            (None, None) => false,
        }
    }

    /// The type that a literal has where nothing says another.
    pub(crate) fn preferred(&self) -> Option<CqlType> {
        self.exact.clone().or_else(|| self.term.and_then(preferred))
    }
}

fn preferred(term: &Term) -> Option<CqlType> {
    match &term.kind {
        TermKind::Constant(kind, text) => Some(match kind {
            Constant::String => CqlType::Text,
            Constant::Integer if text.parse::<i32>().is_ok() => CqlType::Int,
            Constant::Integer if text.parse::<i64>().is_ok() => CqlType::BigInt,
            Constant::Integer => CqlType::Varint,
            Constant::Uuid => CqlType::Uuid,
            Constant::Float => CqlType::Double,
            Constant::Boolean => CqlType::Boolean,
            Constant::Hex => CqlType::Blob,
            Constant::Duration => CqlType::Duration,
        }),
        TermKind::Tuple(items) => match items.as_slice() {
            [single] => preferred(single),
            _ => None,
        },
        TermKind::List(items) => Some(CqlType::List(Box::new(preferred(items.first()?)?), true)),
        TermKind::Set(items) => Some(CqlType::Set(Box::new(preferred(items.first()?)?), true)),
        _ => None,
    }
}

/// Whether a value of one type can stand where another is wanted, unchanged.
pub(crate) fn assignable(from: &CqlType, to: &CqlType) -> bool {
    from.freeze() == to.freeze()
        || matches!((from, to), (CqlType::Ascii, CqlType::Text) | (CqlType::TimeUuid, CqlType::Uuid))
        || (*to == CqlType::Blob && matches!(from, CqlType::Ascii | CqlType::Text))
}

fn squeezed(name: &str) -> String {
    name.strip_prefix("system.").unwrap_or(name).replace('_', "").to_ascii_lowercase()
}

fn shown_name(name: &str) -> String {
    format!("system.{}", name.strip_prefix("system.").unwrap_or(name))
}

fn no_match(name: &str) -> String {
    format!("Invalid call to function {name}, none of its type signatures match")
}

/// The function with this name for these arguments; `None` if no function has the name.
pub(crate) fn resolve(
    name: &str,
    arguments: &[Argument<'_>],
    receiver: Option<&CqlType>,
    parameters: &Parameters,
) -> Option<Result<Call, String>> {
    let short = squeezed(name);
    let full = shown_name(name);
    let call = |native, arguments: Vec<CqlType>, returns| Call { native, arguments, returns, name: full.clone() };
    if let Some(function) = Function::find(name) {
        return Some(
            time_function(function, &full, arguments, parameters)
                .map(|types| call(Native::Time(function), types, function.return_type())),
        );
    }
    if let Some((_, math)) = MATH.iter().find(|(known, _)| *known == short) {
        let [argument] = arguments else { return Some(Err(no_match(name))) };
        let wanted = argument.exact.clone().or_else(|| {
            receiver.filter(|wanted| arithmetic::is_number(wanted) && argument.fits(wanted, parameters)).cloned()
        });
        let found = wanted.or_else(|| argument.preferred()).filter(arithmetic::is_number);
        return Some(found.map(|own| call(Native::Math(*math), vec![own.clone()], own)).ok_or_else(|| no_match(name)));
    }
    if let Some((native, cql_type)) = blob_function(&short) {
        let (from, to) = if native == Native::AsBlob { (cql_type, CqlType::Blob) } else { (CqlType::Blob, cql_type) };
        return Some(match arguments {
            [argument] if argument.fits(&from, parameters) => Ok(call(native, vec![from], to)),
            // Bytes are bytes, whatever they stand for.
            [Argument { exact: Some(own), .. }] if native == Native::FromBlob && !own.is_collection() => {
                Ok(call(native, vec![own.clone()], to))
            }
            [Argument { exact: Some(_), shown, .. }] => {
                Err(format!("Type error: {shown} cannot be passed as argument 0 of function {full} of type {from}"))
            }
            _ => Err(no_match(name)),
        });
    }
    if let Some(likeness) = Likeness::find(&short) {
        let wrong = arguments.iter().find_map(|argument| {
            let own = argument.exact.as_ref().filter(|own| !vectors::is_float_vector(own))?;
            Some(format!(
                "Function {full} requires a float vector argument, but found argument {} of type {own}",
                argument.shown
            ))
        });
        if let Some(message) = wrong.filter(|_| arguments.len() == 2) {
            return Some(Err(message));
        }
        let found = arguments.iter().find_map(|argument| argument.exact.clone().filter(vectors::is_float_vector));
        let types = found.filter(|own| arguments.len() == 2 && arguments.iter().all(|a| a.fits(own, parameters)));
        return Some(
            types
                .map(|own| call(Native::Likeness(likeness), vec![own.clone(), own], CqlType::Float))
                .ok_or_else(|| no_match(name)),
        );
    }
    collection_function(name, &short, arguments, parameters)
}

/// Functions whose one argument may have any type of a kind.
fn collection_function(
    name: &str,
    short: &str,
    arguments: &[Argument<'_>],
    parameters: &Parameters,
) -> Option<Result<Call, String>> {
    let full = shown_name(name);
    let call = |native, arguments: Vec<CqlType>, returns| Call { native, arguments, returns, name: full.clone() };
    let one = |native: fn(&CqlType) -> Result<(Native, CqlType), &'static str>| {
        let [argument] = arguments else {
            return Err(format!(
                "Invalid number of arguments in call to function {full}: 1 required but {} provided",
                arguments.len()
            ));
        };
        let own = argument.preferred().ok_or_else(|| {
            format!("Cannot infer type for term {} in function call (try using a cast to force a type)", argument.shown)
        })?;
        let (native, returns) = native(&own).map_err(|wanted| {
            format!("Function {full} requires a {wanted} argument, but found argument {} of type {own}", argument.shown)
        })?;
        Ok(call(native, vec![own], returns))
    };
    Some(match short {
        "collectioncount" => one(|own| match own.is_collection() {
            true => Ok((Native::CollectionCount, CqlType::Int)),
            false => Err("collection"),
        }),
        "collectionmin" => one(|own| fold(Fold::Min, own)),
        "collectionmax" => one(|own| fold(Fold::Max, own)),
        "collectionsum" => one(|own| fold(Fold::Sum, own)),
        "collectionavg" => one(|own| fold(Fold::Average, own)),
        "mapkeys" => one(|own| match own {
            CqlType::Map(key, ..) => Ok((Native::MapKeys, CqlType::Set(key.clone(), true))),
            _ => Err("map"),
        }),
        "mapvalues" => one(|own| match own {
            CqlType::Map(_, value, _) => Ok((Native::MapValues, CqlType::List(value.clone(), true))),
            _ => Err("map"),
        }),
        "tojson" => one(|_| Ok((Native::ToJson, CqlType::Text))),
        "floor" => floor(arguments, parameters)
            .map(|(types, own)| call(Native::Floor, types, own))
            .ok_or_else(|| no_match(name)),
        _ => return None,
    })
}

fn fold(fold: Fold, own: &CqlType) -> Result<(Native, CqlType), &'static str> {
    let (CqlType::List(element, _) | CqlType::Set(element, _)) = own else {
        return Err(match fold {
            Fold::Min | Fold::Max => "set or list",
            Fold::Sum | Fold::Average => "numeric set/list",
        });
    };
    if matches!(fold, Fold::Sum | Fold::Average) && !arithmetic::is_number(element) {
        return Err("numeric set/list");
    }
    Ok((Native::Fold(fold), element.as_ref().clone()))
}

fn floor(arguments: &[Argument<'_>], parameters: &Parameters) -> Option<(Vec<CqlType>, CqlType)> {
    let (value, step, start) = match arguments {
        [value, step] => (value, step, None),
        [value, step, start] => (value, step, Some(start)),
        _ => return None,
    };
    let (own, step_type) = match value.preferred()? {
        own @ (CqlType::Timestamp | CqlType::Date | CqlType::Time) => (own, CqlType::Duration),
        CqlType::TimeUuid => (CqlType::Timestamp, CqlType::Duration),
        _ => return None,
    };
    let given = value.preferred()?;
    if !step.fits(&step_type, parameters) || start.is_some_and(|start| !start.fits(&own, parameters)) {
        return None;
    }
    let mut types = vec![given, step_type];
    types.extend(start.map(|_| own.clone()));
    Some((types, own))
}

fn time_function(
    function: Function,
    full: &str,
    arguments: &[Argument<'_>],
    parameters: &Parameters,
) -> Result<Vec<CqlType>, String> {
    let types = function.argument_types();
    if types.len() != arguments.len() {
        if types.len() == 1 {
            return Err(no_match(full));
        }
        return Err(format!(
            "Invalid number of arguments in call to function {full}: {} required but {} provided",
            types.len(),
            arguments.len()
        ));
    }
    let chosen = arguments
        .iter()
        .zip(types)
        .map(|(argument, choices)| choices.iter().find(|candidate| argument.fits(candidate, parameters)).cloned());
    chosen.collect::<Option<_>>().ok_or_else(|| no_match(full.strip_prefix("system.").unwrap_or(full)))
}

/// `int_as_blob`, `blob_as_int`, with and without underscores.
fn blob_function(short: &str) -> Option<(Native, CqlType)> {
    let (native, name) = match (short.strip_suffix("asblob"), short.strip_prefix("blobas")) {
        (Some(name), _) => (Native::AsBlob, name),
        (None, Some(name)) => (Native::FromBlob, name),
        (None, None) => return None,
    };
    let cql_type = CqlType::parse_name(name).filter(|found| *found != CqlType::Blob)?;
    Some((native, cql_type))
}

/// The operator for these operands.
pub(crate) fn operation(
    operator: char,
    operands: &[Argument<'_>],
    receiver: Option<&CqlType>,
    parameters: &Parameters,
) -> Result<Call, String> {
    let call = |native, arguments: Vec<CqlType>, returns: CqlType, name: &str| Call {
        native,
        arguments,
        returns,
        name: format!("system.{name}"),
    };
    if let [operand] = operands {
        let wanted = receiver.filter(|wanted| operand.exact.is_none() && operand.fits(wanted, parameters)).cloned();
        let own = wanted.or_else(|| operand.preferred()).filter(arithmetic::is_number);
        return own
            .map(|own| call(Native::Negate, vec![own.clone()], own, "_negate"))
            .ok_or_else(|| no_match("system._negate"));
    }
    let [left, right] = operands else { return Err("an operator needs operands".to_owned()) };
    let unsupported =
        || format!("the '{operator}' operation is not supported between {} and {}", left.shown, right.shown);
    let is_unknown = |argument: &Argument<'_>| argument.exact.is_none() && argument.preferred().is_none();
    if receiver.is_none() && (is_unknown(left) || is_unknown(right)) {
        return Err(format!(
            "Ambiguous '{operator}' operation with args {} and {}: use type hint to disambiguate, example '(int) ?'",
            left.shown, right.shown
        ));
    }
    let neither_known = left.exact.is_none() && right.exact.is_none();
    if let Some(wanted) = receiver.filter(|_| neither_known) {
        if arithmetic::is_moment(wanted)
            && left.fits(wanted, parameters)
            && right.fits(&CqlType::Duration, parameters)
            && matches!(operator, '+' | '-')
        {
            return Ok(call(Native::Operation(operator), vec![wanted.clone(), CqlType::Duration], wanted.clone(), ""));
        }
        if arithmetic::result(operator, wanted, wanted).is_some()
            && left.fits(wanted, parameters)
            && right.fits(wanted, parameters)
        {
            return Ok(call(Native::Operation(operator), vec![wanted.clone(); 2], wanted.clone(), ""));
        }
        return Err(unsupported());
    }
    let of = |argument: &Argument<'_>, other: &Argument<'_>| {
        argument.preferred().or_else(|| other.preferred().filter(|wanted| argument.fits(wanted, parameters)))
    };
    let (Some(first), Some(second)) = (of(left, right), of(right, left)) else { return Err(unsupported()) };
    let result = arithmetic::result(operator, &first, &second).ok_or_else(unsupported)?;
    Ok(call(Native::Operation(operator), vec![first, second], result, ""))
}

/// `CAST(x AS type)`; `None` where the value already has the type.
pub(crate) fn cast(from: &CqlType, to: &CqlType, shown: &str) -> Result<Option<Call>, String> {
    if from == to {
        return Ok(None);
    }
    if !casts::is_target(to) {
        return Err(format!("{shown} cannot be cast to {to}"));
    }
    if !casts::is_possible(from, to) {
        return Err(no_match(&format!("system.cast_as_{to}")));
    }
    let name = "system.cast".to_owned();
    Ok(Some(Call { native: Native::Cast, arguments: vec![from.clone()], returns: to.clone(), name }))
}

impl Call {
    /// Calls it. A null argument gives null, but for `to_json`.
    pub(crate) fn eval(
        &self,
        values: &[Option<Bytes>],
        evaluator: Option<&mut Evaluator<'_>>,
    ) -> Result<Option<Bytes>, RequestError> {
        if let (Native::Time(function), Some(evaluator)) = (self.native, evaluator) {
            let typed: Vec<_> = self.arguments.iter().cloned().zip(values.iter().cloned()).collect();
            return functions::call(function, &typed, evaluator);
        }
        if self.native == Native::ToJson {
            let text = match (self.arguments.first(), values.first()) {
                (Some(cql_type), Some(Some(bytes))) => json::to_json(cql_type, bytes).map_err(RequestError::invalid)?,
                _ => "null".to_owned(),
            };
            return Ok(Some(text.into()));
        }
        let Some(given) = values.iter().cloned().collect::<Option<Vec<Bytes>>>() else { return Ok(None) };
        self.of_given(&given, values)
    }

    fn of_given(&self, given: &[Bytes], values: &[Option<Bytes>]) -> Result<Option<Bytes>, RequestError> {
        let (Some(first), Some(own)) = (given.first(), self.arguments.first()) else { return Ok(None) };
        let decoded = || -> Result<Vec<Value>, RequestError> {
            let pairs = self.arguments.iter().zip(given);
            pairs.map(|(cql_type, bytes)| codec::decode(cql_type, bytes).map_err(RequestError::invalid)).collect()
        };
        let result = match self.native {
            Native::Time(function) => {
                let typed: Vec<_> = self.arguments.iter().cloned().zip(values.iter().cloned()).collect();
                return functions::convert(function, &typed);
            }
            Native::AsBlob => return Ok(Some(first.clone())),
            Native::FromBlob => {
                codec::validate(&self.returns, first).map_err(|_| {
                    let hex: String = first.iter().map(|byte| format!("{byte:02x}")).collect();
                    RequestError::invalid(format!(
                        "In call to function {}, value 0x{hex} is not a valid binary representation for type {}",
                        self.name, self.returns
                    ))
                })?;
                return Ok(Some(first.clone()));
            }
            Native::CollectionCount => {
                let step = if matches!(own, CqlType::Map(..)) { 2 } else { 1 };
                let count = codec::split(own, first).map_err(RequestError::invalid)?.len() / step;
                Ok(Value::Int(i32::try_from(count).unwrap_or(i32::MAX)))
            }
            Native::Fold(fold) => return self.fold(fold, own, first),
            Native::MapKeys | Native::MapValues => {
                let skip = usize::from(self.native == Native::MapValues);
                let parts = codec::split(own, first).map_err(RequestError::invalid)?;
                let parts: Vec<Bytes> = parts.into_iter().skip(skip).step_by(2).flatten().collect();
                return Ok(Some(codec::collection(&parts, 1)));
            }
            Native::Cast => casts::cast(own, &self.returns, decoded()?.into_iter().next().unwrap_or(Value::Null)),
            Native::Negate => arithmetic::negate(&self.returns, decoded()?.into_iter().next().unwrap_or(Value::Null)),
            Native::Math(math) => {
                arithmetic::math(math, &self.returns, decoded()?.into_iter().next().unwrap_or(Value::Null))
            }
            Native::Floor => moments::floor(&self.returns, &decoded()?),
            Native::Operation(operator) => match decoded()?.as_slice() {
                [left, right] => {
                    let result = arithmetic::operate(operator, &self.returns, left, right);
                    Ok(result.map_err(|problem| self.operation_failure(operator, &problem))?)
                }
                _ => Ok(Value::Null),
            },
            Native::Likeness(likeness) => match decoded()?.as_slice() {
                [left, right] => likeness.of(left, right),
                _ => Ok(Value::Null),
            },
            Native::ToJson => Ok(Value::Null),
        };
        match result.map_err(RequestError::invalid)? {
            Value::Null => Ok(None),
            value => codec::encode(&self.returns, &value).map(Some).map_err(RequestError::invalid),
        }
    }

    fn operation_failure(&self, operator: impl std::fmt::Display, problem: &str) -> RequestError {
        let argument_types: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        let message = format!("the operation '{}' failed: {problem}", argument_types.join(&format!(" {operator} ")));
        RequestError::FunctionFailure {
            keyspace: "system".to_owned(),
            function: operator.to_string(),
            argument_types,
            message,
        }
    }

    fn fold(&self, fold: Fold, own: &CqlType, collection: &Bytes) -> Result<Option<Bytes>, RequestError> {
        let element = &self.returns;
        let parts: Vec<Bytes> =
            codec::split(own, collection).map_err(RequestError::invalid)?.into_iter().flatten().collect();
        let order = |left: &&Bytes, right: &&Bytes| codec::compare(element, left, right);
        match fold {
            Fold::Min => return Ok(parts.iter().min_by(order).cloned()),
            Fold::Max => return Ok(parts.iter().max_by(order).cloned()),
            Fold::Sum | Fold::Average => {}
        }
        let name = if fold == Fold::Sum { "sum" } else { "avg" };
        let (aggregate, _) = crate::aggregate::Aggregate::new(name, crate::selection::Output::Token, element)
            .map_err(RequestError::invalid)?;
        let mut accumulator = crate::aggregate::Accumulator::new(&aggregate);
        for part in parts {
            accumulator.add(Some(part))?;
        }
        Ok(accumulator.finish())
    }
}

/// Whether the name is of a function that needs what is read to be turned into a type that only its receiver knows.
pub(crate) fn is_from_json(name: &str) -> bool {
    squeezed(name) == "fromjson"
}

/// Ten to a power, for scales of decimals.
pub(crate) fn ten_to(power: u32) -> BigInt {
    BigInt::from(10).pow(power)
}
