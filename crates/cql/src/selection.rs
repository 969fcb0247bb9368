//! What a `SELECT` shows: its columns, each with a name and a type.

mod checker;

use quorate_model::request::{ColumnSpec, RequestError, ResultMetadata};
use quorate_model::schema::{Column, ColumnKind, Table};
use quorate_model::{ColumnId, CqlType};

use crate::aggregate::Aggregate;
use crate::ast::{Attribute, SelectedColumn, Selector};
use crate::calls::Call;
use crate::expr::{Expr, Parameters};
use crate::json;

use checker::Checker;

/// What a column of the answer is made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Column(Source, CqlType),
    /// Of a column with its type: write time or time to live.
    Attribute(Attribute, Source, CqlType, Part),
    /// Of the row's own key.
    Token,
    /// Of these as a partition key.
    TokenOf(Vec<Output>),
    /// A list, set or tuple of these.
    Collection(CqlType, Vec<Output>),
    /// A function or operator.
    Call(Box<Call>, Vec<Output>),
    /// The constant with this number.
    Constant(usize),
    /// The aggregate with this number.
    Aggregate(usize),
    /// A field of a user type's value.
    Field(Box<Output>, CqlType, usize),
    /// The element of a set or map for the constant with this number.
    Element(Box<Output>, CqlType, usize),
    /// The elements between two constants.
    Slice(Box<Output>, CqlType, Option<usize>, Option<usize>),
}

/// Which of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Field(u16),
    /// By the numbers of constants.
    Element(usize),
    Slice(Option<usize>, Option<usize>),
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

impl Output {
    /// Whether it, or what it is made from, passes the test.
    pub(crate) fn mentions(&self, test: &mut impl FnMut(&Output) -> bool) -> bool {
        if test(self) {
            return true;
        }
        match self {
            Self::Call(_, arguments) | Self::Collection(_, arguments) | Self::TokenOf(arguments) => {
                arguments.iter().any(|argument| argument.mentions(test))
            }
            Self::Field(inner, ..) | Self::Element(inner, ..) | Self::Slice(inner, ..) => inner.mentions(test),
            _ => false,
        }
    }

    /// The column that it reads, if it is one itself.
    pub(crate) fn source(&self) -> Option<Source> {
        match self {
            Self::Column(source, _) | Self::Attribute(_, source, ..) => Some(*source),
            _ => None,
        }
    }
}

/// A checked selection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selection {
    pub(crate) outputs: Vec<Output>,
    /// Values that are the same for all rows, evaluated when bound.
    pub(crate) constants: Vec<Expr>,
    pub(crate) aggregates: Vec<Aggregate>,
    /// What rows are grouped by, within their partition.
    pub(crate) group_by: Vec<Output>,
    /// For `SELECT JSON`: each output's name, as it is written, and type.
    pub(crate) json: Option<Vec<(String, CqlType)>>,
}

impl Selection {
    /// Whether static columns are shown, and nothing else but the partition key.
    pub(crate) fn shows_only_static(&self) -> bool {
        let (mut has_static, mut has_other) = (false, false);
        let mut note = |output: &Output| {
            output.mentions(&mut |inner| {
                has_static |= matches!(inner.source(), Some(Source::Static(_)));
                has_other |= matches!(inner.source(), Some(Source::Regular(_) | Source::Clustering(_)));
                false
            });
        };
        self.outputs.iter().for_each(&mut note);
        self.aggregates.iter().filter_map(|aggregate| aggregate.argument.as_deref()).for_each(&mut note);
        has_static && !has_other
    }

    /// Whether rows of the answer are made from several that are read.
    pub(crate) fn is_aggregate(&self) -> bool {
        !self.aggregates.is_empty() || !self.group_by.is_empty()
    }
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
    group_by: &[Selector],
    json: bool,
    table: &Table,
    parameters: &mut Parameters,
) -> Result<(Selection, ResultMetadata), RequestError> {
    let mut checker = Checker { table, parameters, constants: Vec::new(), aggregates: Vec::new() };
    let mut selected = Vec::new();
    for wanted in columns {
        let mut found = checker.check(&wanted.selector)?;
        if let Some(alias) = &wanted.alias {
            found.name.clone_from(&alias.text);
        }
        selected.push(found);
    }
    if columns.is_empty() {
        selected.extend(table.columns.iter().map(plain));
    }
    let group_by = checker.group_by(group_by)?;
    let (constants, aggregates) = (checker.constants, checker.aggregates);
    let spec = |name: String, cql_type: CqlType| ColumnSpec {
        keyspace: table.keyspace.clone(),
        table: table.name.clone(),
        name,
        cql_type,
    };
    let (mut specs, mut outputs, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for found in selected {
        names.push((json::column_name(&found.name), found.cql_type.clone()));
        specs.push(spec(found.name, found.cql_type));
        outputs.push(found.output);
    }
    if json {
        specs = vec![spec("[json]".to_owned(), CqlType::Text)];
    }
    let json = json.then_some(names);
    Ok((Selection { outputs, constants, aggregates, group_by, json }, ResultMetadata { columns: specs }))
}

fn plain(column: &Column) -> Selected {
    Selected {
        output: Output::Column(Source::of(column), column.cql_type.clone()),
        name: column.name.clone(),
        cql_type: column.cql_type.clone(),
    }
}
