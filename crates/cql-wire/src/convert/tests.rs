use quorate_model::request::{BatchKind, ColumnSpec, Prepared, Rows, SchemaChangeKind, WriteType};
use quorate_model::{Consistency, CqlType};

use super::*;

fn parameters() -> QueryParameters {
    QueryParameters {
        page_size: Some(100),
        paging_state: Some(Bytes::from_static(b"state")),
        serial_consistency: Some(Consistency::LocalSerial),
        timestamp: Some(5),
        keyspace: Some("own".to_owned()),
        now_in_seconds: Some(-9),
        ..QueryParameters::new(Consistency::Quorum)
    }
}

#[test]
fn a_query_keeps_all_it_says() {
    let query = Query { text: "x".to_owned(), parameters: parameters() };
    let request = query_request(query, true, Some("connection"));
    assert_eq!(request.keyspace.as_deref(), Some("own"), "a request's own keyspace goes first");
    let options = request.options;
    assert_eq!(options.consistency, Consistency::Quorum);
    assert_eq!(options.serial_consistency, Some(Consistency::LocalSerial));
    assert_eq!(options.page_size, Some(100));
    assert_eq!(options.paging_state.as_deref(), Some(b"state".as_slice()));
    assert_eq!(options.timestamp, Some(Timestamp(5)));
    assert_eq!(options.now, Some(Seconds(-9)));
    assert!(options.tracing);
}

#[test]
fn a_page_size_that_is_not_positive_means_no_paging() {
    for size in [-1, 0, i32::MIN] {
        let parameters = QueryParameters { page_size: Some(size), ..QueryParameters::new(Consistency::One) };
        let request = query_request(Query { text: String::new(), parameters }, false, None);
        assert_eq!(request.options.page_size, None);
    }
}

#[test]
fn an_id_that_is_none_of_ours_is_of_a_statement_that_is_not_prepared() {
    let id = Bytes::from_static(b"0123456789");
    let unprepared = ErrorKind::Unprepared { id: id.clone() };
    let parameters = QueryParameters::new(Consistency::One);
    let execute = Execute { id: id.clone(), result_metadata_id: Bytes::new(), parameters };
    assert_eq!(execute_request(execute, false, None).unwrap_err().kind, unprepared);
    let batch = Batch {
        kind: BatchKind::Logged,
        statements: vec![(BatchText::Prepared(id), Values::default())],
        consistency: Consistency::One,
        serial_consistency: None,
        timestamp: None,
        keyspace: None,
        now_in_seconds: None,
    };
    assert_eq!(batch_request(batch, false, None).unwrap_err().kind, unprepared);
}

fn metadata() -> Arc<ResultMetadata> {
    let (keyspace, table, name) = ("k".to_owned(), "t".to_owned(), "c".to_owned());
    Arc::new(ResultMetadata { columns: vec![ColumnSpec { keyspace, table, name, cql_type: CqlType::Int }] })
}

fn columns_of(version: ProtocolVersion, known: &KnownMetadata) -> (bool, Option<Bytes>) {
    let rows = Rows { metadata: metadata(), row_count: 0, data: Bytes::new(), paging_state: None };
    match answer_result(Answer::Rows(rows), version, known, fresh_metadata_id) {
        Ok(ResultMessage::Rows(rows)) => (matches!(rows.metadata.columns, Columns::Full(_)), rows.metadata.new_id),
        other => panic!("{other:?}"),
    }
}

#[test]
fn columns_are_left_out_only_where_they_are_known() {
    let id = Bytes::copy_from_slice(&metadata_id(&metadata()));
    let old = Bytes::from_static(b"another");
    for version in ProtocolVersion::ALL {
        let told = (version >= ProtocolVersion::V5).then(|| id.clone());
        let sent = |skip, id: Option<&Bytes>| columns_of(version, &KnownMetadata { skip, id: id.cloned() });
        assert_eq!(sent(true, Some(&id)), (false, None));
        assert_eq!(sent(false, Some(&id)), (true, None));
        assert_eq!(sent(true, None), (true, None));
        assert_eq!(sent(true, Some(&old)), (true, told.clone()));
        assert_eq!(sent(false, Some(&old)), (true, told));
    }
}

#[test]
fn a_prepared_statement_tells_the_id_of_its_columns_since_v5() {
    for version in ProtocolVersion::ALL {
        let answer = Answer::Prepared(Prepared {
            id: StatementId([3; 16]),
            parameters: metadata(),
            partition_key: vec![0],
            result: metadata(),
        });
        let Ok(ResultMessage::Prepared(prepared)) =
            answer_result(answer, version, &KnownMetadata::default(), fresh_metadata_id)
        else {
            panic!("no prepared statement");
        };
        assert_eq!(prepared.id.as_ref(), [3; 16]);
        assert_eq!(prepared.result_metadata_id.len(), if version >= ProtocolVersion::V5 { 16 } else { 0 });
    }
}

#[test]
fn errors_keep_their_codes() {
    let consistency = Consistency::Quorum;
    let failures = vec![
        (NodeId::from_u128(1), "too many tombstones".to_owned()),
        (NodeId::from_u128(2), "timed out".to_owned()),
        (NodeId::from_u128(3), "what".to_owned()),
    ];
    let all = [
        RequestError::Server(String::new()),
        RequestError::Protocol(String::new()),
        RequestError::Unavailable { consistency, required: 2, alive: 1 },
        RequestError::Overloaded(String::new()),
        RequestError::Bootstrapping(String::new()),
        RequestError::Truncate(String::new()),
        RequestError::WriteTimeout { consistency, received: 1, required: 2, write_type: WriteType::Cas },
        RequestError::ReadTimeout { consistency, received: 1, required: 2, data_present: true },
        RequestError::ReadFailure {
            consistency,
            received: 1,
            required: 2,
            data_present: true,
            failures: failures.clone(),
        },
        RequestError::WriteFailure { consistency, received: 1, required: 2, write_type: WriteType::Batch, failures },
        RequestError::Syntax { message: String::new(), place: None },
        RequestError::Unauthorized(String::new()),
        RequestError::invalid(""),
        RequestError::Configuration(String::new()),
        RequestError::AlreadyExists { keyspace: "k".to_owned(), table: String::new() },
        RequestError::Unprepared(StatementId([1; 16])),
    ];
    let address = |node: NodeId| (node != NodeId::from_u128(3)).then(|| IpAddr::from([10, 0, 0, 1]));
    for error in all {
        let message = error_message(&error, &address);
        assert_eq!(message.kind.code() as u32, error.code(), "{error:?}");
        assert_eq!(message.message, error.to_string());
        if let ErrorKind::ReadFailure { failures, .. } | ErrorKind::WriteFailure { failures, .. } = message.kind {
            let known = IpAddr::from([10, 0, 0, 1]);
            let reasons = vec![
                (known, FailureReason::TOO_MANY_TOMBSTONES),
                (known, FailureReason::TIMEOUT),
                (IpAddr::from([0, 0, 0, 0]), FailureReason::UNKNOWN),
            ];
            assert_eq!(failures, Failures::Reasons(reasons));
        }
    }
}

#[test]
fn a_change_of_the_schema_names_what_it_is_of() {
    let change = |table: Option<&str>, user_type: Option<&str>| {
        let (table, user_type) = (table.map(str::to_owned), user_type.map(str::to_owned));
        SchemaChange { kind: SchemaChangeKind::Updated, keyspace: "k".to_owned(), table, user_type }
    };
    assert_eq!(SchemaChanged::from(change(None, None)).target, SchemaTarget::Keyspace);
    assert_eq!(SchemaChanged::from(change(Some("t"), None)).target, SchemaTarget::Table("t".to_owned()));
    assert_eq!(SchemaChanged::from(change(None, Some("u"))).target, SchemaTarget::Type("u".to_owned()));
}
