//! What a `SELECT` shows: its columns, each with a name and a type.

use quorate_model::request::{ColumnSpec, RequestError, ResultMetadata};
use quorate_model::schema::{Column, ColumnKind, Table};
use quorate_model::{ColumnId, CqlType};

use crate::aggregate::Aggregate;
use crate::ast::{Name, SelectedColumn, Selector, Term, TermKind};
use crate::expr::{Expr, Parameters, Receiver, invalid, typed};
use crate::functions::Function;
use crate::restrictions::column;

/// What a column of the answer is made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Column(Source, CqlType),
    WriteTime(Source),
    Ttl(Source),
    Token,
    /// A function of columns, with the type of each argument.
    Function(Function, Vec<(CqlType, Output)>),
    /// The constant with this number.
    Constant(usize),
    Aggregate(Aggregate),
    /// A field of a user type's value.
    Field(Box<Output>, CqlType, usize),
}

/// Where a column's value is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Partition(usize),
    Clustering(usize),
    Static(ColumnId),
    Regular(ColumnId),
}

impl Source {
    pub(crate) fn of(column: &Column) -> Self {
        match column.kind {
            ColumnKind::PartitionKey(position) => Self::Partition(usize::from(position)),
            ColumnKind::Clustering(position, _) => Self::Clustering(usize::from(position)),
            ColumnKind::Static => Self::Static(column.id),
            ColumnKind::Regular => Self::Regular(column.id),
        }
    }
}

/// A checked selection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selection {
    pub(crate) outputs: Vec<Output>,
    /// Values that are the same for all rows, evaluated when bound.
    pub(crate) constants: Vec<Expr>,
    pub(crate) is_aggregate: bool,
}

/// A selected column in the making.
struct Selected {
    output: Output,
    name: String,
    cql_type: CqlType,
}

/// Checks the selected columns; none for `*`.
pub(crate) fn select_columns(
    columns: &[SelectedColumn],
    table: &Table,
    parameters: &mut Parameters,
) -> Result<(Selection, ResultMetadata), RequestError> {
    let mut selector = Checker { table, parameters, constants: Vec::new() };
    let mut selected = Vec::new();
    for wanted in columns {
        let mut found = selector.check(&wanted.selector)?;
        if let Some(alias) = &wanted.alias {
            found.name.clone_from(&alias.text);
        }
        selected.push(found);
    }
    if columns.is_empty() {
        selected.extend(table.columns.iter().map(plain));
    }
    let constants = selector.constants;
    let specs = selected.iter().map(|found| ColumnSpec {
        keyspace: table.keyspace.clone(),
        table: table.name.clone(),
        name: found.name.clone(),
        cql_type: found.cql_type.clone(),
    });
    let metadata = ResultMetadata { columns: specs.collect() };
    let outputs: Vec<Output> = selected.into_iter().map(|found| found.output).collect();
    let is_aggregate = outputs.iter().any(|output| matches!(output, Output::Aggregate(_)));
    Ok((Selection { outputs, constants, is_aggregate }, metadata))
}

fn plain(column: &Column) -> Selected {
    Selected {
        output: Output::Column(Source::of(column), column.cql_type.clone()),
        name: column.name.clone(),
        cql_type: column.cql_type.clone(),
    }
}

struct Checker<'a> {
    table: &'a Table,
    parameters: &'a mut Parameters,
    constants: Vec<Expr>,
}

impl Checker<'_> {
    fn check(&mut self, selector: &Selector) -> Result<Selected, RequestError> {
        match selector {
            Selector::Column(name) => Ok(plain(column(self.table, name)?)),
            Selector::CountRows => Ok(Selected {
                output: Output::Aggregate(Aggregate::count_rows()),
                name: "count".to_owned(),
                cql_type: CqlType::BigInt,
            }),
            Selector::WriteTime(name) => self.cell_attribute("writetime", name),
            Selector::Ttl(name) => self.cell_attribute("ttl", name),
            Selector::MaxWriteTime(name) => Err(invalid("maxwritetime() is not supported yet", name.place)),
            Selector::Function(name, arguments) => self.function(name, arguments),
            Selector::Cast(_, type_name) => {
                Err(RequestError::invalid(format!("CAST(… AS {type_name}) is not supported yet")))
            }
            Selector::Field(inner, field) => {
                let inner = self.check(inner)?;
                let CqlType::UserDefined { fields, .. } = &inner.cql_type else {
                    let (name, cql_type) = (inner.name, inner.cql_type);
                    let message = format!("Invalid field selection: {name} of type {cql_type} is not a user type");
                    return Err(invalid(message, field.place));
                };
                let Some(position) = fields.iter().position(|(name, _)| *name == field.text) else {
                    let message = format!("{} of type {} has no field {field}", inner.name, inner.cql_type);
                    return Err(invalid(message, field.place));
                };
                let cql_type = fields.get(position).map_or(CqlType::Blob, |(_, field_type)| field_type.clone());
                let output = Output::Field(Box::new(inner.output), inner.cql_type.clone(), position);
                Ok(Selected { output, name: format!("{}.{field}", inner.name), cql_type })
            }
            Selector::Element(_, key) => {
                Err(invalid("Selecting an element of a collection is not supported yet", key.place))
            }
            Selector::Term(term) => self.term(term),
        }
    }

    /// `writetime(c)`, `ttl(c)`.
    fn cell_attribute(&mut self, function: &str, name: &Name) -> Result<Selected, RequestError> {
        let found = column(self.table, name)?;
        if matches!(found.kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..)) {
            let message = format!("Cannot use selection function {function} on PRIMARY KEY part {name}");
            return Err(invalid(message, name.place));
        }
        if found.cql_type.is_multicell() {
            return Err(invalid(
                format!("{function}() of a collection that is not frozen is not supported yet"),
                name.place,
            ));
        }
        let source = Source::of(found);
        let (output, cql_type) = if function == "ttl" {
            (Output::Ttl(source), CqlType::Int)
        } else {
            (Output::WriteTime(source), CqlType::BigInt)
        };
        Ok(Selected { output, name: format!("{function}({name})"), cql_type })
    }

    fn function(&mut self, name: &Name, arguments: &[Selector]) -> Result<Selected, RequestError> {
        let short = name.text.strip_prefix("system.").unwrap_or(&name.text);
        if short == "token" {
            return self.token(name, arguments);
        }
        if Aggregate::is_aggregate(short) {
            let [argument] = arguments else {
                let message = format!(
                    "Invalid number of arguments for function {short}: 1 required but {} provided",
                    arguments.len()
                );
                return Err(invalid(message, name.place));
            };
            let argument = self.check(argument)?;
            if matches!(argument.output, Output::Aggregate(_)) {
                return Err(invalid(
                    "aggregate functions cannot be used as arguments of aggregate functions",
                    name.place,
                ));
            }
            let shown = format!("system.{short}({})", argument.name);
            let (aggregate, cql_type) = Aggregate::new(short, argument.output, &argument.cql_type)
                .map_err(|message| invalid(message, name.place))?;
            return Ok(Selected { output: Output::Aggregate(aggregate), name: shown, cql_type });
        }
        let Some(function) = Function::find(&name.text) else {
            return Err(invalid(format!("Unknown function '{}'", name.text), name.place));
        };
        let wanted = function.argument_types();
        if wanted.is_empty() && arguments.is_empty() {
            self.constants.push(Expr::Function(function, Vec::new()));
            let output = Output::Constant(self.constants.len() - 1);
            return Ok(Selected {
                output,
                name: format!("{}()", function.full_name()),
                cql_type: function.return_type(),
            });
        }
        let mut checked = Vec::new();
        let mut names = Vec::new();
        for (index, argument) in arguments.iter().enumerate() {
            let argument = self.check(argument)?;
            if !wanted.get(index).is_some_and(|choices| choices.contains(&argument.cql_type)) {
                let message = format!(
                    "Type error: {} cannot be passed as argument {index} of function {} of type {}",
                    argument.name,
                    function.full_name(),
                    argument.cql_type
                );
                return Err(invalid(message, name.place));
            }
            names.push(argument.name);
            checked.push((argument.cql_type, argument.output));
        }
        if checked.len() != wanted.len() {
            let message = format!(
                "Invalid number of arguments in call to function {}: {} required but {} provided",
                function.full_name(),
                wanted.len(),
                checked.len()
            );
            return Err(invalid(message, name.place));
        }
        Ok(Selected {
            output: Output::Function(function, checked),
            name: format!("{}({})", function.full_name(), names.join(", ")),
            cql_type: function.return_type(),
        })
    }

    /// `token(a, b)` of the row's own key.
    fn token(&mut self, name: &Name, arguments: &[Selector]) -> Result<Selected, RequestError> {
        let key: Vec<&str> = self.table.partition_key().map(|column| column.name.as_str()).collect();
        let given = arguments.iter().map(|argument| match argument {
            Selector::Column(column) => column.text.as_str(),
            _ => "",
        });
        if given.collect::<Vec<_>>() != key {
            let message =
                format!("token() is supported of the partition key's columns in their order only: {}", key.join(", "));
            return Err(invalid(message, name.place));
        }
        Ok(Selected {
            output: Output::Token,
            name: format!("system.token({})", key.join(", ")),
            cql_type: CqlType::BigInt,
        })
    }

    /// A literal or marker: its type must be said.
    fn term(&mut self, term: &Term) -> Result<Selected, RequestError> {
        let TermKind::Hint(type_name, value) = &term.kind else {
            let message =
                format!("Cannot infer type for term {term} in selection clause (try using a cast to force a type)");
            return Err(invalid(message, term.place));
        };
        let cql_type =
            crate::expr::resolve_type(type_name, term.place, self.parameters)?;
        let receiver = Receiver { name: "[selection]", cql_type: &cql_type };
        self.constants.push(typed(value, &receiver, self.parameters)?);
        Ok(Selected { output: Output::Constant(self.constants.len() - 1), name: term.to_string(), cql_type })
    }
}
