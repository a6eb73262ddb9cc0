//! What the unit tests of several modules share.

use std::sync::Arc;

use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::{Encoding, Setup, sha256};
use ashlar_net::Subnet;
use ashlar_proto::table::DisperserEntry;
use ashlar_proto::{Account, Domain, Network, Stake, Submission};
use ashlar_stake::{OperatorTable, Registration};
use bytes::Bytes;

use crate::encoder::{ClaimCheck, EncodeInput, EncodedBlob, encode_tick};
use crate::record::{BlobRecord, Party};
use crate::registry::Posted;

pub(crate) fn submission(payload: &[u8], salt: u64) -> Submission {
    Submission {
        version: 1,
        encoding: Encoding::Packed31,
        payload_len: payload.len() as u64,
        quorums: vec![0],
        account: Account([9; 20]),
        salt,
        payload_sha256: sha256(&[payload]),
    }
}

pub(crate) fn network(n: u8) -> Subnet {
    Subnet::of([10, 0, n, 1].into())
}

pub(crate) fn party(n: u8) -> Party {
    Party::Network(network(n))
}

pub(crate) fn posted(payload: &[u8], salt: u64) -> Posted {
    Posted {
        submission: submission(payload, salt),
        network: network(1),
        rows: ashlar_crypto::rows_for(Encoding::Packed31, payload.len() as u64).unwrap(),
        payload: Bytes::copy_from_slice(payload),
        commitments: None,
        charging: None,
    }
}

pub(crate) fn record(payload: &[u8], salt: u64) -> BlobRecord {
    let posted = posted(payload, salt);
    let (submission, network, rows) = (posted.submission, posted.network, posted.rows);
    BlobRecord::new(&submission, network, rows, false, salt, 1000, 11_000)
}

pub(crate) fn encoded(payload: &[u8], salt: u64) -> Arc<EncodedBlob> {
    let input = EncodeInput {
        record: record(payload, salt),
        payload: payload.to_vec().into(),
        hashed: true,
        commitments: None,
    };
    let tick = encode_tick(
        Setup::ethereum(),
        vec![input],
        ClaimCheck::Together,
        [3; 32],
    );
    let (_, result) = tick.blobs.into_iter().next().unwrap();
    Arc::new(result.unwrap())
}

pub(crate) fn bls(n: u8) -> SecretKey {
    SecretKey::from_ikm(&[n; 32])
}

/// Operators with these stakes in quorum 0, half of each (rounded up) in quorum 1; and disperser 5.
pub(crate) fn table(stakes: &[u64]) -> Arc<OperatorTable> {
    let registrations = stakes
        .iter()
        .zip(0u8..)
        .map(|(stake, n)| {
            let network = NetworkKey::from_seed([n; 32]).public();
            let stakes = vec![
                (0, Stake::from(*stake)),
                (1, Stake::from(stake.div_ceil(2))),
            ];
            Registration::new(
                &bls(n),
                network,
                format!("127.0.0.1:{}", 9000 + u16::from(n)),
                stakes,
            )
        })
        .collect();
    let disperser = DisperserEntry {
        id: 5,
        network_key: owner().public(),
        account: Account([1; 20]),
        bond: Stake::from(1),
    };
    let scope = ashlar_proto::TableScope {
        domain: domain(),
        ..ashlar_testing::scope(77)
    };
    Arc::new(OperatorTable::register(scope, registrations, vec![disperser]).unwrap())
}

/// The service of all tables.
pub(crate) fn domain() -> Domain {
    Network::file("test").domain(1)
}

pub(crate) fn owner() -> NetworkKey {
    NetworkKey::from_seed([0xdd; 32])
}
