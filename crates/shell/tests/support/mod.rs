//! A front that plays a node with one table, `k.t (id int, name text, v double)`, and fails on request.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use bytes::{BufMut, BytesMut};
use quorate_model::admin::{AdminAnswer, AdminRequest, ClusterStatus};
use quorate_model::request::{
    Answer, ClientResponse, ColumnSpec, Place, Prepared, QueryOptions, RequestError, ResultMetadata, Rows, StatementId,
};
use quorate_model::{Consistency, CqlType, Value};
use quorate_shell::front::{Front, FrontError, FrontFuture};
use quorate_shell::output::Output;
use quorate_shell::session::Session;
use quorate_shell::table::Format;

/// What the fake has been told and is to do.
#[derive(Default)]
pub struct State {
    /// Rows by id.
    pub rows: BTreeMap<i32, Vec<Value>>,
    /// How often the next executions are refused as overloaded.
    pub refusals: u32,
    /// Ids whose insert is lost without an answer.
    pub lost: Vec<i32>,
    /// Executions that arrived.
    pub executions: u32,
    /// Texts of the queries that arrived.
    pub queries: Vec<String>,
}

/// See the module.
#[derive(Clone, Default)]
pub struct Fake(pub Arc<Mutex<State>>);

fn columns() -> Vec<(&'static str, CqlType)> {
    vec![("id", CqlType::Int), ("name", CqlType::Text), ("v", CqlType::Double)]
}

fn rows_of(columns: &[(&str, CqlType)], rows: &[Vec<Value>], paging_state: Option<usize>) -> Answer {
    let mut data = BytesMut::new();
    for row in rows {
        for (value, (_, cql_type)) in row.iter().zip(columns) {
            match value.encode(cql_type).unwrap() {
                None => data.put_i32(-1),
                Some(bytes) => {
                    data.put_i32(bytes.len() as i32);
                    data.put_slice(&bytes);
                }
            }
        }
    }
    let specs = columns.iter().map(|(name, cql_type)| ColumnSpec {
        keyspace: "k".into(),
        table: "t".into(),
        name: (*name).into(),
        cql_type: cql_type.clone(),
    });
    Answer::Rows(Rows {
        metadata: Arc::new(ResultMetadata { columns: specs.collect() }),
        row_count: rows.len() as u32,
        data: data.freeze(),
        paging_state: paging_state.map(|at| at.to_string().into()),
    })
}

impl Fake {
    fn answer(&self, text: &str, options: &QueryOptions) -> Result<Answer, RequestError> {
        let mut state = self.0.lock().unwrap();
        state.queries.push(text.to_owned());
        if text.contains("system_schema.columns") {
            let row = |kind: &str, position, name: &str| {
                vec![Value::Text(kind.into()), Value::Int(position), Value::Text(name.into())]
            };
            let found = [row("regular", -1, "v"), row("regular", -1, "name"), row("partition_key", 0, "id")];
            let types = [("kind", CqlType::Text), ("position", CqlType::Int), ("column_name", CqlType::Text)];
            return Ok(rows_of(&types, &found, None));
        }
        if text.starts_with("SELECT") {
            let from =
                options.paging_state.as_ref().map_or(0, |state| std::str::from_utf8(state).unwrap().parse().unwrap());
            let size = options.page_size.unwrap_or(u32::MAX) as usize;
            let all: Vec<Vec<Value>> = state.rows.values().cloned().collect();
            let page: Vec<Vec<Value>> = all.iter().skip(from).take(size).cloned().collect();
            let next = from + page.len();
            return Ok(rows_of(&columns(), &page, (next < all.len()).then_some(next)));
        }
        match text.split_whitespace().next() {
            Some("USE") => Ok(Answer::SetKeyspace("k".into())),
            Some("INSERT") => Ok(Answer::Void),
            _ => Err(RequestError::Syntax {
                message: "line 1:0 no viable alternative at input 'SELEC' ([SELEC]...)".into(),
                place: Some(Place { line: 1, column: 0, length: 5 }),
            }),
        }
    }
}

impl Front for Fake {
    fn endpoint(&self) -> String {
        "fake:9044".into()
    }

    fn query<'a>(
        &'a self,
        text: &'a str,
        _: Option<&'a str>,
        options: QueryOptions,
    ) -> FrontFuture<'a, ClientResponse> {
        let result = self.answer(text, &options);
        Box::pin(async move { Ok(ClientResponse { result, warnings: Vec::new(), trace: None }) })
    }

    fn prepare<'a>(&'a self, text: &'a str) -> FrontFuture<'a, Prepared> {
        Box::pin(async move {
            let names = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
            let spec = |name: &str| {
                let found = columns().into_iter().find(|(known, _)| *known == name);
                let (name, cql_type) = found.ok_or_else(|| {
                    FrontError::Request(RequestError::invalid(format!("Undefined column name {name} in table k.t")))
                })?;
                Ok(ColumnSpec { keyspace: "k".into(), table: "t".into(), name: name.into(), cql_type })
            };
            let columns = names.split(", ").map(spec).collect::<Result<Vec<_>, FrontError>>()?;
            Ok(Prepared {
                id: StatementId([7; 16]),
                parameters: Arc::new(ResultMetadata { columns }),
                partition_key: vec![0],
                result: Arc::default(),
            })
        })
    }

    fn execute<'a>(&'a self, prepared: &'a Prepared, values: Vec<Value>, _: QueryOptions) -> FrontFuture<'a, ()> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut state = self.0.lock().unwrap();
            state.executions += 1;
            if state.refusals > 0 {
                state.refusals -= 1;
                return Err(FrontError::Request(RequestError::Overloaded("too much".into())));
            }
            let names: Vec<&str> = prepared.parameters.columns.iter().map(|column| column.name.as_str()).collect();
            let at = |name: &str| names.iter().position(|known| *known == name).map(|index| values[index].clone());
            let Some(Value::Int(id)) = at("id") else {
                return Err(FrontError::Request(RequestError::invalid(
                    "Invalid null value in condition for column id",
                )));
            };
            if state.lost.contains(&id) {
                let consistency = Consistency::Quorum;
                return Err(FrontError::Request(RequestError::WriteTimeout {
                    consistency,
                    received: 1,
                    required: 2,
                    write_type: quorate_model::request::WriteType::Simple,
                }));
            }
            let row = ["id", "name", "v"].map(|name| at(name).unwrap_or(Value::Null)).to_vec();
            state.rows.insert(id, row);
            Ok(())
        })
    }

    fn admin<'a>(&'a self, _: &'a AdminRequest) -> FrontFuture<'a, AdminAnswer> {
        Box::pin(async {
            Ok(AdminAnswer::Cluster(ClusterStatus { cluster_name: "test".into(), ..Default::default() }))
        })
    }
}

/// A stream that can be read afterwards.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    /// What was written.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A session on the fake, and what it says on standard output and error.
pub fn session(fake: &Fake, format: Format) -> (Session, Heard, Heard) {
    let (out, err) = (Heard::default(), Heard::default());
    let output = Output::new(format, Box::new(out.clone()), Box::new(err.clone()));
    (Session::new(Arc::new(fake.clone()), output), out, err)
}
