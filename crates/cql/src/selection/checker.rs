//! Selectors checked against a table.

use quorate_model::CqlType;
use quorate_model::request::{Place, RequestError};
use quorate_model::schema::{ColumnKind, Table};

use super::{Output, Part, Selected, Source, plain};
use crate::aggregate::Aggregate;
use crate::ast::{Attribute, CollectionKind, Name, Selector, Term, TermKind, TypeName};
use crate::calls::{self, Argument, Call};
use crate::expr::{Expr, Parameters, Receiver, invalid, resolve_type, typed};
use crate::restrictions::column;

const ORIGIN: Place = Place { line: 1, column: 0, length: 0 };

pub(super) struct Checker<'a> {
    pub(super) table: &'a Table,
    pub(super) parameters: &'a mut Parameters,
    pub(super) constants: Vec<Expr>,
    pub(super) aggregates: Vec<Aggregate>,
}

/// An argument: checked, or a literal whose type the function decides.
enum Given<'s> {
    Selected(Selected),
    Literal(&'s Term),
}

impl Checker<'_> {
    pub(super) fn check(&mut self, selector: &Selector) -> Result<Selected, RequestError> {
        match selector {
            Selector::Column(name) => Ok(plain(column(self.table, name)?)),
            Selector::CountRows => Ok(self.aggregate(Aggregate::count_rows(), "count".to_owned(), CqlType::BigInt)),
            Selector::Attribute(attribute, of) => self.attribute(*attribute, of),
            Selector::Function(name, arguments) => self.function(name, arguments),
            Selector::Cast(inner, type_name) => self.cast(inner, type_name),
            Selector::Field(inner, field) => {
                let inner = self.check(inner)?;
                let (position, cql_type) = field_of(&inner, field)?;
                let output = Output::Field(Box::new(inner.output), inner.cql_type, usize::from(position));
                Ok(Selected { output, name: format!("{}.{field}", inner.name), cql_type })
            }
            Selector::Element(of, key) => {
                let inner = self.check(of)?;
                let (key_type, cql_type) = element_types(&inner, key.place)?;
                let name = format!("{}[{key}]", inner.name);
                let constant = self.key(&inner, key, &key_type)?;
                let output = Output::Element(Box::new(inner.output), inner.cql_type, constant);
                Ok(Selected { output, name, cql_type })
            }
            Selector::Slice(of, from, to) => {
                let inner = self.check(of)?;
                let place = from.as_ref().or(to.as_ref()).map_or(ORIGIN, |term| term.place);
                let (key_type, _) = element_types(&inner, place)?;
                let (name, bounds) = self.slice(&inner, from.as_ref(), to.as_ref(), &key_type)?;
                let cql_type = inner.cql_type.clone();
                let output = Output::Slice(Box::new(inner.output), inner.cql_type, bounds.0, bounds.1);
                Ok(Selected { output, name, cql_type })
            }
            Selector::Collection(kind, parts) => self.collection(*kind, parts),
            Selector::Operation(operator, operands) => self.operation(*operator, operands),
            Selector::Term(term) => self.term(term),
        }
    }

    fn aggregate(&mut self, aggregate: Aggregate, name: String, cql_type: CqlType) -> Selected {
        self.aggregates.push(aggregate);
        Selected { output: Output::Aggregate(self.aggregates.len() - 1), name, cql_type }
    }

    fn constant(&mut self, term: &Term, name: &str, cql_type: &CqlType) -> Result<usize, RequestError> {
        self.constants.push(typed(term, &Receiver { name, cql_type }, self.parameters)?);
        Ok(self.constants.len() - 1)
    }

    fn key(&mut self, of: &Selected, key: &Term, key_type: &CqlType) -> Result<usize, RequestError> {
        if key.kind == TermKind::Null {
            return Err(invalid(format!("Invalid null value for element selection on {}", of.name), key.place));
        }
        let prefix = if matches!(of.cql_type, CqlType::Map(..)) { "key" } else { "value" };
        self.constant(key, &format!("{prefix}({})", of.name), key_type)
    }

    #[allow(clippy::type_complexity, reason = "a name and two bounds, used once")]
    fn slice(
        &mut self,
        of: &Selected,
        from: Option<&Term>,
        to: Option<&Term>,
        key_type: &CqlType,
    ) -> Result<(String, (Option<usize>, Option<usize>)), RequestError> {
        let shown = |term: Option<&Term>| term.map(ToString::to_string).unwrap_or_default();
        let name = format!("{}[{}..{}]", of.name, shown(from), shown(to));
        let from = from.map(|term| self.key(of, term, key_type)).transpose()?;
        let to = to.map(|term| self.key(of, term, key_type)).transpose()?;
        Ok((name, (from, to)))
    }

    /// `writetime(c)`, `ttl(c['k'])`.
    fn attribute(&mut self, attribute: Attribute, of: &Selector) -> Result<Selected, RequestError> {
        let function = match attribute {
            Attribute::WriteTime => "writetime",
            Attribute::MaxWriteTime => "maxwritetime",
            Attribute::Ttl => "ttl",
        };
        let Selector::Column(name) = root(of) else {
            return Err(RequestError::invalid(format!("{function}() is of columns and of parts of them")));
        };
        let found = column(self.table, name)?;
        if matches!(found.kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..)) {
            let message = format!("Cannot use selection function {function} on PRIMARY KEY part {name}");
            return Err(invalid(message, name.place));
        }
        let whole = plain(found);
        let checked = self.check(of)?;
        let (mut part, mut is_list) = (Part::Whole, found.cql_type.is_multicell());
        if is_list {
            (part, is_list) = match (of, &checked.output) {
                (Selector::Column(_), _) => (Part::Whole, true),
                (Selector::Element(inner, _), Output::Element(.., key)) if matches!(**inner, Selector::Column(_)) => {
                    (Part::Element(*key), false)
                }
                (Selector::Slice(inner, ..), Output::Slice(.., from, to)) if matches!(**inner, Selector::Column(_)) => {
                    (Part::Slice(*from, *to), true)
                }
                (_, _) => match first_field(of) {
                    Some(field) => (Part::Field(field_of(&whole, field)?.0), false),
                    None => (Part::Whole, true),
                },
            };
        }
        let single = if attribute == Attribute::Ttl { CqlType::Int } else { CqlType::BigInt };
        let is_list = is_list && attribute != Attribute::MaxWriteTime;
        let cql_type = if is_list { CqlType::List(Box::new(single), true) } else { single };
        let output = Output::Attribute(attribute, Source::of(found), found.cql_type.clone(), part);
        Ok(Selected { output, name: format!("{function}({})", checked.name), cql_type })
    }

    fn given<'s>(&mut self, arguments: &'s [Selector]) -> Result<Vec<Given<'s>>, RequestError> {
        let mut given = Vec::with_capacity(arguments.len());
        for argument in arguments {
            given.push(match argument {
                Selector::Term(term) if !matches!(term.kind, TermKind::Hint(..)) => Given::Literal(term),
                other => Given::Selected(self.check(other)?),
            });
        }
        Ok(given)
    }

    fn arguments<'s>(&self, given: &[Given<'s>]) -> Vec<Argument<'s>> {
        let of = |given: &Given<'s>| match given {
            Given::Selected(selected) => Argument::of_type(&selected.cql_type, selected.name.clone()),
            Given::Literal(term) => Argument::of_term(term, self.parameters),
        };
        given.iter().map(of).collect()
    }

    fn call(&mut self, call: Call, given: Vec<Given<'_>>, name: String) -> Result<Selected, RequestError> {
        let cql_type = call.returns.clone();
        if call.arguments.is_empty() {
            self.constants.push(Expr::Call(Box::new(call), Vec::new()));
            return Ok(Selected { output: Output::Constant(self.constants.len() - 1), name, cql_type });
        }
        let mut outputs = Vec::with_capacity(given.len());
        for (given, wanted) in given.into_iter().zip(call.arguments.clone()) {
            outputs.push(match given {
                Given::Selected(selected) => selected.output,
                Given::Literal(term) => Output::Constant(self.constant(term, "[selection]", &wanted)?),
            });
        }
        Ok(Selected { output: Output::Call(Box::new(call), outputs), name, cql_type })
    }

    fn function(&mut self, name: &Name, arguments: &[Selector]) -> Result<Selected, RequestError> {
        let short = name.text.strip_prefix("system.").unwrap_or(&name.text);
        if short == "token" {
            return self.token(name, arguments);
        }
        if Aggregate::is_aggregate(short) {
            return self.aggregate_function(name, short, arguments);
        }
        if calls::is_from_json(&name.text) {
            if let [argument] = arguments
                && !matches!(argument, Selector::Term(_))
            {
                let argument = self.check(argument)?;
                if argument.cql_type != CqlType::Text {
                    let message = format!(
                        "Function system.from_json requires an argument of type text, but found argument {} of type {}",
                        argument.name, argument.cql_type
                    );
                    return Err(invalid(message, name.place));
                }
            }
            let message = format!("{short}() cannot be used in the selection clause of a SELECT statement");
            return Err(invalid(message, name.place));
        }
        let given = self.given(arguments)?;
        let known = self.arguments(&given);
        let Some(call) = calls::resolve(&name.text, &known, None, self.parameters) else {
            return Err(invalid(format!("Unknown function '{}'", name.text), name.place));
        };
        let call = call.map_err(|message| invalid(message, name.place))?;
        let shown: Vec<&str> = known.iter().map(|argument| argument.shown.as_str()).collect();
        let shown = format!("{}({})", call.name, shown.join(", "));
        self.call(call, given, shown)
    }

    fn aggregate_function(
        &mut self,
        name: &Name,
        short: &str,
        arguments: &[Selector],
    ) -> Result<Selected, RequestError> {
        let [argument] = arguments else {
            let given = arguments.len();
            let message = format!("Invalid number of arguments for function {short}: 1 required but {given} provided");
            return Err(invalid(message, name.place));
        };
        let argument = self.check(argument)?;
        if argument.output.mentions(&mut |output| matches!(output, Output::Aggregate(_))) {
            return Err(invalid("aggregate functions cannot be used as arguments of aggregate functions", name.place));
        }
        let shown = format!("system.{short}({})", argument.name);
        let (aggregate, cql_type) = Aggregate::new(short, argument.output, &argument.cql_type)
            .map_err(|message| invalid(message, name.place))?;
        Ok(self.aggregate(aggregate, shown, cql_type))
    }

    fn operation(&mut self, operator: char, operands: &[Selector]) -> Result<Selected, RequestError> {
        let given = self.given(operands)?;
        let known = self.arguments(&given);
        let call = calls::operation(operator, &known, None, self.parameters).map_err(RequestError::invalid)?;
        let shown: Vec<String> = operands
            .iter()
            .zip(&known)
            .enumerate()
            .map(|(index, (operand, argument))| {
                let loose = matches!(operand, Selector::Operation('+' | '-', parts) if parts.len() > 1);
                let is_product = matches!(operator, '*' | '/' | '%');
                let parenthesised = loose && (is_product || index > 0 || operands.len() == 1);
                if parenthesised { format!("({})", argument.shown) } else { argument.shown.clone() }
            })
            .collect();
        let name = match shown.as_slice() {
            [operand] => format!("{operator}{operand}"),
            _ => shown.join(&format!(" {operator} ")),
        };
        self.call(call, given, name)
    }

    /// `[a, b]`, `{a, b}`, `(a, b)`, made of what is selected. A literal's type is that of the selected beside it.
    fn collection(&mut self, kind: CollectionKind, parts: &[Selector]) -> Result<Selected, RequestError> {
        let given = self.given(parts)?;
        let known = self.arguments(&given);
        let shown = known.iter().map(|argument| argument.shown.as_str()).collect::<Vec<_>>().join(", ");
        let name = match kind {
            CollectionKind::List => format!("[{shown}]"),
            CollectionKind::Set => format!("{{{shown}}}"),
            CollectionKind::Tuple => format!("({shown})"),
        };
        let unknown = || {
            let message =
                format!("Cannot infer type for term {name} in selection clause (try using a cast to force a type)");
            RequestError::invalid(message)
        };
        let element = known.iter().find_map(|argument| argument.exact.clone());
        let types: Vec<CqlType> = match kind {
            CollectionKind::Tuple => {
                known.iter().map(Argument::preferred).collect::<Option<_>>().ok_or_else(unknown)?
            }
            CollectionKind::List | CollectionKind::Set => {
                let element = element.or_else(|| known.first().and_then(Argument::preferred)).ok_or_else(unknown)?;
                if known.iter().any(|argument| !argument.fits(&element, self.parameters)) {
                    return Err(unknown());
                }
                vec![element; known.len()]
            }
        };
        let mut outputs = Vec::with_capacity(given.len());
        for (given, wanted) in given.into_iter().zip(&types) {
            outputs.push(match given {
                Given::Selected(selected) => selected.output,
                Given::Literal(term) => Output::Constant(self.constant(term, "[selection]", wanted)?),
            });
        }
        let element = || Box::new(types.first().map_or(CqlType::Blob, CqlType::freeze));
        let cql_type = match kind {
            CollectionKind::List => CqlType::List(element(), true),
            CollectionKind::Set => CqlType::Set(element(), true),
            CollectionKind::Tuple => CqlType::Tuple(types.iter().map(CqlType::freeze).collect()),
        };
        Ok(Selected { output: Output::Collection(cql_type.clone(), outputs), name, cql_type })
    }

    fn cast(&mut self, inner: &Selector, type_name: &TypeName) -> Result<Selected, RequestError> {
        let to = resolve_type(type_name, ORIGIN, self.parameters)?;
        let inner = self.check(inner)?;
        let name = format!("cast({} as {to})", inner.name);
        match calls::cast(&inner.cql_type, &to, &inner.name).map_err(RequestError::invalid)? {
            None => Ok(inner),
            Some(call) => Ok(Selected { output: Output::Call(Box::new(call), vec![inner.output]), name, cql_type: to }),
        }
    }

    /// `token(a, b)` of the row's own key.
    fn token(&mut self, name: &Name, arguments: &[Selector]) -> Result<Selected, RequestError> {
        let key: Vec<&str> = self.table.partition_key().map(|column| column.name.as_str()).collect();
        if arguments.len() != key.len() {
            let message = format!(
                "Invalid number of arguments in call to function system.token: {} required but {} provided",
                key.len(),
                arguments.len()
            );
            return Err(invalid(message, name.place));
        }
        let given = arguments.iter().map(|argument| match argument {
            Selector::Column(column) => column.text.as_str(),
            _ => "",
        });
        if given.collect::<Vec<_>>() != key {
            return self.token_of(name, arguments);
        }
        let name = format!("system.token({})", key.join(", "));
        Ok(Selected { output: Output::Token, name, cql_type: CqlType::BigInt })
    }

    /// `token(1, b)`: of values as a partition key.
    fn token_of(&mut self, name: &Name, arguments: &[Selector]) -> Result<Selected, RequestError> {
        let given = self.given(arguments)?;
        let known = self.arguments(&given);
        let key: Vec<_> = self.table.partition_key().collect();
        for (index, (argument, column)) in known.iter().zip(&key).enumerate() {
            if !argument.fits(&column.cql_type, self.parameters) {
                let message = format!(
                    "Type error: {} cannot be passed as argument {index} of function system.token of type {}",
                    argument.shown, column.cql_type
                );
                return Err(invalid(message, name.place));
            }
        }
        let shown = known.iter().map(|argument| argument.shown.as_str()).collect::<Vec<_>>().join(", ");
        let mut outputs = Vec::with_capacity(given.len());
        for (given, column) in given.into_iter().zip(&key) {
            outputs.push(match given {
                Given::Selected(selected) => selected.output,
                Given::Literal(term) => Output::Constant(self.constant(term, &column.name, &column.cql_type)?),
            });
        }
        let name = format!("system.token({shown})");
        Ok(Selected { output: Output::TokenOf(outputs), name, cql_type: CqlType::BigInt })
    }

    /// A literal or marker: its type must be said.
    fn term(&mut self, term: &Term) -> Result<Selected, RequestError> {
        let TermKind::Hint(type_name, value) = &term.kind else {
            let message =
                format!("Cannot infer type for term {term} in selection clause (try using a cast to force a type)");
            return Err(invalid(message, term.place));
        };
        let cql_type = resolve_type(type_name, term.place, self.parameters)?;
        let constant = self.constant(value, "[selection]", &cql_type)?;
        Ok(Selected { output: Output::Constant(constant), name: term.to_string(), cql_type })
    }

    /// Columns of the primary key in its order; the last may be within a function.
    pub(super) fn group_by(&mut self, selectors: &[Selector]) -> Result<Vec<Output>, RequestError> {
        let mut outputs = Vec::with_capacity(selectors.len());
        for selector in selectors {
            let checked = self.check(selector)?;
            let name = named(selector)
                .ok_or_else(|| RequestError::invalid(format!("Group by of {} is not supported", checked.name)))?;
            if matches!(column(self.table, name)?.kind, ColumnKind::Static | ColumnKind::Regular) {
                let message =
                    format!("Group by is currently only supported on the columns of the PRIMARY KEY, got {name}");
                return Err(invalid(message, name.place));
            }
            outputs.push(checked.output);
        }
        Ok(outputs)
    }
}

/// The column that a selector of `GROUP BY` names.
fn named(selector: &Selector) -> Option<&Name> {
    match selector {
        Selector::Column(name) => Some(name),
        Selector::Function(_, arguments) => arguments.iter().find_map(named),
        _ => None,
    }
}

/// What a chain of fields and elements begins with.
fn root(selector: &Selector) -> &Selector {
    match selector {
        Selector::Field(inner, _) | Selector::Element(inner, _) | Selector::Slice(inner, ..) => root(inner),
        other => other,
    }
}

/// The field that stands next to the column.
fn first_field(selector: &Selector) -> Option<&Name> {
    match selector {
        Selector::Field(inner, field) if matches!(**inner, Selector::Column(_)) => Some(field),
        Selector::Field(inner, _) | Selector::Element(inner, _) | Selector::Slice(inner, ..) => first_field(inner),
        _ => None,
    }
}

fn field_of(of: &Selected, field: &Name) -> Result<(u16, CqlType), RequestError> {
    let CqlType::UserDefined { fields, .. } = &of.cql_type else {
        let message = format!("Invalid field selection: {} of type {} is not a user type", of.name, of.cql_type);
        return Err(invalid(message, field.place));
    };
    let found = (0u16..).zip(fields).find(|(_, (name, _))| *name == field.text);
    found
        .map(|(position, (_, field_type))| (position, field_type.clone()))
        .ok_or_else(|| invalid(format!("{} of type {} has no field {field}", of.name, of.cql_type), field.place))
}

/// The types of keys and of elements.
fn element_types(of: &Selected, place: Place) -> Result<(CqlType, CqlType), RequestError> {
    match &of.cql_type {
        CqlType::Map(key, value, _) => Ok((key.as_ref().clone(), value.as_ref().clone())),
        CqlType::Set(element, _) => Ok((element.as_ref().clone(), element.as_ref().clone())),
        CqlType::List(..) => {
            let message = format!("Element selection is only allowed on sets and maps, but {} is a list", of.name);
            Err(invalid(message, place))
        }
        other => {
            let message = format!("Invalid element selection: {} is of type {other} is not a collection", of.name);
            Err(invalid(message, place))
        }
    }
}
