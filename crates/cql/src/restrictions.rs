//! What a `WHERE` restricts, checked by Cassandra's rules: which partitions, which slices of their rows, and what is left
//! to filter.

use quorate_model::CqlType;
use quorate_model::request::RequestError;
use quorate_model::schema::{Column, ColumnKind, Table};

use crate::ast::{Operator, Relation, RelationTarget};
use crate::expr::{Expr, Parameters, invalid};
use crate::indexes::{IndexUse, choose, has_fitting};
pub(crate) use crate::relations::column;
use crate::relations::{Kind, Restriction, combine, resolve};

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
    /// The index that offers the rows.
    pub(crate) index: Option<IndexUse>,
    /// Whether that is to be refused, for lack of `ALLOW FILTERING`.
    pub(crate) refused: bool,
}

impl Restrictions {
    /// Whether anything of the partition key is restricted, and whether by `IN`.
    pub(crate) fn of_partition_key(&self) -> (bool, bool) {
        // Of one value, `IN` is the same as `=`.
        let is_in = |choice: &Choice| match choice {
            Choice::One(_) => false,
            Choice::Many(values) => values.len() != 1,
            Choice::Bound(..) => true,
        };
        match &self.partitions {
            Partitions::Keys(choices) => (true, choices.iter().any(is_in)),
            Partitions::Range { lower, upper } => {
                let in_key = |filter: &&Filter| matches!(filter.column.kind, ColumnKind::PartitionKey(_));
                let mut tests = self.filters.iter().filter(in_key).peekable();
                let is_restricted = lower.is_some() || upper.is_some() || tests.peek().is_some();
                (is_restricted, tests.any(|filter| matches!(&filter.test, FilterTest::In(choice) if is_in(choice))))
            }
        }
    }
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
    /// These columns together have one of these tuples.
    Tuple(Vec<Column>, Choice),
}

/// What kind of statement has the `WHERE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhereOf {
    Select {
        /// Whether it says `ALLOW FILTERING`, or need not.
        allow_filtering: bool,
        /// Whether it shows nothing but static columns, perhaps with the partition key.
        only_static: bool,
    },
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
    Analysis {
        table,
        of,
        restrictions,
        token,
        filters: Vec::new(),
        has_index: false,
        needs_filtering: false,
        key_is_tested: false,
        scans: false,
    }
    .finish()
}

struct Analysis<'a> {
    table: &'a Table,
    of: WhereOf,
    restrictions: Vec<Restriction<'a>>,
    token: Option<Restriction<'a>>,
    filters: Vec<Filter>,
    /// Whether an index fits one of the restrictions.
    has_index: bool,
    needs_filtering: bool,
    /// Whether the whole partition key is tested beside a range of tokens.
    key_is_tested: bool,
    /// Whether more than the partitions with given keys is read.
    scans: bool,
}

impl<'a> Analysis<'a> {
    fn finish(mut self) -> Result<Restrictions, RequestError> {
        self.check_others()?;
        let partitions = self.partitions()?;
        self.check_only_static()?;
        self.scans = matches!(partitions, Partitions::Range { .. });
        self.has_index = self.is_select() && self.restrictions.iter().any(|known| fits_index(self.table, known));
        let clustering = self.clustering()?;
        self.take_filters()?;
        let index = self.index(&partitions, &clustering)?;
        let refused = self.needs_filtering && self.is_select() && !self.allows_filtering();
        Ok(Restrictions { partitions, clustering, filters: self.filters, index, refused })
    }

    /// The index that offers the rows, if one fits; then filtering is needed only for what it does not say.
    fn index(&mut self, partitions: &Partitions, clustering: &[Step]) -> Result<Option<IndexUse>, RequestError> {
        if !self.is_select() || self.table.indexes.is_empty() {
            return Ok(None);
        }
        let chosen = choose(self.table, &self.filters, if self.scans { clustering } else { &[] });
        if chosen.index.is_some() {
            self.needs_filtering = chosen.needs_filtering;
            if let Partitions::Keys(choices) = partitions
                && choices.iter().any(|choice| !matches!(choice, Choice::One(_)))
            {
                let message = "Select on indexed columns and with IN clause for the PRIMARY KEY are not supported";
                return Err(RequestError::invalid(message));
            }
        }
        Ok(chosen.index)
    }

    fn allows_filtering(&self) -> bool {
        matches!(self.of, WhereOf::Select { allow_filtering: true, .. })
    }

    fn check_only_static(&self) -> Result<(), RequestError> {
        let of_rows = |restriction: &&Restriction<'_>| {
            restriction.columns.iter().any(|column| matches!(column.kind, ColumnKind::Clustering(..)))
        };
        match (self.of, self.restrictions.iter().find(of_rows)) {
            (WhereOf::Select { only_static: true, .. }, Some(found)) => {
                Err(invalid("Cannot restrict clustering columns when selecting only static columns", found.place))
            }
            _ => Ok(()),
        }
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
            // Keys within the range are tested one by one; that is no more than the range itself asks for if all are given.
            self.needs_filtering |= by_choice > 0 && by_choice < key.len();
            self.key_is_tested = by_choice == key.len();
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
        let position = |known: &&Restriction<'_>| {
            let first = known.columns.first().filter(|_| !matches!(known.kind, Kind::Tests(_)));
            columns.iter().position(|column| first == Some(column))
        };
        let in_order = self.restrictions.iter().filter_map(|known| Some((position(&known)?, known)));
        let Some((_, rest)) = in_order.min_by_key(|(position, _)| *position) else { return Ok(()) };
        // With a part of the partition key it is a scan anyhow, and that is what the refusal then says.
        if self.allows_filtering() || (self.is_select() && (self.needs_filtering || self.has_index)) {
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
            let in_key = |column: &&Column| matches!(column.kind, ColumnKind::PartitionKey(_));
            self.needs_filtering |= !(self.key_is_tested && restriction.columns.iter().all(in_key));
            let Some(column) = restriction.columns.first() else { continue };
            let tests = match (restriction.kind, restriction.is_tuple) {
                (Kind::Choice(Choice::Many(_) | Choice::Bound(..)), true) => {
                    return Err(invalid("Multicolumn IN filters are not supported", restriction.place));
                }
                (Kind::Choice(choice), true) => {
                    vec![FilterTest::Tuple(
                        restriction.columns.iter().map(|column| (*column).clone()).collect(),
                        choice,
                    )]
                }
                (Kind::Slice { .. }, true) => {
                    let message = "Multi-column slice restrictions cannot be used for filtering.";
                    return Err(invalid(message, restriction.place));
                }
                (Kind::Tests(tests), _) => tests,
                (Kind::Choice(Choice::One(value)), false) => vec![FilterTest::Compare(Operator::Equal, value)],
                (Kind::Choice(choice), false) => vec![FilterTest::In(choice)],
                (Kind::Slice { lower, upper }, false) => slice_tests(lower, upper),
            };
            let filters = tests.into_iter().map(|test| Filter { column: (*column).clone(), test });
            self.filters.extend(filters);
        }
        Ok(())
    }
}

/// Whether an index fits a restriction that has to be tested row by row.
fn fits_index(table: &Table, restriction: &Restriction<'_>) -> bool {
    let [column] = restriction.columns.as_slice() else { return false };
    let tests = match &restriction.kind {
        _ if restriction.is_tuple => return false,
        Kind::Choice(Choice::One(value)) => vec![FilterTest::Compare(Operator::Equal, value.clone())],
        Kind::Choice(_) => return false,
        Kind::Slice { lower, upper } => slice_tests(lower.clone(), upper.clone()),
        Kind::Tests(tests) => tests.clone(),
    };
    tests.iter().any(|test| has_fitting(table, column, test))
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
