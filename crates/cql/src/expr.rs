//! Typed values: terms checked against the type that receives them, evaluated when the statement is bound.

use std::sync::Arc;

use bytes::Bytes;
use quorate_model::CqlType;
use quorate_model::request::{BoundValue, ColumnSpec, Place, RequestError, ResultMetadata};
use quorate_model::schema::{Keyspace, Schema, Table};

use crate::ast::{Constant, Name, Term, TermKind, TypeName};
use crate::bind::Evaluator;
use crate::calls::{self, Argument, Call};
use crate::codec;
use crate::insert_json::JsonColumn;
use crate::json;
use crate::types::{self, Scope};

/// A typed value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Null,
    /// The type's binary encoding.
    Value(Bytes),
    Marker(u16, CqlType),
    /// A collection or tuple literal of which some part is known only when bound.
    Composite(CqlType, Vec<Expr>),
    /// The token of these values as a partition key.
    Token(Vec<Expr>),
    /// A call of a function or operator.
    Call(Box<Call>, Vec<Expr>),
    /// The value of this type in a JSON text.
    FromJson(CqlType, Box<Expr>),
    /// A column of `INSERT … JSON`.
    JsonColumn(Arc<JsonColumn>),
}

/// A value when bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Null,
    Unset,
    Value(Bytes),
}

impl Bound {
    /// The value; null for both null and unset.
    pub(crate) fn into_option(self) -> Option<Bytes> {
        match self {
            Self::Value(bytes) => Some(bytes),
            Self::Null | Self::Unset => None,
        }
    }
}

/// What receives a value: its name in messages and in the markers' metadata, and its type.
pub(crate) struct Receiver<'a> {
    pub(crate) name: &'a str,
    pub(crate) cql_type: &'a CqlType,
}

/// The bind markers found so far.
pub(crate) struct Parameters {
    keyspace: String,
    table: String,
    specs: Vec<Option<ColumnSpec>>,
    /// Whose user types values may have.
    owner: Option<Arc<Keyspace>>,
}

impl Parameters {
    pub(crate) fn new() -> Self {
        Self { keyspace: String::new(), table: String::new(), specs: Vec::new(), owner: None }
    }

    /// Where a value's types are looked for.
    pub(crate) fn scope(&self) -> Scope<'_> {
        self.owner.as_ref().map_or(Scope::NONE, |keyspace| Scope::of(keyspace))
    }

    /// Further markers belong to this table (the statements of a batch).
    pub(crate) fn set_table(&mut self, table: &Table, schema: &Schema) {
        self.owner = schema.keyspace(&table.keyspace).cloned();
        self.keyspace.clone_from(&table.keyspace);
        self.table.clone_from(&table.name);
    }

    fn add(&mut self, index: u16, name: String, cql_type: CqlType) {
        let index = usize::from(index);
        if self.specs.len() <= index {
            self.specs.resize(index + 1, None);
        }
        let spec = ColumnSpec { keyspace: self.keyspace.clone(), table: self.table.clone(), name, cql_type };
        if let Some(slot) = self.specs.get_mut(index) {
            *slot = Some(spec);
        }
    }

    /// All of them, in order. One that nothing reads (the first of `USING TTL ? AND TTL ?`) has no type.
    pub(crate) fn finish(self) -> Result<ResultMetadata, RequestError> {
        let columns: Option<Vec<ColumnSpec>> = self.specs.into_iter().collect();
        let columns =
            columns.ok_or_else(|| RequestError::invalid("A bind marker stands where its value is not used"))?;
        Ok(ResultMetadata { columns })
    }
}

/// A field that a user type's literal leaves out.
static NULL: Term = Term { kind: TermKind::Null, place: Place { line: 1, column: 0, length: 0 } };

pub(crate) fn invalid(message: impl Into<String>, place: Place) -> RequestError {
    RequestError::Invalid { message: message.into(), place: Some(place) }
}

/// Checks a term against its receiver.
pub(crate) fn typed(term: &Term, receiver: &Receiver<'_>, parameters: &mut Parameters) -> Result<Expr, RequestError> {
    let cql_type = receiver.cql_type;
    match &term.kind {
        TermKind::Null => Ok(Expr::Null),
        TermKind::Marker(marker) => {
            let name = marker.name.clone().unwrap_or_else(|| receiver.name.to_owned());
            parameters.add(marker.index, name, cql_type.clone());
            Ok(Expr::Marker(marker.index, cql_type.clone()))
        }
        TermKind::Constant(kind, text) => constant(*kind, text, receiver, term.place),
        TermKind::List(_) | TermKind::Set(_) | TermKind::Map(_) | TermKind::Tuple(_) | TermKind::Fields(_) => {
            composite(term, receiver, parameters)
        }
        TermKind::Function(name, arguments) => function(name, arguments, receiver, term.place, parameters),
        TermKind::Hint(type_name, inner) => {
            let hinted = resolve_type(type_name, term.place, parameters)?;
            if !calls::assignable(&hinted, cql_type) {
                let message = format!("Cannot assign value {term} to {} of type {cql_type}", receiver.name);
                return Err(invalid(message, term.place));
            }
            typed(inner, receiver, parameters)
        }
        TermKind::Operation(operator, operands) => operation(*operator, operands, receiver, term.place, parameters),
    }
}

fn constant(kind: Constant, text: &str, receiver: &Receiver<'_>, place: Place) -> Result<Expr, RequestError> {
    let cql_type = receiver.cql_type;
    if !constant_fits(kind, cql_type) {
        let message = format!("Invalid {} constant ({text}) for \"{}\" of type {cql_type}", kind.name(), receiver.name);
        return Err(invalid(message, place));
    }
    let encoded = codec::parse_constant(cql_type, text).map_err(|message| invalid(message, place))?;
    Ok(Expr::Value(encoded))
}

/// Whether a literal of this kind can be a value of the type.
fn constant_fits(kind: Constant, cql_type: &CqlType) -> bool {
    use CqlType as T;
    match kind {
        Constant::String => {
            matches!(cql_type, T::Ascii | T::Text | T::Inet | T::Date | T::Time | T::Timestamp)
        }
        Constant::Integer => matches!(
            cql_type,
            T::BigInt
                | T::Counter
                | T::Date
                | T::Decimal
                | T::Double
                | T::Float
                | T::Int
                | T::SmallInt
                | T::Time
                | T::Timestamp
                | T::TinyInt
                | T::Varint
        ),
        Constant::Uuid => matches!(cql_type, T::Uuid | T::TimeUuid),
        Constant::Float => matches!(cql_type, T::Decimal | T::Double | T::Float),
        Constant::Boolean => matches!(cql_type, T::Boolean),
        Constant::Hex => matches!(cql_type, T::Blob),
        Constant::Duration => matches!(cql_type, T::Duration),
    }
}

/// Whether a term could be a value of the type, as far as one can see without binding.
pub(crate) fn fits(term: &Term, cql_type: &CqlType, parameters: &Parameters) -> bool {
    let fits = |term: &Term, cql_type: &CqlType| fits(term, cql_type, parameters);
    match (&term.kind, cql_type) {
        (TermKind::Marker(_) | TermKind::Null, _) => true,
        (TermKind::Constant(kind, _), _) => constant_fits(*kind, cql_type),
        (TermKind::List(items), CqlType::List(element, _) | CqlType::Vector(element, _)) => {
            items.iter().all(|item| fits(item, element))
        }
        (TermKind::Set(items), CqlType::Set(element, _)) => items.iter().all(|item| fits(item, element)),
        (TermKind::Set(items), CqlType::Map(..)) => items.is_empty(),
        (TermKind::Map(entries), CqlType::Map(key, value, _)) => {
            entries.iter().all(|(k, v)| fits(k, key) && fits(v, value))
        }
        (TermKind::Tuple(items), CqlType::Tuple(fields)) => {
            items.len() <= fields.len() && items.iter().zip(fields).all(|(item, field)| fits(item, field))
        }
        (TermKind::Fields(given), CqlType::UserDefined { fields, .. }) => given.iter().all(|(name, value)| {
            fields.iter().any(|(field, field_type)| *field == name.text && fits(value, field_type))
        }),
        (TermKind::Tuple(items), _) => match items.as_slice() {
            [single] => fits(single, cql_type),
            _ => false,
        },
        (TermKind::Function(name, _), _) if calls::is_from_json(name) => true,
        (TermKind::Function(name, arguments), _) => {
            let given: Vec<Argument<'_>> = arguments.iter().map(|term| Argument::of_term(term, parameters)).collect();
            let found = calls::resolve(name, &given, Some(cql_type), parameters);
            found.is_some_and(|call| call.is_ok_and(|call| calls::assignable(&call.returns, cql_type)))
        }
        (TermKind::Operation(operator, operands), _) => {
            let given: Vec<Argument<'_>> = operands.iter().map(|term| Argument::of_term(term, parameters)).collect();
            let found = calls::operation(*operator, &given, Some(cql_type), parameters);
            found.is_ok_and(|call| calls::assignable(&call.returns, cql_type))
        }
        (TermKind::Hint(type_name, _), _) => {
            resolve_type(type_name, term.place, parameters).is_ok_and(|hinted| calls::assignable(&hinted, cql_type))
        }
        _ => false,
    }
}

fn composite(term: &Term, receiver: &Receiver<'_>, parameters: &mut Parameters) -> Result<Expr, RequestError> {
    let (name, cql_type) = (receiver.name, receiver.cql_type);
    let wrong = |what: &str| Err(invalid(format!("Invalid {what} literal for {name} of type {cql_type}"), term.place));
    let mut parts: Vec<(&Term, String, &CqlType)> = Vec::new();
    match (&term.kind, cql_type) {
        (TermKind::List(items), CqlType::List(element, _) | CqlType::Vector(element, _)) => {
            check_dimension(items.len(), receiver, term.place)?;
            check_items("list", "value", items, element, name, parameters)?;
            parts.extend(items.iter().map(|item| (item, format!("value({name})"), &**element)));
        }
        (TermKind::List(_), _) => {
            let message = format!("Unexpected receiver type '{cql_type}'; only list and vector are expected");
            return Err(invalid(message, term.place));
        }
        (TermKind::Set(items), CqlType::Set(element, _)) => {
            check_items("set", "value", items, element, name, parameters)?;
            parts.extend(items.iter().map(|item| (item, format!("value({name})"), &**element)));
        }
        (TermKind::Set(items), CqlType::Map(..)) if items.is_empty() => {}
        (TermKind::Set(_), _) => return wrong("set"),
        (TermKind::Map(entries), CqlType::Map(key, value, _)) => {
            for (k, v) in entries {
                check_items("map", "key", std::slice::from_ref(k), key, name, parameters)?;
                check_items("map", "value", std::slice::from_ref(v), value, name, parameters)?;
                parts.push((k, format!("key({name})"), &**key));
                parts.push((v, format!("value({name})"), &**value));
            }
        }
        (TermKind::Map(_), _) => return wrong("map"),
        (TermKind::Tuple(items), CqlType::Tuple(fields)) => {
            if items.len() > fields.len() {
                let message = format!(
                    "Invalid tuple literal for {name}: too many elements. Type {cql_type} expects {} but got {}",
                    fields.len(),
                    items.len()
                );
                return Err(invalid(message, term.place));
            }
            for (index, (item, field)) in items.iter().zip(fields).enumerate() {
                if !fits(item, field, parameters) {
                    let message = format!("Invalid tuple literal for {name}: component {index} is not of type {field}");
                    return Err(invalid(message, item.place));
                }
                parts.push((item, format!("{name}[{index}]"), field));
            }
        }
        (TermKind::Fields(given), CqlType::UserDefined { .. }) => parts = fields(given, receiver, parameters)?,
        (TermKind::Fields(_), _) => return wrong("user type"),
        // `(1)` is a value in parentheses wherever no tuple is asked for.
        (TermKind::Tuple(items), _) => match items.as_slice() {
            [single] => return typed(single, receiver, parameters),
            _ => {
                let message = format!("Invalid tuple type literal for {name} of type {cql_type}");
                return Err(invalid(message, term.place));
            }
        },
        _ => return wrong("collection"),
    }
    let mut exprs = Vec::with_capacity(parts.len());
    for (part, part_name, part_type) in parts {
        exprs.push(typed(part, &Receiver { name: &part_name, cql_type: part_type }, parameters)?);
    }
    if exprs.iter().all(|expr| matches!(expr, Expr::Value(_) | Expr::Null)) {
        let values = exprs.into_iter().map(|expr| if let Expr::Value(bytes) = expr { Some(bytes) } else { None });
        let encoded = codec::assemble(cql_type, values.collect()).map_err(|message| invalid(message, term.place))?;
        return Ok(Expr::Value(encoded));
    }
    Ok(Expr::Composite(cql_type.clone(), exprs))
}

/// The parts of a user type's literal; a field that is left out is null.
fn fields<'a>(
    given: &'a [(Name, Term)],
    receiver: &Receiver<'a>,
    parameters: &Parameters,
) -> Result<Vec<(&'a Term, String, &'a CqlType)>, RequestError> {
    let (name, CqlType::UserDefined { fields, name: type_name, .. }) = (receiver.name, receiver.cql_type) else {
        return Ok(Vec::new());
    };
    if let Some((unknown, _)) = given.iter().find(|(field, _)| fields.iter().all(|(known, _)| *known != field.text)) {
        let message = format!("Unknown field '{unknown}' in value of user defined type {type_name}");
        return Err(invalid(message, unknown.place));
    }
    let mut parts = Vec::with_capacity(fields.len());
    for (field, field_type) in fields {
        let found = given.iter().find(|(name, _)| name.text == *field).map_or(&NULL, |(_, value)| value);
        if !fits(found, field_type, parameters) {
            let message = format!("Invalid user type literal for {name}: field {field} is not of type {field_type}");
            return Err(invalid(message, found.place));
        }
        parts.push((found, format!("{name}.{field}"), field_type));
    }
    Ok(parts)
}

fn check_dimension(given: usize, receiver: &Receiver<'_>, place: Place) -> Result<(), RequestError> {
    let (name, cql_type) = (receiver.name, receiver.cql_type);
    match cql_type {
        CqlType::Vector(_, dimension) if given != usize::from(*dimension) => Err(invalid(
            format!(
                "Invalid vector literal for {name} of type {cql_type}; expected {dimension} elements, but given {given}"
            ),
            place,
        )),
        _ => Ok(()),
    }
}

fn check_items(
    literal: &str,
    role: &str,
    items: &[Term],
    element: &CqlType,
    name: &str,
    parameters: &Parameters,
) -> Result<(), RequestError> {
    for item in items {
        if item.kind == TermKind::Null {
            return Err(invalid("null is not supported inside collections", item.place));
        }
        if !fits(item, element, parameters) {
            let message = format!("Invalid {literal} literal for {name}: {role} {item} is not of type {element}");
            return Err(invalid(message, item.place));
        }
    }
    Ok(())
}

fn function(
    name: &str,
    arguments: &[Term],
    receiver: &Receiver<'_>,
    place: Place,
    parameters: &mut Parameters,
) -> Result<Expr, RequestError> {
    if calls::is_from_json(name) {
        let [argument] = arguments else {
            return Err(invalid(format!("Invalid number of arguments in call to function {name}"), place));
        };
        let text = typed(argument, &Receiver { name: "arg0(system.from_json)", cql_type: &CqlType::Text }, parameters)?;
        return Ok(Expr::FromJson(receiver.cql_type.clone(), Box::new(text)));
    }
    let given: Vec<Argument<'_>> = arguments.iter().map(|term| Argument::of_term(term, parameters)).collect();
    let Some(call) = calls::resolve(name, &given, Some(receiver.cql_type), parameters) else {
        return Err(invalid(format!("Unknown function {name} called"), place));
    };
    let call = call.map_err(|message| invalid(message, place))?;
    finish_call(call, arguments, receiver, place, parameters)
}

fn operation(
    operator: char,
    operands: &[Term],
    receiver: &Receiver<'_>,
    place: Place,
    parameters: &mut Parameters,
) -> Result<Expr, RequestError> {
    let given: Vec<Argument<'_>> = operands.iter().map(|term| Argument::of_term(term, parameters)).collect();
    let call = calls::operation(operator, &given, Some(receiver.cql_type), parameters)
        .map_err(|message| invalid(message, place))?;
    finish_call(call, operands, receiver, place, parameters)
}

fn finish_call(
    call: Call,
    arguments: &[Term],
    receiver: &Receiver<'_>,
    place: Place,
    parameters: &mut Parameters,
) -> Result<Expr, RequestError> {
    if !calls::assignable(&call.returns, receiver.cql_type) {
        let message = format!(
            "Type error: cannot assign result of function {} (type {}) to {} (type {})",
            call.name, call.returns, receiver.name, receiver.cql_type
        );
        return Err(invalid(message, place));
    }
    let mut exprs = Vec::with_capacity(arguments.len());
    for (index, (argument, cql_type)) in arguments.iter().zip(&call.arguments).enumerate() {
        let name = format!("arg{index}({})", call.name);
        exprs.push(typed(argument, &Receiver { name: &name, cql_type }, parameters)?);
    }
    Ok(Expr::Call(Box::new(call), exprs))
}

/// The type that a term has whatever receives it; `None` for literals and markers.
pub(crate) fn type_of(term: &Term, parameters: &Parameters) -> Option<CqlType> {
    match &term.kind {
        TermKind::Hint(type_name, _) => resolve_type(type_name, term.place, parameters).ok(),
        TermKind::Function(name, arguments) => {
            let given: Vec<Argument<'_>> = arguments.iter().map(|term| Argument::of_term(term, parameters)).collect();
            Some(calls::resolve(name, &given, None, parameters)?.ok()?.returns)
        }
        TermKind::Operation(operator, operands) => {
            let given: Vec<Argument<'_>> = operands.iter().map(|term| Argument::of_term(term, parameters)).collect();
            if given.iter().all(|operand| operand.exact.is_none()) {
                return None;
            }
            calls::operation(*operator, &given, None, parameters).ok().map(|call| call.returns)
        }
        TermKind::Tuple(items) => match items.as_slice() {
            [single] => type_of(single, parameters),
            _ => None,
        },
        _ => None,
    }
}

pub(crate) fn resolve_type(
    type_name: &TypeName,
    place: Place,
    parameters: &Parameters,
) -> Result<CqlType, RequestError> {
    types::resolve(type_name, parameters.scope()).map_err(|message| invalid(message, place))
}

impl Expr {
    /// The value for one execution.
    pub(crate) fn eval(&self, evaluator: &mut Evaluator<'_>) -> Result<Bound, RequestError> {
        match self {
            Self::Null => Ok(Bound::Null),
            Self::Value(bytes) => Ok(Bound::Value(bytes.clone())),
            Self::Marker(index, cql_type) => match evaluator.value(*index)? {
                BoundValue::Null => Ok(Bound::Null),
                BoundValue::Unset => Ok(Bound::Unset),
                BoundValue::Bytes(bytes) => {
                    codec::validate(cql_type, bytes).map_err(RequestError::invalid)?;
                    Ok(Bound::Value(bytes.clone()))
                }
            },
            Self::Composite(cql_type, parts) => {
                let mut values = Vec::with_capacity(parts.len());
                let is_tuple = matches!(cql_type, CqlType::Tuple(_) | CqlType::UserDefined { .. });
                for part in parts {
                    match part.eval(evaluator)? {
                        Bound::Value(bytes) => values.push(Some(bytes)),
                        Bound::Null if is_tuple => values.push(None),
                        Bound::Null => return Err(RequestError::invalid("null is not supported inside collections")),
                        Bound::Unset => {
                            return Err(RequestError::invalid("unset value is not supported inside collections"));
                        }
                    }
                }
                Ok(Bound::Value(codec::assemble(cql_type, values).map_err(RequestError::invalid)?))
            }
            Self::Token(components) => {
                let mut key = Vec::with_capacity(components.len());
                for component in components {
                    key.push(crate::keys::required(component, "partition key token", evaluator)?);
                }
                let token = evaluator.token(&crate::keys::partition_key(&key)?.0);
                Ok(Bound::Value(Bytes::copy_from_slice(&token.0.to_be_bytes())))
            }
            Self::Call(call, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(argument.eval(evaluator)?.into_option());
                }
                Ok(call.eval(&values, Some(evaluator))?.map_or(Bound::Null, Bound::Value))
            }
            Self::FromJson(cql_type, text) => {
                let Some(text) = text.eval(evaluator)?.into_option() else { return Ok(Bound::Null) };
                let parsed = json::parse(&String::from_utf8_lossy(&text))
                    .map_err(|problem| RequestError::invalid(format!("Could not decode JSON string: {problem}")))?;
                let value = json::from_json(cql_type, &parsed).map_err(RequestError::invalid)?;
                Ok(value.map_or(Bound::Null, Bound::Value))
            }
            Self::JsonColumn(column) => column.eval(evaluator),
        }
    }

    /// The marker that this is, if it is nothing but one.
    pub(crate) fn marker(&self) -> Option<u16> {
        match self {
            Self::Marker(index, _) => Some(*index),
            _ => None,
        }
    }
}
