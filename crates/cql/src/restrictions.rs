//! What a `WHERE` restricts, checked by Cassandra's rules: which partitions, which slices of their rows, and what is left
//! to filter.

use quorate_model::CqlType;
use quorate_model::request::{Place, RequestError};
use quorate_model::schema::{Column, ColumnKind, Table};

use crate::ast::{Name, Operator, Relation, RelationTarget, RelationValue, Term, TermKind};
use crate::expr::{Expr, Parameters, Receiver, invalid, typed};

/// The refusal of what would need a scan.
pub(crate) const NEEDS_FILTERING: &str = "Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING";

/// A checked `WHERE`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Restrictions {
    pub(crate) partitions: Partitions,
    /// Restrictions of a prefix of the clustering columns, in their order; only the last may be a slice.
    pub(crate) clustering: Vec<Step>,
    /// What rows are tested for beyond that.
    pub(crate) filters: Vec<Filter>,
}

/// Which partitions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Partitions {
    /// All, perhaps between tokens.
    Range { lower: Option<(Expr, bool)>, upper: Option<(Expr, bool)> },
    /// Those with these values, for each column of the partition key.
    Keys(Vec<Choice>),
}

/// A value, or one of several.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    One(Expr),
    Many(Vec<Expr>),
    /// `IN ?`: a list, and the type of its elements.
    Bound(Expr, CqlType),
}

/// A restriction of one or, in a tuple, several neighbouring clustering columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// Position of the first of them among the clustering columns.
    pub(crate) first: usize,
    /// Their types, each with whether it is descending.
    pub(crate) types: Vec<(CqlType, bool)>,
    /// Whether values are tuples, one component a column.
    pub(crate) is_tuple: bool,
    pub(crate) kind: StepKind,
    /// Names in messages.
    pub(crate) names: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StepKind {
    Choice(Choice),
    /// Bounds, each with whether it is included.
    Slice {
        lower: Option<(Expr, bool)>,
        upper: Option<(Expr, bool)>,
    },
}

/// A test of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    pub(crate) column: Column,
    pub(crate) test: FilterTest,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FilterTest {
    Compare(Operator, Expr),
    In(Choice),
    Contains(Expr),
    ContainsKey(Expr),
    Element(Expr, Expr),
}

/// What kind of statement has the `WHERE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhereOf {
    Select { allow_filtering: bool },
    Update,
    Delete,
}

impl WhereOf {
    fn name(self) -> &'static str {
        match self {
            Self::Select { .. } => "SELECT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// All relations on the same columns, put together.
#[derive(Debug)]
struct Restriction<'a> {
    columns: Vec<&'a Column>,
    is_tuple: bool,
    kind: Kind,
    place: Place,
}

#[derive(Debug)]
enum Kind {
    Choice(Choice),
    Slice { lower: Option<(Expr, bool)>, upper: Option<(Expr, bool)> },
    Tests(Vec<FilterTest>),
}

/// Checks a `WHERE`.
pub(crate) fn analyse(
    relations: &[Relation],
    table: &Table,
    of: WhereOf,
    parameters: &mut Parameters,
) -> Result<Restrictions, RequestError> {
    let mut restrictions: Vec<Restriction<'_>> = Vec::new();
    let mut token: Option<Restriction<'_>> = None;
    for relation in relations {
        let found = resolve(relation, table, parameters)?;
        let is_token = matches!(relation.target, RelationTarget::Token(_));
        let same = if is_token {
            token.as_mut()
        } else {
            restrictions.iter_mut().find(|known| known.columns.iter().any(|column| found.columns.contains(column)))
        };
        match same {
            Some(known) => combine(known, found)?,
            None if is_token => token = Some(found),
            None => restrictions.push(found),
        }
    }
    Analysis { table, of, restrictions, token, filters: Vec::new(), needs_filtering: false, scans: false }.finish()
}

/// The column with this name.
pub(crate) fn column<'a>(table: &'a Table, name: &Name) -> Result<&'a Column, RequestError> {
    table.column(&name.text).ok_or_else(|| {
        let shown = crate::lexer::quote_name(&name.text);
        invalid(format!("Undefined column name {shown} in table {}.{}", table.keyspace, table.name), name.place)
    })
}

fn resolve<'a>(
    relation: &Relation,
    table: &'a Table,
    parameters: &mut Parameters,
) -> Result<Restriction<'a>, RequestError> {
    match &relation.target {
        RelationTarget::Column(name) => {
            let column = column(table, name)?;
            let kind = single(relation, column, name.place, parameters)?;
            Ok(Restriction { columns: vec![column], is_tuple: false, kind, place: name.place })
        }
        RelationTarget::Element(name, key) => {
            let column = column(table, name)?;
            let CqlType::Map(key_type, value_type, _) = &column.cql_type else {
                return Err(invalid(format!("Column {name} cannot be used as a map"), name.place));
            };
            let (RelationValue::Term(value), Operator::Equal) = (&relation.value, relation.operator) else {
                return Err(invalid("Invalid unsupported operator on a map entry: only = is supported", name.place));
            };
            let key_name = format!("key({name})");
            let key = typed(key, &Receiver { name: &key_name, cql_type: key_type }, parameters)?;
            let value_name = format!("value({name})");
            let value = typed(value, &Receiver { name: &value_name, cql_type: value_type }, parameters)?;
            let kind = Kind::Tests(vec![FilterTest::Element(key, value)]);
            Ok(Restriction { columns: vec![column], is_tuple: false, kind, place: name.place })
        }
        RelationTarget::Token(names) => token_relation(relation, names, table, parameters),
        RelationTarget::Columns(names) => tuple_relation(relation, names, table, parameters),
    }
}

fn single(
    relation: &Relation,
    column: &Column,
    place: Place,
    parameters: &mut Parameters,
) -> Result<Kind, RequestError> {
    let name = &column.name;
    let operator = relation.operator;
    let cql_type = &column.cql_type;
    if matches!(operator, Operator::NotEqual) {
        let RelationValue::Term(term) = &relation.value else { return Err(unsupported(operator, place)) };
        return Err(invalid(format!("Unsupported \"!=\" relation: {name} != {term}"), place));
    }
    if matches!(operator, Operator::Contains | Operator::ContainsKey) {
        let element = match (cql_type, operator) {
            (CqlType::List(element, _) | CqlType::Set(element, _), Operator::Contains) => element,
            (CqlType::Map(_, value, _), Operator::Contains) => value,
            (CqlType::Map(key, _, _), _) => key,
            _ => {
                let kind = if operator == Operator::Contains { "collection" } else { "map" };
                return Err(invalid(format!("Cannot use {operator} on non-{kind} column {name}"), place));
            }
        };
        let RelationValue::Term(term) = &relation.value else { return Err(unsupported(operator, place)) };
        let prefix = if operator == Operator::Contains { "value" } else { "key" };
        let receiver = format!("{prefix}({name})");
        let value = typed(term, &Receiver { name: &receiver, cql_type: element }, parameters)?;
        let test =
            if operator == Operator::Contains { FilterTest::Contains(value) } else { FilterTest::ContainsKey(value) };
        return Ok(Kind::Tests(vec![test]));
    }
    if cql_type.is_multicell() {
        let message =
            format!("Collection column '{name}' ({cql_type}) cannot be restricted by a '{operator}' relation");
        return Err(invalid(message, place));
    }
    let slices = !matches!(operator, Operator::Equal | Operator::In);
    if slices && cql_type.mentions(&|part| *part == CqlType::Duration) {
        return Err(invalid("Slice restrictions are not supported on duration columns", place));
    }
    comparison(relation, &Receiver { name, cql_type }, &format!("in({name})"), place, parameters)
}

fn unsupported(operator: Operator, place: Place) -> RequestError {
    invalid(format!("{operator} is not supported yet"), place)
}

/// A relation by comparison: choice or slice.
fn comparison(
    relation: &Relation,
    receiver: &Receiver<'_>,
    in_name: &str,
    place: Place,
    parameters: &mut Parameters,
) -> Result<Kind, RequestError> {
    let operator = relation.operator;
    let term = match (&relation.value, operator) {
        (RelationValue::List(items), Operator::In) => {
            let choices = items.iter().map(|item| typed(item, receiver, parameters));
            return Ok(Kind::Choice(Choice::Many(choices.collect::<Result<_, _>>()?)));
        }
        (RelationValue::Term(term), Operator::In) => {
            let list = CqlType::List(Box::new(receiver.cql_type.freeze()), true);
            let value = typed(term, &Receiver { name: in_name, cql_type: &list }, parameters)?;
            return Ok(Kind::Choice(Choice::Bound(value, receiver.cql_type.clone())));
        }
        (RelationValue::Term(term), _) => term,
        (RelationValue::List(_), _) => return Err(unsupported(operator, place)),
    };
    let value = typed(term, receiver, parameters)?;
    bound_of(operator, value).ok_or_else(|| unsupported(operator, place))
}

/// The restriction that a comparison with one value makes.
fn bound_of(operator: Operator, value: Expr) -> Option<Kind> {
    Some(match operator {
        Operator::Equal => Kind::Choice(Choice::One(value)),
        Operator::Greater => Kind::Slice { lower: Some((value, false)), upper: None },
        Operator::GreaterEqual => Kind::Slice { lower: Some((value, true)), upper: None },
        Operator::Less => Kind::Slice { lower: None, upper: Some((value, false)) },
        Operator::LessEqual => Kind::Slice { lower: None, upper: Some((value, true)) },
        _ => return None,
    })
}

fn token_relation<'a>(
    relation: &Relation,
    names: &[Name],
    table: &'a Table,
    parameters: &mut Parameters,
) -> Result<Restriction<'a>, RequestError> {
    let place = names.first().map_or(Place { line: 1, column: 0, length: 0 }, |name| name.place);
    let mut columns = Vec::new();
    for name in names {
        columns.push(column(table, name)?);
    }
    let key: Vec<&Column> = table.partition_key().collect();
    if columns.len() != key.len() || columns.iter().any(|column| !key.contains(column)) {
        let message = "The token() function must be applied to all partition key components or none of them";
        return Err(invalid(message, place));
    }
    if columns != key {
        let order = key.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(invalid(
            format!("The token function arguments must be in the partition key order: {order}"),
            place,
        ));
    }
    let receiver = Receiver { name: "partition key token", cql_type: &CqlType::BigInt };
    let mut kind = match &relation.value {
        RelationValue::Term(Term { kind: TermKind::Function(function, arguments), .. }) if function == "token" => {
            let value = token_of(arguments, &columns, place, parameters)?;
            bound_of(relation.operator, value).ok_or_else(|| unsupported(relation.operator, place))?
        }
        _ => comparison(relation, &receiver, "in(partition key token)", place, parameters)?,
    };
    if let Kind::Choice(Choice::One(value)) = kind {
        kind = Kind::Slice { lower: Some((value.clone(), true)), upper: Some((value, true)) };
    }
    if matches!(kind, Kind::Choice(_)) {
        return Err(invalid("IN on token() is not supported", place));
    }
    Ok(Restriction { columns, is_tuple: false, kind, place })
}

/// `token(1, 'a')`: of values, one for each column of the partition key.
fn token_of(
    arguments: &[Term],
    columns: &[&Column],
    place: Place,
    parameters: &mut Parameters,
) -> Result<Expr, RequestError> {
    if arguments.len() != columns.len() {
        let message = format!(
            "Invalid number of arguments in call to function system.token: {} required but {} provided",
            columns.len(),
            arguments.len()
        );
        return Err(invalid(message, place));
    }
    let typed_as = |(argument, column): (&Term, &&Column)| {
        typed(argument, &Receiver { name: &column.name, cql_type: &column.cql_type }, parameters)
    };
    arguments.iter().zip(columns).map(typed_as).collect::<Result<_, _>>().map(Expr::Token)
}

fn tuple_relation<'a>(
    relation: &Relation,
    names: &[Name],
    table: &'a Table,
    parameters: &mut Parameters,
) -> Result<Restriction<'a>, RequestError> {
    let place = names.first().map_or(Place { line: 1, column: 0, length: 0 }, |name| name.place);
    let mut columns: Vec<&Column> = Vec::new();
    for name in names {
        let found = column(table, name)?;
        let ColumnKind::Clustering(position, _) = found.kind else {
            let message =
                format!("Multi-column relations can only be applied to clustering columns but was applied to: {name}");
            return Err(invalid(message, name.place));
        };
        if let Some(ColumnKind::Clustering(previous, _)) = columns.last().map(|column| column.kind) {
            if columns.contains(&found) {
                return Err(invalid(format!("Column \"{name}\" appeared twice in a relation"), name.place));
            }
            if position != previous + 1 {
                let order = names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(", ");
                let message = format!(
                    "Clustering columns must appear in the PRIMARY KEY order in multi-column relations: ({order})"
                );
                return Err(invalid(message, name.place));
            }
        }
        columns.push(found);
    }
    let tuple = CqlType::Tuple(columns.iter().map(|column| column.cql_type.clone()).collect());
    let shown = names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(",");
    let receiver = Receiver { name: &format!("({shown})"), cql_type: &tuple };
    // A tuple of one column: its values may come without parentheses too.
    let kind = comparison(relation, &receiver, &format!("in({shown})"), place, parameters)?;
    Ok(Restriction { columns, is_tuple: true, kind, place })
}

/// Puts a second relation on the same columns to the first.
fn combine(known: &mut Restriction<'_>, found: Restriction<'_>) -> Result<(), RequestError> {
    let name = known.columns.first().map_or("", |column| column.name.as_str()).to_owned();
    let place = found.place;
    if known.columns.first() != found.columns.first() || known.is_tuple != found.is_tuple {
        let message = "Mixing single column relations and multi column relations on clustering columns is not allowed";
        return Err(invalid(message, place));
    }
    let same_columns = known.columns == found.columns;
    match (&mut known.kind, found.kind) {
        (Kind::Tests(tests), Kind::Tests(more)) => tests.extend(more),
        (Kind::Choice(Choice::One(_)), _) | (Kind::Choice(_), Kind::Choice(Choice::One(_))) => {
            let message = format!("{name} cannot be restricted by more than one relation if it includes an Equal");
            return Err(invalid(message, place));
        }
        (Kind::Choice(_), _) => {
            let message = format!("{name} cannot be restricted by more than one relation if it includes a IN");
            return Err(invalid(message, place));
        }
        (Kind::Slice { .. }, Kind::Choice(_)) => {
            let message =
                format!("Column \"{name}\" cannot be restricted by both an equality and an inequality relation");
            return Err(invalid(message, place));
        }
        (Kind::Slice { lower, upper }, Kind::Slice { lower: more_lower, upper: more_upper }) => {
            if !same_columns {
                return Err(invalid("Slices over tuples of different length are not supported yet", place));
            }
            for (bound, more, side) in [(lower, more_lower, "start"), (upper, more_upper, "end")] {
                if bound.is_some() && more.is_some() {
                    let message = format!("More than one restriction was found for the {side} bound on {name}");
                    return Err(invalid(message, place));
                }
                *bound = bound.take().or(more);
            }
        }
        (Kind::Slice { .. } | Kind::Tests(_), _) => {
            let message = format!(
                "Collection column {name} can only be restricted by CONTAINS, CONTAINS KEY, or map-entry equality"
            );
            return Err(invalid(message, place));
        }
    }
    Ok(())
}

struct Analysis<'a> {
    table: &'a Table,
    of: WhereOf,
    restrictions: Vec<Restriction<'a>>,
    token: Option<Restriction<'a>>,
    filters: Vec<Filter>,
    needs_filtering: bool,
    /// Whether more than the partitions with given keys is read.
    scans: bool,
}

impl<'a> Analysis<'a> {
    fn finish(mut self) -> Result<Restrictions, RequestError> {
        self.check_others()?;
        let partitions = self.partitions()?;
        self.scans = matches!(partitions, Partitions::Range { .. });
        let clustering = self.clustering()?;
        self.take_filters()?;
        if self.needs_filtering && self.of == (WhereOf::Select { allow_filtering: false }) {
            return Err(RequestError::invalid(NEEDS_FILTERING));
        }
        Ok(Restrictions { partitions, clustering, filters: self.filters })
    }

    fn is_select(&self) -> bool {
        matches!(self.of, WhereOf::Select { .. })
    }

    /// Writes are addressed by their key alone.
    fn check_others(&self) -> Result<(), RequestError> {
        let other = |restriction: &&Restriction<'_>| {
            restriction.columns.iter().any(|column| matches!(column.kind, ColumnKind::Static | ColumnKind::Regular))
        };
        match self.restrictions.iter().find(other) {
            Some(restriction) if !self.is_select() => {
                let name = restriction.columns.first().map_or("", |column| column.name.as_str());
                Err(invalid(format!("Non PRIMARY KEY columns found in where clause: {name} "), restriction.place))
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, column: &Column) -> Option<Restriction<'a>> {
        let index = self.restrictions.iter().position(|known| known.columns.first() == Some(&column))?;
        Some(self.restrictions.remove(index))
    }

    fn partitions(&mut self) -> Result<Partitions, RequestError> {
        let key: Vec<&Column> = self.table.partition_key().collect();
        let restricted =
            |column: &&Column| self.restrictions.iter().find(|known| known.columns.first() == Some(column));
        let mut missing: Vec<&str> = Vec::new();
        let mut by_choice = 0;
        for column in &key {
            match restricted(column) {
                None => missing.push(&column.name),
                Some(Restriction { kind: Kind::Choice(_), .. }) => by_choice += 1,
                Some(restriction) if !self.is_select() => {
                    let message = format!(
                        "Only EQ and IN relation are supported on the partition key (unless you use the token() function) for {} statements",
                        self.of.name()
                    );
                    return Err(invalid(message, restriction.place));
                }
                Some(_) => self.needs_filtering = true,
            }
        }
        if let Some(token) = self.token.take() {
            if !self.is_select() {
                let message =
                    format!("The token function cannot be used in WHERE clauses for {} statements", self.of.name());
                return Err(invalid(message, token.place));
            }
            if by_choice > 0 || self.needs_filtering {
                let message = "Restricting both token() and columns of the partition key is not supported yet";
                return Err(invalid(message, token.place));
            }
            let Kind::Slice { lower, upper } = token.kind else {
                return Err(invalid("Unsupported restriction on token()", token.place));
            };
            return Ok(Partitions::Range { lower, upper });
        }
        if by_choice == key.len() {
            let mut choices = Vec::new();
            for column in &key {
                if let Some(Restriction { kind: Kind::Choice(choice), .. }) = self.take(column) {
                    choices.push(choice);
                }
            }
            return Ok(Partitions::Keys(choices));
        }
        if !self.is_select() {
            return Err(RequestError::invalid(format!("Some partition key parts are missing: {}", missing.join(", "))));
        }
        self.needs_filtering |= missing.len() < key.len();
        Ok(Partitions::Range { lower: None, upper: None })
    }

    fn clustering(&mut self) -> Result<Vec<Step>, RequestError> {
        let columns: Vec<&Column> = self.table.clustering().collect();
        let mut steps: Vec<Step> = Vec::new();
        let mut next = 0;
        while let Some(column) = columns.get(next) {
            let Some(restriction) = self.take(column) else { break };
            let names = restriction.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(",");
            let types = restriction.columns.iter().map(|column| {
                let descending = matches!(column.kind, ColumnKind::Clustering(_, true));
                (column.cql_type.clone(), descending)
            });
            let (kind, ends) = match restriction.kind {
                Kind::Choice(choice) => (StepKind::Choice(choice), false),
                Kind::Slice { lower, upper } => (StepKind::Slice { lower, upper }, true),
                Kind::Tests(_) => {
                    self.restrictions.push(restriction);
                    break;
                }
            };
            let types = types.collect();
            steps.push(Step { first: next, types, is_tuple: restriction.is_tuple, kind, names });
            next += restriction.columns.len();
            if ends {
                break;
            }
        }
        self.check_rest(&columns, next, steps.last())?;
        if !steps.is_empty() && self.scans {
            self.needs_filtering = true;
        }
        Ok(steps)
    }

    /// Clustering columns restricted beyond the prefix: to be filtered, if that is allowed.
    fn check_rest(&mut self, columns: &[&Column], next: usize, last: Option<&Step>) -> Result<(), RequestError> {
        let rest = self.restrictions.iter().find(|known| {
            known.columns.first().is_some_and(|column| matches!(column.kind, ColumnKind::Clustering(..)))
                && !matches!(known.kind, Kind::Tests(_))
        });
        let Some(rest) = rest else { return Ok(()) };
        let allowed = self.of == (WhereOf::Select { allow_filtering: true });
        // Without a partition key it is a scan anyhow, and that is what the refusal then says.
        if allowed || (self.is_select() && (self.needs_filtering || self.scans)) {
            self.needs_filtering = true;
            return Ok(());
        }
        let name = rest.columns.first().map_or("", |column| column.name.as_str());
        let message = match (last, columns.get(next)) {
            (Some(Step { kind: StepKind::Slice { .. }, names, .. }), _) => format!(
                "Clustering column \"{name}\" cannot be restricted (preceding column \"{names}\" is restricted by a non-EQ relation)"
            ),
            (_, Some(missing)) => format!(
                "PRIMARY KEY column \"{name}\" cannot be restricted as preceding column \"{}\" is not restricted",
                missing.name
            ),
            _ => NEEDS_FILTERING.to_owned(),
        };
        Err(invalid(message, rest.place))
    }

    /// Everything not yet used becomes a test of each row.
    fn take_filters(&mut self) -> Result<(), RequestError> {
        for restriction in std::mem::take(&mut self.restrictions) {
            self.needs_filtering = true;
            if restriction.is_tuple && restriction.columns.len() > 1 {
                let message = "Filtering by a multi-column relation is not supported yet";
                return Err(invalid(message, restriction.place));
            }
            let Some(column) = restriction.columns.first() else { continue };
            if column.kind == ColumnKind::Static || column.kind == ColumnKind::Regular || !restriction.is_tuple {
                let tests = match restriction.kind {
                    Kind::Tests(tests) => tests,
                    Kind::Choice(Choice::One(value)) => vec![FilterTest::Compare(Operator::Equal, value)],
                    Kind::Choice(choice) => vec![FilterTest::In(choice)],
                    Kind::Slice { lower, upper } => slice_tests(lower, upper),
                };
                let filters = tests.into_iter().map(|test| Filter { column: (*column).clone(), test });
                self.filters.extend(filters);
            } else {
                return Err(invalid("Filtering by a tuple of one column is not supported yet", restriction.place));
            }
        }
        Ok(())
    }
}

fn slice_tests(lower: Option<(Expr, bool)>, upper: Option<(Expr, bool)>) -> Vec<FilterTest> {
    let lower = lower.map(|(value, inclusive)| {
        FilterTest::Compare(if inclusive { Operator::GreaterEqual } else { Operator::Greater }, value)
    });
    let upper = upper.map(|(value, inclusive)| {
        FilterTest::Compare(if inclusive { Operator::LessEqual } else { Operator::Less }, value)
    });
    lower.into_iter().chain(upper).collect()
}
