//! A session: the client's view of one cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use quorate_model::Token;
use quorate_model::admin::{AdminAnswer, AdminRequest, ClusterStatus};
use quorate_model::request::{Answer, BatchStatement, RequestError, ResultMetadata, Values};
use quorate_model::schema::Replication;
use quorate_proto::Response;
use quorate_proto::v1;
use quorate_proto::v1::stream_request_item::Request;
use tokio::sync::Notify;

use crate::cluster::{Cluster, Node, answer_timeout, parse_address, parse_replication};
use crate::error::Error;
use crate::limits::{ATTEMPTS_MAX, PREPARED_CACHE_MAX, TOPOLOGY_PAUSE, TOPOLOGY_REFRESH};
use crate::options::Options;
use crate::pages::{Paged, RowStream};
use crate::row::QueryResult;
use crate::statement::{Batch, BatchText, Prepared, PreparedInner};
use crate::tls::Tls;
use crate::values::{ToValues, partition_key};

/// A session with a cluster. Cheap to clone; clones share connections, prepared statements and the keyspace.
#[derive(Clone, Debug)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    options: Options,
    keyspace: Mutex<Option<String>>,
    prepared: Mutex<BTreeMap<(Option<String>, String), Prepared>>,
    refresh: Arc<Notify>,
}

/// How to connect.
///
/// ```no_run
/// # async fn example() -> Result<(), quorate_client::Error> {
/// use quorate_client::{Consistency, Options, Session};
///
/// let session = Session::builder()
///     .contact_point("10.0.0.1")
///     .contact_point("db2.example.org:9044")
///     .keyspace("nyc")
///     .options(Options::default().consistency(Consistency::LocalQuorum))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct SessionBuilder {
    contacts: Vec<String>,
    keyspace: Option<String>,
    options: Options,
    contacts_only: bool,
    tls: Option<Tls>,
}

impl SessionBuilder {
    /// Adds a node to start from: `HOST` or `HOST:PORT`, or several with commas between them.
    #[must_use]
    pub fn contact_point(mut self, address: impl AsRef<str>) -> Self {
        self.contacts.extend(address.as_ref().split(',').map(str::to_owned));
        self
    }

    /// The keyspace of unqualified names.
    #[must_use]
    pub fn keyspace(mut self, keyspace: impl Into<String>) -> Self {
        self.keyspace = Some(keyspace.into());
        self
    }

    /// The options of requests that bring none of their own.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Ask only the contact points, and do not learn of other nodes.
    #[must_use]
    pub fn contact_points_only(mut self, only: bool) -> Self {
        self.contacts_only = only;
        self
    }

    /// Talks TLS with the nodes; `None` means that it is not used.
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Option<Tls>>) -> Self {
        self.tls = tls.into();
        self
    }

    /// Connects. One contact point that answers is enough.
    pub async fn connect(self) -> Result<Session, Error> {
        let contacts = self.contacts.iter().map(|address| parse_address(address)).collect::<Result<Vec<_>, _>>()?;
        let inner = Arc::new(Inner {
            cluster: Cluster::new(contacts, self.tls),
            options: self.options,
            keyspace: Mutex::new(self.keyspace),
            prepared: Mutex::default(),
            refresh: Arc::default(),
        });
        let session = Session { inner };
        session.any_connection().await?;
        if !self.contacts_only {
            // A node that cannot say yet who else there is serves nevertheless.
            let _ = session.refresh().await;
            let wish = Arc::clone(&session.inner.refresh);
            tokio::spawn(refresh_often(Arc::downgrade(&session.inner), wish));
        }
        Ok(session)
    }
}

/// A call on its way: what to send, and what may be done when it fails.
struct Call {
    request: Request,
    known: Option<Arc<ResultMetadata>>,
    prepared: Vec<Prepared>,
    idempotent: bool,
    speculative_after: Option<Duration>,
    timeout: Duration,
}

impl Session {
    /// Connects to a cluster by any of its nodes: `HOST`, `HOST:PORT`, or several with commas between them.
    pub async fn connect(contact: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().contact_point(contact).connect().await
    }

    /// A builder, for more than one contact point and for defaults.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// The options of requests that bring none of their own.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// The keyspace of unqualified names, as set by `USE` or [`Session::use_keyspace`].
    pub fn keyspace(&self) -> Option<String> {
        self.inner.keyspace.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the keyspace of unqualified names, case exact, without asking whether it exists.
    pub fn use_keyspace(&self, keyspace: Option<String>) {
        *self.inner.keyspace.lock().unwrap_or_else(PoisonError::into_inner) = keyspace;
    }

    /// Runs a statement and gives its first page. With values it is prepared first, once a session.
    pub async fn query(&self, text: impl AsRef<str>, values: impl ToValues) -> Result<QueryResult, Error> {
        self.query_with(text, values, &self.inner.options).await
    }

    /// The same with options.
    pub async fn query_with(
        &self,
        text: impl AsRef<str>,
        values: impl ToValues,
        options: &Options,
    ) -> Result<QueryResult, Error> {
        let text = text.as_ref();
        let binds = values.to_values();
        if !binds.is_empty() {
            let prepared = self.prepare(text).await?;
            return self.execute_with(&prepared, binds, options).await;
        }
        let keyspace = self.keyspace();
        let request = quorate_proto::query_to_proto(text, &Values::default(), keyspace.as_deref(), &options.query);
        let call = Call::new(Request::Query(request), options, is_select(text));
        let result = self.run(None, call).await?;
        if let Some(keyspace) = result.keyspace() {
            self.use_keyspace(Some(keyspace.to_owned()));
        }
        if result.schema_change().is_some() {
            self.inner.refresh.notify_one();
        }
        Ok(result)
    }

    /// Runs a query and gives its rows over all pages.
    pub async fn query_iter(&self, text: impl Into<String>, values: impl ToValues) -> Result<RowStream, Error> {
        let paged = Paged::Text(text.into(), values.to_values());
        RowStream::open(self.clone(), paged, self.inner.options.clone()).await
    }

    /// The same with options.
    pub async fn query_iter_with(
        &self,
        text: impl Into<String>,
        values: impl ToValues,
        options: &Options,
    ) -> Result<RowStream, Error> {
        RowStream::open(self.clone(), Paged::Text(text.into(), values.to_values()), options.clone()).await
    }

    /// Prepares a statement, or gives what this session has prepared before.
    pub async fn prepare(&self, text: impl AsRef<str>) -> Result<Prepared, Error> {
        let text = text.as_ref();
        let key = (self.keyspace(), text.to_owned());
        let known = self.inner.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(prepared) = known {
            return Ok(prepared);
        }
        let request = Request::Prepare(prepare_request(text, key.0.as_deref()));
        let (response, address) = self.run_raw(None, &Call::new(request, &self.inner.options, true)).await?;
        let Answer::Prepared(prepared) = response.answer else {
            return Err(Error::ConnectionLost {
                address,
                reason: "it answered PREPARE with something else".to_owned(),
            });
        };
        let inner = PreparedInner {
            text: text.to_owned(),
            keyspace: key.0.clone(),
            id: prepared.id,
            parameters: prepared.parameters,
            partition_key: prepared.partition_key,
            result: Mutex::new((response.metadata_id, prepared.result)),
        };
        let prepared = Prepared { inner: Arc::new(inner) };
        let mut cache = self.inner.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= PREPARED_CACHE_MAX {
            cache.pop_first();
        }
        cache.insert(key, prepared.clone());
        Ok(prepared)
    }

    /// Executes a prepared statement and gives its first page. The request goes to a replica of its partition.
    pub async fn execute(&self, prepared: &Prepared, values: impl ToValues) -> Result<QueryResult, Error> {
        self.execute_with(prepared, values, &self.inner.options).await
    }

    /// The same with options.
    pub async fn execute_with(
        &self,
        prepared: &Prepared,
        values: impl ToValues,
        options: &Options,
    ) -> Result<QueryResult, Error> {
        let values = values.to_values().encode(&prepared.inner.parameters)?;
        let (known_id, known) = prepared.known_result();
        let request = quorate_proto::execute_to_proto(prepared.inner.id, &values, &options.query, known_id);
        let mut call = Call::new(Request::Execute(request), options, is_select(&prepared.inner.text));
        call.known = Some(known);
        call.prepared = vec![prepared.clone()];
        let token =
            partition_key(&prepared.inner.partition_key, &values).map(|key| quorate_ring::partitioner::token(&key));
        let route = prepared.table_keyspace().zip(token);
        let (response, address) = self.run_raw(route, &call).await?;
        if let Answer::Rows(rows) = &response.answer
            && response.metadata_id != known_id
        {
            prepared.learn_result(response.metadata_id, &rows.metadata);
        }
        Ok(QueryResult::new(response, address))
    }

    /// Executes a prepared query and gives its rows over all pages.
    pub async fn execute_iter(&self, prepared: &Prepared, values: impl ToValues) -> Result<RowStream, Error> {
        self.execute_iter_with(prepared, values, &self.inner.options).await
    }

    /// The same with options.
    pub async fn execute_iter_with(
        &self,
        prepared: &Prepared,
        values: impl ToValues,
        options: &Options,
    ) -> Result<RowStream, Error> {
        let paged = Paged::Prepared(prepared.clone(), values.to_values());
        RowStream::open(self.clone(), paged, options.clone()).await
    }

    /// Sends several modifications together.
    pub async fn batch(&self, batch: &Batch) -> Result<QueryResult, Error> {
        self.batch_with(batch, &self.inner.options).await
    }

    /// The same with options.
    pub async fn batch_with(&self, batch: &Batch, options: &Options) -> Result<QueryResult, Error> {
        let mut statements = Vec::with_capacity(batch.len());
        let mut used = Vec::new();
        let mut route: Option<(Prepared, Token)> = None;
        for (text, binds) in &batch.statements {
            let prepared = match text {
                BatchText::Text(text) if binds.is_empty() => {
                    statements.push(BatchStatement::Query(text.clone(), Values::default()));
                    continue;
                }
                BatchText::Text(text) => self.prepare(text).await?,
                BatchText::Prepared(prepared) => prepared.clone(),
            };
            let values = binds.encode(&prepared.inner.parameters)?;
            if route.is_none()
                && let Some(key) = partition_key(&prepared.inner.partition_key, &values)
            {
                route = Some((prepared.clone(), quorate_ring::partitioner::token(&key)));
            }
            statements.push(BatchStatement::Prepared(prepared.inner.id, values));
            if !used.iter().any(|other: &Prepared| other.inner.id == prepared.inner.id) {
                used.push(prepared);
            }
        }
        let keyspace = self.keyspace();
        let request = quorate_proto::batch_to_proto(batch.kind, &statements, keyspace.as_deref(), &options.query);
        let mut call = Call::new(Request::Batch(request), options, false);
        call.prepared = used;
        let route = route.as_ref().and_then(|(prepared, token)| Some((prepared.table_keyspace()?, *token)));
        self.run(route, call).await
    }

    /// Runs an operator's verb on the first node that can be reached.
    pub async fn admin(&self, request: &AdminRequest) -> Result<AdminAnswer, Error> {
        self.any_connection().await?.admin(request).await
    }

    /// Runs an operator's verb on one node: `HOST` or `HOST:PORT`.
    pub async fn admin_at(address: &str, tls: Option<Tls>, request: &AdminRequest) -> Result<AdminAnswer, Error> {
        let session = Self::builder().contact_point(address).contact_points_only(true).tls(tls).connect().await?;
        session.admin(request).await
    }

    /// The cluster as last heard of.
    pub fn topology(&self) -> ClusterStatus {
        self.inner.cluster.status()
    }

    /// Asks for the cluster anew.
    pub async fn refresh(&self) -> Result<ClusterStatus, Error> {
        let connection = self.any_connection().await?;
        let status = connection.topology().await?;
        let replication = self.replication().await.unwrap_or_default();
        self.inner.cluster.update(status.clone(), replication);
        Ok(status)
    }

    async fn replication(&self) -> Result<BTreeMap<String, Replication>, Error> {
        let text = "SELECT keyspace_name, replication FROM system_schema.keyspaces";
        let options = Options::default();
        let request = quorate_proto::query_to_proto(text, &Values::default(), None, &options.query);
        let result = self.run(None, Call::new(Request::Query(request), &options, true)).await?;
        let rows = result.rows_as::<(String, BTreeMap<String, String>)>()?;
        Ok(rows.into_iter().filter_map(|(name, map)| Some((name, parse_replication(&map)?))).collect())
    }

    async fn any_connection(&self) -> Result<Arc<crate::connection::Connection>, Error> {
        let mut tried = Vec::new();
        for node in self.inner.cluster.plan(None) {
            match node.connect().await {
                Ok(connection) => return Ok(connection),
                Err(Error::NoNode { tried: more }) => tried.extend(more),
                Err(error) => return Err(error),
            }
        }
        Err(Error::NoNode { tried })
    }

    async fn run(&self, route: Option<(&str, Token)>, call: Call) -> Result<QueryResult, Error> {
        let (response, address) = self.run_raw(route, &call).await?;
        Ok(QueryResult::new(response, address))
    }

    async fn run_raw(&self, route: Option<(&str, Token)>, call: &Call) -> Result<(Response, String), Error> {
        let plan = self.inner.cluster.plan(route);
        let Some(delay) = call.speculative_after.filter(|_| call.idempotent && plan.len() > 1) else {
            return self.attempts(&plan, call).await;
        };
        let others: Vec<Arc<Node>> = plan.iter().skip(1).chain(plan.first()).cloned().collect();
        let mut first = std::pin::pin!(self.attempts(&plan, call));
        tokio::select! {
            result = &mut first => return result,
            () = tokio::time::sleep(delay) => {}
        }
        let mut second = std::pin::pin!(self.attempts(&others, call));
        tokio::select! {
            result = &mut first => match result {
                Ok(answer) => Ok(answer),
                Err(error) => second.await.map_err(|other| error.or_graver(other)),
            },
            result = &mut second => match result {
                Ok(answer) => Ok(answer),
                Err(error) => first.await.map_err(|other| error.or_graver(other)),
            },
        }
    }

    /// Asks one node after another for as long as it is safe and may help.
    async fn attempts(&self, plan: &[Arc<Node>], call: &Call) -> Result<(Response, String), Error> {
        let mut failed: Option<Error> = None;
        for node in plan.iter().take(ATTEMPTS_MAX) {
            match self.attempt(node, call).await {
                Ok(response) => return Ok((response, node.address.clone())),
                Err(error) => {
                    if matches!(error, Error::NoNode { .. } | Error::ConnectionLost { .. } | Error::Timeout { .. }) {
                        node.note_failure(true);
                        self.inner.refresh.notify_one();
                    }
                    let is_last = !error.worth_another_node(call.idempotent);
                    let all = match failed.take() {
                        Some(before) => before.or_graver(error),
                        None => error,
                    };
                    if is_last {
                        return Err(all);
                    }
                    failed = Some(all);
                }
            }
        }
        Err(failed.unwrap_or(Error::NoNode { tried: Vec::new() }))
    }

    async fn attempt(&self, node: &Node, call: &Call) -> Result<Response, Error> {
        let connection = node.connect().await?;
        let first = connection.request(call.request.clone(), call.known.as_ref(), call.timeout).await;
        match first {
            Err(Error::Request(failure)) if matches!(failure.error, RequestError::Unprepared(_)) => {
                if call.prepared.is_empty() {
                    return Err(Error::Request(failure));
                }
                for prepared in &call.prepared {
                    let inner = &prepared.inner;
                    let request = Request::Prepare(prepare_request(&inner.text, inner.keyspace.as_deref()));
                    connection.request(request, None, call.timeout).await?;
                }
                connection.request(call.request.clone(), call.known.as_ref(), call.timeout).await
            }
            other => other,
        }
    }
}

impl Call {
    fn new(request: Request, options: &Options, idempotent_by_itself: bool) -> Self {
        Self {
            request,
            known: None,
            prepared: Vec::new(),
            idempotent: options.idempotent.unwrap_or(idempotent_by_itself),
            speculative_after: options.speculative_after,
            timeout: answer_timeout(options.query.timeout_ms),
        }
    }
}

fn prepare_request(text: &str, keyspace: Option<&str>) -> v1::PrepareRequest {
    v1::PrepareRequest { statement: text.to_owned(), keyspace: keyspace.unwrap_or_default().to_owned(), options: None }
}

/// Whether a statement is a query by its first word. A comment before it makes it 'no' by mistake, which is safe.
fn is_select(text: &str) -> bool {
    text.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("select"))
}

/// Keeps the view of the cluster fresh for as long as the session lives.
async fn refresh_often(inner: Weak<Inner>, wish: Arc<Notify>) {
    loop {
        let _ = tokio::time::timeout(TOPOLOGY_REFRESH, wish.notified()).await;
        let Some(inner) = inner.upgrade() else { return };
        // If no node answers now, the next round or the next failed request tries again.
        let _ = Session { inner }.refresh().await;
        tokio::time::sleep(TOPOLOGY_PAUSE).await;
    }
}
