use quorate_model::{DecoratedKey, Partition, PartitionKey, ReadTarget, RowChoice, Seconds, TableId, Token};

use super::*;

fn mutation() -> EncodedMutation {
    let key = DecoratedKey { token: Token(7), key: PartitionKey(Bytes::from_static(b"k")) };
    EncodedMutation::new(Mutation { table: TableId::from_u128(1), key, update: Partition::default() })
}

fn command() -> ReadCommand {
    ReadCommand {
        table: TableId::from_u128(1),
        target: ReadTarget::Range { after: None, last: Token::MAX, from: None },
        slices: Vec::new(),
        reversed: true,
        row_limit: 1,
        per_partition_limit: 2,
        byte_limit: 3,
        now: Seconds(4),
        rows: RowChoice::All,
    }
}

fn requests() -> Vec<RequestEnvelope> {
    [
        ReplicaRequest::Write(mutation()),
        ReplicaRequest::Repair(mutation()),
        ReplicaRequest::Read { command: command().into(), digest_only: true },
        ReplicaRequest::ReadRemains(command().into()),
    ]
    .into_iter()
    .map(|body| RequestEnvelope { id: 1 << 40, epoch: Epoch(9), timeout_ms: u32::MAX, trace: true, body })
    .collect()
}

fn responses() -> Vec<ResponseEnvelope> {
    let failures = [
        ReplicaFailure::StaleEpoch { current: Epoch(3) },
        ReplicaFailure::Overloaded("a".into()),
        ReplicaFailure::NoSpace("b".into()),
        ReplicaFailure::Corrupt("c".into()),
        ReplicaFailure::UnknownTable,
        ReplicaFailure::DeadlinePassed,
        ReplicaFailure::ClockTooFar { ahead_us: 5 },
        ReplicaFailure::Internal("d".into()),
    ];
    let bodies =
        [ReplicaResponse::Written, ReplicaResponse::Data(ReadResponse::default()), ReplicaResponse::Digest(77)];
    bodies
        .into_iter()
        .chain(failures.map(ReplicaResponse::Failed))
        .map(|body| ResponseEnvelope { id: 2, epoch: Epoch(9), body, trace: vec![(12, "read".into())] })
        .collect()
}

#[test]
fn everything_comes_back_as_it_was() {
    for request in requests() {
        assert_eq!(RequestEnvelope::from_bytes(&request.to_bytes()), Ok(request));
    }
    for response in responses() {
        assert_eq!(ResponseEnvelope::from_bytes(&response.to_bytes()), Ok(response));
    }
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let mut encodings: Vec<Bytes> = requests().iter().map(Wire::to_bytes).collect();
    encodings.extend(responses().iter().map(Wire::to_bytes));
    for encoding in encodings {
        for len in 0..encoding.len() {
            let cut = encoding.slice(..len);
            assert!(RequestEnvelope::from_bytes(&cut).is_err() || ResponseEnvelope::from_bytes(&cut).is_err());
        }
        for place in 0..encoding.len() {
            for bit in 0..8 {
                let mut damaged = encoding.to_vec();
                damaged[place] ^= 1 << bit;
                let damaged = Bytes::from(damaged);
                let _ = RequestEnvelope::from_bytes(&damaged);
                let _ = ResponseEnvelope::from_bytes(&damaged);
            }
        }
    }
    assert!(RequestEnvelope::from_bytes(&Bytes::from_static(&[2, 0])).is_err(), "another version");
}
