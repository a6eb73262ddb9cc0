//! Every reason to refuse a batch, and a good one that passes.

use std::sync::OnceLock;
use std::time::Duration;

use crate::common::{Batch, DISPERSER, HEAD, Recipe, World, rules};
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::kzg::{CommitmentBytes, Proof, ProofBytes};
use ashlar_crypto::{Coded, PointError, Setup};
use ashlar_node::validate::{Clock, Rules, UnverifiedBatch, ValidateError, VerifiedBatch};
use ashlar_proto::{ChunkIndex, ChunkRanges, OperatorId};

/// The operator that receives.
const ME: usize = 1;
const SEED: [u8; 32] = [42; 32];

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

/// A batch in which everything is right.
fn good() -> &'static Batch {
    static BATCH: OnceLock<Batch> = OnceLock::new();
    BATCH.get_or_init(|| Recipe::new(1).build())
}

fn mine() -> Vec<ChunkIndex> {
    world().chunks(ME, &[0])
}

fn unverified() -> UnverifiedBatch {
    good().unverified(world().disperser.public(), &mine())
}

/// All steps, as the service takes them.
fn validate(
    batch: UnverifiedBatch,
    bulk: Vec<u8>,
    rules: &Rules,
    clock: Clock,
) -> Result<VerifiedBatch, ValidateError> {
    let table = &world().table;
    let fresh = batch.check_sender(table)?.check_header(rules, clock)?;
    let assignment = world().assignment(fresh.quorums());
    let expected = fresh.check_assignment(table, &world().operator_id(ME), &assignment)?;
    expected.check_bulk(Setup::ethereum(), bulk.into(), SEED)
}

fn refused(change: impl FnOnce(&mut UnverifiedBatch)) -> ValidateError {
    refused_at(good().clock(), &rules(), change)
}

fn refused_at(
    clock: Clock,
    rules: &Rules,
    change: impl FnOnce(&mut UnverifiedBatch),
) -> ValidateError {
    let mut batch = unverified();
    change(&mut batch);
    // Whatever it says, its disperser has signed it.
    batch.disperser_signature = batch.header.sign_as_disperser(&world().disperser);
    validate(batch, good().bulk(&mine()), rules, clock).unwrap_err()
}

/// A refusal of the bulk part; the announced length stays right.
fn refused_bulk(change: impl FnOnce(&mut Vec<u8>)) -> ValidateError {
    let mut bulk = good().bulk(&mine());
    change(&mut bulk);
    validate(unverified(), bulk, &rules(), good().clock()).unwrap_err()
}

/// A refusal of a batch that was wrong before anything was hashed.
fn refused_batch(recipe: Recipe) -> ValidateError {
    let batch = recipe.build();
    let announced = batch.unverified(world().disperser.public(), &mine());
    validate(announced, batch.bulk(&mine()), &rules(), batch.clock()).unwrap_err()
}

#[test]
fn a_good_batch_passes() {
    let verified = validate(unverified(), good().bulk(&mine()), &rules(), good().clock()).unwrap();
    let record = verified.record();
    assert_eq!(record.digest, good().header.digest());
    assert_eq!(record.runs.iter().collect::<Vec<_>>(), mine());
    assert_eq!(record.commitments, good().commitments);
    for (blob, slices) in record.blobs.iter().zip(&good().slices) {
        let data: Vec<u8> = mine()
            .iter()
            .flat_map(|i| slices[i.0 as usize].clone())
            .collect();
        assert_eq!(blob.data, data);
    }
    let created = good().header.created_at_ms;
    assert_eq!(
        record.expires_at,
        created.div_ceil(1000) + good().protocol().retention_secs
    );
}

#[test]
fn every_operator_accepts_its_own_part_in_two_quorums() {
    let batch = Recipe {
        quorums: vec![0, 1],
        ..Recipe::small(7, 3)
    }
    .build();
    let table = &world().table;
    for operator in 0..4 {
        let chunks = world().chunks(operator, &[0, 1]);
        let fresh = batch
            .unverified(world().disperser.public(), &chunks)
            .check_sender(table)
            .unwrap()
            .check_header(&rules(), batch.clock())
            .unwrap();
        let expected = fresh
            .check_assignment(
                table,
                &world().operator_id(operator),
                &world().assignment(&[0, 1]),
            )
            .unwrap();
        expected
            .check_bulk(Setup::ethereum(), batch.bulk(&chunks).into(), SEED)
            .unwrap();
    }
}

#[test]
fn sender_is_another() {
    let stranger = NetworkKey::from_seed([1; 32]).public();
    let error = refused(|b| b.peer = stranger);
    assert_eq!(error.code(), "validate.not_a_disperser");
    assert!(
        matches!(error, ValidateError::NotADisperser { disperser_id: DISPERSER, key, .. } if key == stranger)
    );
}

#[test]
fn disperser_number_is_another() {
    let error = refused(|b| b.header.disperser_id = 6);
    assert_eq!(error.code(), "validate.not_a_disperser");
}

#[test]
fn a_batch_of_another_service_or_network() {
    for domain in [
        crate::common::network().domain(1),
        ashlar_proto::Network::file("another").domain(0),
    ] {
        let error = refused(|b| b.header.domain = domain);
        assert_eq!(error.code(), "validate.other_domain");
        assert_eq!(
            error.got_expected(),
            (domain.to_string(), crate::common::domain().to_string())
        );
    }
    // Before anything else is looked at.
    let error = refused(|b| {
        b.header.domain = crate::common::network().domain(1);
        b.peer = NetworkKey::from_seed([1; 32]).public();
        b.header.version = 77;
    });
    assert_eq!(error.code(), "validate.other_domain");
}

#[test]
fn a_batch_made_by_another_table() {
    let error = refused(|b| {
        b.header.table_root = ashlar_proto::TableRoot([9; 32]);
    });
    assert_eq!(error.code(), "validate.table_root");
    assert!(matches!(error, ValidateError::TableRoot { got, block: HEAD, .. } if got.0 == [9; 32]));
    // The root of an older table at this block.
    let yesterday =
        ashlar_stake::StakeSource::table_at(world().stake.as_ref(), HEAD.saturating_sub(1))
            .unwrap();
    let root = ashlar_proto::TableAccess::root(yesterday.as_ref());
    let error = refused(|b| b.header.table_root = root);
    assert_eq!(error.code(), "validate.table_root");
}

#[test]
fn a_batch_that_its_disperser_did_not_sign() {
    let check = |change: &dyn Fn(&mut UnverifiedBatch)| {
        let mut batch = unverified();
        change(&mut batch);
        batch.check_sender(&world().table).unwrap_err()
    };
    let stranger = NetworkKey::from_seed([1; 32]);
    let wrong: [&dyn Fn(&mut UnverifiedBatch); 4] = [
        &|b| b.disperser_signature.0[0] ^= 1,
        &|b| b.disperser_signature.0 = [0; 64],
        &|b| b.header.created_at_ms += 1,
        &|b| b.disperser_signature = b.header.sign_as_disperser(&stranger),
    ];
    for change in wrong {
        let error = check(change);
        assert_eq!(error.code(), "validate.disperser_signature");
    }
}

#[test]
fn sender_was_no_disperser_at_the_reference_block() {
    // The key of today, the table of yesterday.
    let batch = Recipe {
        reference_block: HEAD.saturating_sub(1),
        ..Recipe::small(3, 1)
    }
    .build();
    let chunks = mine();
    let fresh = batch
        .unverified(world().disperser.public(), &chunks)
        .check_sender(&world().table)
        .unwrap()
        .check_header(&rules(), batch.clock())
        .unwrap();
    let yesterday =
        ashlar_stake::StakeSource::table_at(world().stake.as_ref(), HEAD.saturating_sub(1))
            .unwrap();
    let error = fresh
        .check_assignment(
            &yesterday,
            &world().operator_id(ME),
            &world().assignment(&[0]),
        )
        .unwrap_err();
    assert!(
        matches!(error, ValidateError::NotADisperser { block, .. } if block == HEAD.saturating_sub(1)),
        "{error}"
    );
}

#[test]
fn beyond_the_limits() {
    let clock = good().clock();
    let mut small = rules();
    small.limits.max_batch_rows = 2;
    assert_eq!(refused_at(clock, &small, |_| {}).code(), "batch.rows");
    let mut few = rules();
    few.limits.max_batch_blobs = 1;
    assert_eq!(refused_at(clock, &few, |_| {}).code(), "batch.blobs");
    let mut short = rules();
    short.limits.max_payload = 199_999;
    assert_eq!(
        refused_at(clock, &short, |_| {}).code(),
        "payload.too_large"
    );
}

#[test]
fn version_unknown_or_not_served() {
    assert_eq!(refused(|b| b.header.version = 77).code(), "version.unknown");
    let error = refused_at(
        good().clock(),
        &Rules {
            versions: vec![2, 3],
            ..rules()
        },
        |_| {},
    );
    assert_eq!(
        error,
        ValidateError::VersionNotServed {
            got: 1,
            served: vec![2, 3]
        }
    );
}

#[test]
fn reference_block_too_old_or_ahead() {
    let rules = Rules {
        max_reference_age: 10,
        ..rules()
    };
    let now_ms = good().header.created_at_ms;
    let error = refused_at(
        Clock {
            now_ms,
            head: HEAD + 11,
        },
        &rules,
        |_| {},
    );
    assert_eq!(
        error,
        ValidateError::ReferenceStale {
            got: HEAD,
            head: HEAD + 11,
            max_age: 10
        }
    );
    assert_eq!(
        error.got_expected(),
        (HEAD.to_string(), format!("at least {}", HEAD + 1))
    );
    let error = refused_at(
        Clock {
            now_ms,
            head: HEAD.saturating_sub(1),
        },
        &rules,
        |_| {},
    );
    assert_eq!(
        error,
        ValidateError::ReferenceUnknown {
            got: HEAD,
            head: HEAD.saturating_sub(1)
        }
    );
    // At the edge it passes.
    validate(
        unverified(),
        good().bulk(&mine()),
        &rules,
        Clock {
            now_ms,
            head: HEAD + 10,
        },
    )
    .unwrap();
}

#[test]
fn dated_too_early_or_too_late() {
    let rules = Rules {
        max_age: Duration::from_secs(10),
        max_clock_skew: Duration::from_secs(2),
        ..rules()
    };
    let created = good().header.created_at_ms;
    let at = |now_ms| Clock { now_ms, head: HEAD };
    assert_eq!(
        refused_at(at(created + 10_001), &rules, |_| {}).code(),
        "validate.too_old"
    );
    assert_eq!(
        refused_at(at(created - 2001), &rules, |_| {}).code(),
        "validate.from_future"
    );
    for now in [created + 10_000, created - 2000] {
        validate(unverified(), good().bulk(&mine()), &rules, at(now)).unwrap();
    }
}

#[test]
fn blob_headers_of_another_batch() {
    assert_eq!(refused(|b| b.blobs[0].salt += 1).code(), "batch.root");
    assert_eq!(refused(|b| b.blobs.swap(0, 1)).code(), "batch.root");
    assert_eq!(
        refused(|b| b.header.batch_root[0] ^= 1).code(),
        "batch.root"
    );
    assert_eq!(refused(|b| drop(b.blobs.pop())).code(), "batch.blob_count");
    assert_eq!(refused(|b| b.header.rows += 1).code(), "batch.row_count");
    assert_eq!(
        refused(|b| b.blobs[1].quorums = vec![0, 1]).code(),
        "batch.mixed_quorums"
    );
    assert_eq!(
        refused(|b| b.blobs[1].version = 2).code(),
        "batch.mixed_versions"
    );
}

#[test]
fn table_of_another_block() {
    let fresh = unverified()
        .check_sender(&world().table)
        .unwrap()
        .check_header(&rules(), good().clock())
        .unwrap();
    let other = ashlar_stake::StakeSource::table_at(world().stake.as_ref(), HEAD.saturating_sub(1))
        .unwrap();
    let error = fresh
        .check_assignment(&other, &world().operator_id(ME), &world().assignment(&[0]))
        .unwrap_err();
    assert_eq!(error.code(), "validate.reference_unknown");
}

#[test]
fn receiver_has_no_part() {
    let fresh = || {
        unverified()
            .check_sender(&world().table)
            .unwrap()
            .check_header(&rules(), good().clock())
            .unwrap()
    };
    let assignment = world().assignment(&[0]);
    let nobody = OperatorId([3; 32]);
    let error = fresh()
        .check_assignment(&world().table, &nobody, &assignment)
        .unwrap_err();
    assert_eq!(
        error,
        ValidateError::NotAnOperator {
            operator: nobody,
            block: HEAD
        }
    );
    // Operator 3 has no stake in quorum 1.
    let outsider = world().operator_id(3);
    let error = fresh()
        .check_assignment(&world().table, &outsider, &world().assignment(&[1]))
        .unwrap_err();
    assert_eq!(
        error,
        ValidateError::NoChunks {
            operator: outsider,
            block: HEAD
        }
    );
}

#[test]
fn chunks_of_others() {
    let (mine, others) = (mine(), world().chunks(0, &[0]));
    let assignment = |error: ValidateError| match error {
        ValidateError::Assignment {
            got,
            expected,
            missing,
            extra,
        } => (got, expected, missing, extra),
        other => panic!("{other}"),
    };
    let all_other = good().unverified(world().disperser.public(), &others);
    let error = validate(all_other, good().bulk(&others), &rules(), good().clock()).unwrap_err();
    assert_eq!(
        assignment(error),
        (others.len(), mine.len(), Some(mine[0]), Some(others[0]))
    );
    // One too few.
    let fewer = good().unverified(world().disperser.public(), &mine[1..]);
    let error = validate(fewer, good().bulk(&mine[1..]), &rules(), good().clock()).unwrap_err();
    assert_eq!(
        assignment(error),
        (mine.len() - 1, mine.len(), Some(mine[0]), None)
    );
    // One too many.
    let extra = (0..512)
        .map(ChunkIndex)
        .find(|i| !mine.contains(i))
        .unwrap();
    let mut more = mine.clone();
    more.push(extra);
    more.sort_unstable();
    let announced = good().unverified(world().disperser.public(), &more);
    let error = validate(announced, good().bulk(&more), &rules(), good().clock()).unwrap_err();
    assert_eq!(
        assignment(error),
        (mine.len() + 1, mine.len(), None, Some(extra))
    );
    // As many, but one is another's.
    let mut shifted = mine.clone();
    shifted.last_mut().unwrap().0 = mine.last().unwrap().0 + 1;
    let error = refused(|b| b.runs = ChunkRanges::from_indices(&shifted).unwrap());
    assert_eq!(error.code(), "validate.assignment");
}

#[test]
fn proofs_too_many_or_too_few() {
    assert_eq!(
        refused(|b| b.chunk_proofs.truncate(1)).code(),
        "validate.chunk_proof_count"
    );
    assert_eq!(
        refused(|b| b.chunk_proofs.push(b.chunk_proofs[0])).code(),
        "validate.chunk_proof_count"
    );
    assert_eq!(
        refused(|b| drop(b.slice_proofs.pop())).code(),
        "validate.slice_proof_count"
    );
    assert_eq!(
        refused(|b| b.slice_proofs[1].push(vec![])).code(),
        "validate.slice_proof_count"
    );
    assert_eq!(
        refused(|b| b.slice_proofs[0].clear()).code(),
        "validate.slice_proof_count"
    );
}

#[test]
fn slice_missing_extra_or_of_wrong_length() {
    let whole = good().bulk(&mine()).len() as u64;
    let slice = good().slices[0][0].len() as u64;
    for announced in [whole - slice, whole + slice, whole - 1, whole + 1, 0] {
        let error = refused(|b| b.bulk_len = announced);
        assert_eq!(
            error,
            ValidateError::BulkLength {
                got: announced,
                expected: whole
            }
        );
    }
    // Announced right, sent wrong.
    for change in [
        (|bulk| bulk.truncate(bulk.len() - 1)) as fn(&mut Vec<u8>),
        |bulk| bulk.push(0),
        |bulk| bulk.clear(),
        |bulk| bulk.truncate(bulk.len() / 2),
    ] {
        assert_eq!(refused_bulk(change).code(), "validate.bulk_length");
    }
}

#[test]
fn commitments_of_other_rows() {
    let swapped = |bulk: &mut Vec<u8>| bulk[..144].rotate_left(48);
    assert_eq!(
        refused_bulk(swapped),
        ValidateError::CommitmentsRoot { blob: 0 }
    );
    let flipped = |bulk: &mut Vec<u8>| bulk[60] ^= 1;
    assert_eq!(
        refused_bulk(flipped),
        ValidateError::CommitmentsRoot { blob: 1 }
    );
}

#[test]
fn slices_outside_the_merkle_tree() {
    let mine = mine();
    for blob in 0..2 {
        for place in [0, mine.len() - 1] {
            let at = good().offset(&mine, blob, place);
            let error = refused_bulk(|bulk| bulk[at + 5] ^= 1);
            assert_eq!(error.code(), "validate.slices");
            assert!(
                matches!(error, ValidateError::Slices { blob: b, .. } if b == blob),
                "{error}"
            );
        }
    }
    // Two slices of a blob in each other's place.
    let len = good().slices[0][0].len();
    let at = good().offset(&mine, 0, 0);
    assert_eq!(
        refused_bulk(|bulk| bulk[at..at + 2 * len].rotate_left(len)).code(),
        "validate.slices"
    );
}

#[test]
fn merkle_path_wrong() {
    let change =
        |change: fn(&mut Vec<[u8; 32]>)| refused(|b| change(&mut b.slice_proofs[1][0])).code();
    assert_eq!(change(|proof| proof[0][0] ^= 1), "validate.slices");
    assert_eq!(
        change(|proof| proof.truncate(proof.len() - 1)),
        "validate.slices"
    );
    assert_eq!(change(|proof| proof.push([0; 32])), "validate.slices");
    assert_eq!(change(|proof| proof.swap(0, 1)), "validate.slices");
}

/// An encoding of the wanted kind: most small x coordinates give points outside the subgroup or none at all.
fn point(wanted: PointError) -> [u8; 48] {
    (0u8..=255)
        .map(|x| {
            let mut bytes = [0; 48];
            (bytes[0], bytes[47]) = (0x80, x);
            bytes
        })
        .find(|bytes| Proof::try_from(ProofBytes(*bytes)).err() == Some(wanted))
        .unwrap()
}

#[test]
fn proofs_that_are_no_points() {
    let first = mine()[0];
    for wanted in [PointError::NotOnCurve, PointError::NotInSubgroup] {
        let error = refused(|b| b.chunk_proofs[0] = ProofBytes(point(wanted)));
        assert_eq!(
            error,
            ValidateError::ChunkProof {
                index: first,
                error: wanted
            }
        );
    }
    for encoding in [[0xff; 48], [0; 48]] {
        let error = refused(|b| b.chunk_proofs[2] = ProofBytes(encoding));
        assert!(
            matches!(
                error,
                ValidateError::ChunkProof {
                    error: PointError::Encoding,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn commitments_that_are_no_points() {
    let off_curve = Recipe {
        spoil_commitments: |blob, c| {
            if blob == 1 {
                c[1] = CommitmentBytes(point(PointError::NotOnCurve));
            }
        },
        ..Recipe::new(21)
    };
    assert_eq!(
        refused_batch(off_curve),
        ValidateError::Commitment {
            row: 2,
            error: PointError::NotOnCurve
        }
    );
    let outside = Recipe {
        spoil_commitments: |_, c| c[0] = CommitmentBytes(point(PointError::NotInSubgroup)),
        ..Recipe::small(22, 1)
    };
    assert_eq!(
        refused_batch(outside),
        ValidateError::Commitment {
            row: 0,
            error: PointError::NotInSubgroup
        }
    );
}

#[test]
fn chunk_proofs_of_other_chunks() {
    assert_eq!(
        refused(|b| b.chunk_proofs.swap(0, 1)).code(),
        "chunk.proof_mismatch"
    );
    let error = refused(|b| b.chunk_proofs[3] = ProofBytes(good().commitments[0].0));
    assert_eq!(error.code(), "chunk.proof_mismatch");
}

#[test]
fn commitment_to_another_row() {
    // Merkle trees, headers and points are all in order: only the pairing sees it.
    let swapped = Recipe {
        spoil_commitments: |blob, c| {
            if blob == 1 {
                c.swap(0, 1)
            }
        },
        ..Recipe::new(23)
    };
    assert_eq!(refused_batch(swapped).code(), "chunk.proof_mismatch");
}

#[test]
fn cells_that_were_encoded_wrongly() {
    // The disperser hashes what it sends, so that Merkle agrees with it.
    let wrong = Recipe {
        spoil_slice: |blob, _, slice| {
            if blob == 1 {
                slice[40] ^= 1;
            }
        },
        ..Recipe::new(24)
    };
    assert_eq!(refused_batch(wrong).code(), "chunk.proof_mismatch");
}

#[test]
fn cells_that_are_no_field_elements() {
    let wrong = Recipe {
        spoil_slice: |blob, chunk, slice| {
            if blob == 0 && chunk % 2 == 1 {
                slice[64..96].fill(0xff);
            }
        },
        ..Recipe::new(25)
    };
    assert_eq!(refused_batch(wrong).code(), "chunk.non_canonical");
}

#[test]
fn cheap_checks_come_first() {
    // Everything is wrong at once: the sender is what is reported, and so on down the list.
    let mut batch = unverified();
    batch.peer = NetworkKey::from_seed([1; 32]).public();
    batch.header.batch_root[0] ^= 1;
    batch.chunk_proofs.clear();
    let mut rules = rules();
    rules.limits.max_batch_rows = 1;
    let old = Clock {
        now_ms: u64::MAX,
        head: HEAD + 100_000,
    };
    let code = |batch: &UnverifiedBatch, rules: &Rules, clock| {
        validate(batch.clone(), vec![], rules, clock)
            .unwrap_err()
            .code()
    };
    assert_eq!(code(&batch, &rules, old), "validate.not_a_disperser");
    batch.peer = world().disperser.public();
    assert_eq!(code(&batch, &rules, old), "validate.disperser_signature");
    batch.disperser_signature = batch.header.sign_as_disperser(&world().disperser);
    assert_eq!(code(&batch, &rules, old), "batch.rows");
    rules.limits.max_batch_rows = 1024;
    rules.versions = vec![3];
    assert_eq!(code(&batch, &rules, old), "validate.version_not_served");
    rules.versions = vec![1];
    assert_eq!(code(&batch, &rules, old), "validate.reference_stale");
    assert_eq!(
        code(&batch, &rules, Clock { head: HEAD, ..old }),
        "validate.too_old"
    );
    assert_eq!(code(&batch, &rules, good().clock()), "batch.root");
    batch.header.batch_root[0] ^= 1;
    batch.disperser_signature = batch.header.sign_as_disperser(&world().disperser);
    batch.bulk_len = 1;
    assert_eq!(
        code(&batch, &rules, good().clock()),
        "validate.chunk_proof_count"
    );
}

#[test]
fn retention_can_be_set() {
    let rules = Rules {
        retention: Some(Duration::from_secs(60)),
        ..rules()
    };
    let verified = validate(unverified(), good().bulk(&mine()), &rules, good().clock()).unwrap();
    assert_eq!(
        verified.record().expires_at,
        good().header.created_at_ms.div_ceil(1000) + 60
    );
}
