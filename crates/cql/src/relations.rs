//! Single relations of a `WHERE`: names resolved, values typed, those on the same columns put together.

use quorate_model::CqlType;
use quorate_model::request::{Place, RequestError};
use quorate_model::schema::{Column, ColumnKind, Table};

use crate::ast::{Name, Operator, Relation, RelationTarget, RelationValue, Term, TermKind};
use crate::expr::{Expr, Parameters, Receiver, invalid, typed};
use crate::restrictions::{Choice, FilterTest};
/// All relations on the same columns, put together.
#[derive(Debug)]
pub(crate) struct Restriction<'a> {
    pub(crate) columns: Vec<&'a Column>,
    pub(crate) is_tuple: bool,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Choice(Choice),
    Slice { lower: Option<(Expr, bool)>, upper: Option<(Expr, bool)> },
    Tests(Vec<FilterTest>),
}

/// The column with this name.
pub(crate) fn column<'a>(table: &'a Table, name: &Name) -> Result<&'a Column, RequestError> {
    table.column(&name.text).ok_or_else(|| {
        let shown = crate::lexer::quote_name(&name.text);
        invalid(format!("Undefined column name {shown} in table {}.{}", table.keyspace, table.name), name.place)
    })
}

/// A relation, resolved.
pub(crate) fn resolve<'a>(
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
                return Err(invalid("Only EQ relations are supported on map entries", name.place));
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
    if matches!(operator, Operator::Like | Operator::IsNotNull) {
        let RelationValue::Term(term) = &relation.value else { return Err(unsupported(operator, place)) };
        if operator == Operator::Like {
            typed(term, &Receiver { name, cql_type }, parameters)?;
        }
        return Err(invalid(
            match operator {
                Operator::Like => format!(
                    "LIKE restriction is only supported on properly indexed columns. {name} LIKE {term} is not valid."
                ),
                _ => format!("Unsupported restriction: {name} IS NOT NULL"),
            },
            place,
        ));
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
    if cql_type.is_multicell() && !cql_type.is_collection() {
        let message = format!("Non-frozen UDT column '{name}' ({cql_type}) cannot be restricted by any relation");
        return Err(invalid(message, place));
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
                return Err(invalid(
                    format!("Column \"{name}\" appeared twice in a relation: {}", shown_tuple(relation, names)),
                    name.place,
                ));
            }
            if position != previous + 1 {
                let message = format!(
                    "Clustering columns must appear in the PRIMARY KEY order in multi-column relations: {}",
                    shown_tuple(relation, names)
                );
                return Err(invalid(message, name.place));
            }
        }
        columns.push(found);
    }
    if relation.operator == Operator::NotEqual {
        let message = format!("Unsupported \"!=\" relation: {}", shown_tuple(relation, names));
        return Err(invalid(message, place));
    }
    check_arity(relation, columns.len())?;
    let tuple = CqlType::Tuple(columns.iter().map(|column| column.cql_type.clone()).collect());
    let shown = names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(",");
    let receiver = Receiver { name: &format!("({shown})"), cql_type: &tuple };
    // A tuple of one column: its values may come without parentheses too.
    let kind = comparison(relation, &receiver, &format!("in({shown})"), place, parameters)?;
    Ok(Restriction { columns, is_tuple: true, kind, place })
}

/// A tuple literal has a value for each column.
fn check_arity(relation: &Relation, wanted: usize) -> Result<(), RequestError> {
    let terms = match &relation.value {
        RelationValue::Term(term) => std::slice::from_ref(term),
        RelationValue::List(terms) => terms.as_slice(),
    };
    for term in terms {
        if let TermKind::Tuple(items) = &term.kind
            && items.len() != wanted
        {
            let message = format!("Expected {wanted} elements in value tuple, but got {}: {term}", items.len());
            return Err(invalid(message, term.place));
        }
    }
    Ok(())
}

fn shown_tuple(relation: &Relation, names: &[Name]) -> String {
    let columns = names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(", ");
    let value = match &relation.value {
        RelationValue::Term(term) => term.to_string(),
        RelationValue::List(terms) => {
            format!("({})", terms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
    };
    format!("({columns}) {} {value}", relation.operator)
}

/// Puts a second relation on the same columns to the first.
pub(crate) fn combine<'a>(known: &mut Restriction<'a>, found: Restriction<'a>) -> Result<(), RequestError> {
    let shared = known.columns.iter().find(|column| found.columns.contains(column));
    let name = shared.map_or("", |column| column.name.as_str()).to_owned();
    let place = found.place;
    if known.columns.first() != found.columns.first()
        && matches!((&known.kind, &found.kind), (Kind::Slice { .. }, Kind::Slice { .. }))
    {
        let message =
            format!("Column \"{name}\" cannot be restricted by two inequalities not starting with the same column");
        return Err(invalid(message, place));
    }
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
            let is_tuple = known.is_tuple || found.is_tuple;
            // A tuple of fewer columns, or a column alone, bounds as a tuple that is shorter.
            let as_tuple = |bound: Option<(Expr, bool)>, of_tuple: bool, columns: &[&Column]| match columns {
                [column] if is_tuple && !of_tuple => bound.map(|(value, inclusive)| {
                    (Expr::Composite(CqlType::Tuple(vec![column.cql_type.clone()]), vec![value]), inclusive)
                }),
                _ => bound,
            };
            for (bound, more, side) in [(lower, more_lower, "start"), (upper, more_upper, "end")] {
                if bound.is_some() && more.is_some() {
                    let both = known.columns.iter().filter(|column| found.columns.contains(column));
                    let names = both.map(|column| column.name.as_str()).collect::<Vec<_>>().join(if is_tuple {
                        " ,"
                    } else {
                        ", "
                    });
                    let message = format!("More than one restriction was found for the {side} bound on {names}");
                    return Err(invalid(message, place));
                }
                let bound_before = as_tuple(bound.take(), known.is_tuple, &known.columns);
                *bound = bound_before.or(as_tuple(more, found.is_tuple, &found.columns));
            }
            known.is_tuple = is_tuple;
            if found.columns.len() > known.columns.len() {
                known.columns = found.columns;
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
