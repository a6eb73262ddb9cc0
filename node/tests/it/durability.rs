//! No signature without durable data: the disk breaks at every step, then the power goes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use crate::common::faulty::{Disk, Fault};
use crate::common::{Batch, Recipe, World, rules};
use ashlar_crypto::bls::{Signature, SignatureBytes};
use ashlar_crypto::{Coded, Setup};
use ashlar_node::protection::{self, ProtectionError};
use ashlar_node::signer::{SignError, Signer};
use ashlar_node::store::{SequenceId, Store, StoreError};
use ashlar_node::validate::VerifiedBatch;

const ME: usize = 0;

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

fn verified(batch: &Batch) -> VerifiedBatch {
    let chunks = world().chunks(ME, &[0]);
    batch
        .unverified(world().disperser.public(), &chunks)
        .check_sender(&world().table)
        .unwrap()
        .check_header(&rules(), batch.clock())
        .unwrap()
        .check_assignment(
            &world().table,
            &world().operator_id(ME),
            &world().assignment(&[0]),
        )
        .unwrap()
        .check_bulk(Setup::ethereum(), batch.bulk(&chunks).into(), [1; 32])
        .unwrap()
}

/// Two different batches under one sequence number.
fn rivals() -> &'static [VerifiedBatch; 2] {
    static RIVALS: OnceLock<[VerifiedBatch; 2]> = OnceLock::new();
    RIVALS.get_or_init(|| {
        [
            verified(&Recipe::small(1, 1).build()),
            verified(&Recipe::small(1, 2).build()),
        ]
    })
}

fn signer(disk: &Arc<Disk>) -> (Signer, Arc<dyn Store>) {
    let store: Arc<dyn Store> = Arc::new(disk.store(world().operator_id(ME)));
    (
        Signer::new(Arc::new(world().bls[ME].clone()), Arc::clone(&store)),
        store,
    )
}

fn valid(signature: SignatureBytes, batch: &VerifiedBatch) {
    let signature = Signature::from_bytes(&signature).unwrap();
    world().bls[ME]
        .public_key()
        .verify(&batch.record().digest.0, &signature)
        .unwrap();
}

/// After a power cut: the store holds all of the batch.
fn holds(store: &dyn Store, batch: &VerifiedBatch) -> bool {
    let record = batch.record();
    let Some(stored) = store.batch(&record.digest).unwrap() else {
        return false;
    };
    assert_eq!(stored.header, record.header);
    for index in 0..record.header.blobs {
        store
            .batch_slices(&record.digest, index)
            .unwrap()
            .unwrap()
            .check(512)
            .unwrap();
    }
    let signed = store
        .signed(&SequenceId::of(&record.header))
        .unwrap()
        .unwrap();
    assert_eq!(signed.digest, record.digest);
    true
}

#[test]
fn what_was_signed_survives_a_power_cut() {
    let disk = Disk::new();
    let [batch, rival] = rivals();
    let (signer_before, _) = signer(&disk);
    let first = signer_before.store_and_sign(batch).unwrap();
    valid(first, batch);
    disk.memory.cut_power();

    let (signer, store) = signer(&disk);
    assert!(holds(store.as_ref(), batch));
    // The note of the signature was not synced and is lost; the signature is the same again.
    assert_eq!(signer.store_and_sign(batch).unwrap(), first);
    assert_eq!(
        signer
            .known(&batch.record().header, &batch.record().digest)
            .unwrap(),
        Some(first)
    );
    assert_eq!(
        signer.store_and_sign(rival).unwrap_err().code(),
        "store.sequence_conflict"
    );
}

#[test]
fn no_signature_without_durable_data() {
    let [batch, rival] = rivals();
    for fault in [
        Fault::BeforeWrite,
        Fault::AfterWrite,
        Fault::AfterSync,
        Fault::Full,
    ] {
        let disk = Disk::new();
        let (signer_before, _) = signer(&disk);
        disk.set(fault);
        let error = signer_before.store_and_sign(batch).unwrap_err();
        assert!(
            matches!(error, SignError::Store(StoreError::Backend { .. })),
            "{fault:?}: {error}"
        );
        // Not even when asked again while the half-written state is visible.
        assert!(signer_before.store_and_sign(batch).is_err(), "{fault:?}");
        assert_eq!(
            signer_before
                .known(&batch.record().header, &batch.record().digest)
                .unwrap(),
            None,
            "{fault:?}"
        );

        disk.memory.cut_power();
        disk.set(Fault::None);
        let (signer, store) = signer(&disk);
        let durable = holds(store.as_ref(), batch);
        assert_eq!(durable, fault == Fault::AfterSync, "{fault:?}");
        // After the repair the same batch is signed; if nothing of it is left, its rival may have the number.
        let next = if durable { batch } else { rival };
        valid(signer.store_and_sign(next).unwrap(), next);
        disk.memory.cut_power();
        assert!(
            holds(&disk.store(world().operator_id(ME)), next),
            "{fault:?}"
        );
    }
}

/// Written, sync failed, process goes on: the state that is visible but not durable must not be signed for, and once the
/// disk works it must be written anew.
#[test]
fn half_written_is_written_again() {
    let disk = Disk::new();
    let [batch, rival] = rivals();
    let (signer, store) = signer(&disk);
    disk.set(Fault::AfterWrite);
    signer.store_and_sign(batch).unwrap_err();
    assert!(holds(store.as_ref(), batch), "visible in this process");
    disk.set(Fault::None);
    assert_eq!(
        signer.store_and_sign(rival).unwrap_err().code(),
        "store.sequence_conflict"
    );
    valid(signer.store_and_sign(batch).unwrap(), batch);
    disk.memory.cut_power();
    assert!(holds(&disk.store(world().operator_id(ME)), batch));
}

/// The note of the signature fails: the promise is on disk, so the signature may go out.
#[test]
fn a_lost_note_is_no_loss() {
    let disk = Disk::new();
    let [batch, _] = rivals();
    let (signer, _) = signer(&disk);
    disk.skip.store(1, Ordering::SeqCst);
    disk.set(Fault::BeforeWrite);
    let first = signer.store_and_sign(batch).unwrap();
    disk.set(Fault::None);
    disk.memory.cut_power();
    assert!(holds(&disk.store(world().operator_id(ME)), batch));
    assert_eq!(signer.store_and_sign(batch).unwrap(), first);
}

#[test]
fn of_many_rivals_at_once_one_is_signed() {
    for _ in 0..20 {
        let disk = Disk::new();
        let (signer, store) = signer(&disk);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    let (signer, batch) = (&signer, &rivals()[n % 2]);
                    scope.spawn(move || signer.store_and_sign(batch).map_err(|e| e.code()))
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let at = SequenceId::of(&rivals()[0].record().header);
        let record = store.signed(&at).unwrap().unwrap();
        for (n, outcome) in outcomes.iter().enumerate() {
            let batch = &rivals()[n % 2];
            if batch.record().digest == record.digest {
                valid(outcome.unwrap(), batch);
            } else {
                assert_eq!(*outcome, Err("store.sequence_conflict"));
            }
        }
    }
}

/// No protection file before the end of signing is on disk: whatever breaks, there is never a file beside a database that signs.
#[test]
fn no_protection_file_before_signing_has_ended() {
    let [batch, rival] = rivals();
    let key = world().bls[ME].public_key().to_bytes();
    for fault in [
        Fault::None,
        Fault::BeforeWrite,
        Fault::AfterWrite,
        Fault::AfterSync,
        Fault::Full,
    ] {
        let disk = Disk::new();
        let (signer_before, store) = signer(&disk);
        signer_before.store_and_sign(batch).unwrap();
        disk.set(fault);
        let exported = protection::export(store.as_ref(), &key, 1);
        match &exported {
            Ok(file) => assert_eq!(file.floors.len(), 1),
            Err(ProtectionError::Store(StoreError::Backend { .. })) => {}
            Err(other) => panic!("{fault:?}: {other}"),
        }
        assert_eq!(exported.is_ok(), fault == Fault::None, "{fault:?}");
        // Not even this process signs on, whatever became of the write.
        disk.set(Fault::None);
        let error = signer_before.store_and_sign(rival).unwrap_err();
        assert!(matches!(
            error,
            SignError::Store(StoreError::Moved | StoreError::Conflict { .. })
        ));
        disk.memory.cut_power();
        let (_, store) = signer(&disk);
        let ended = matches!(fault, Fault::None | Fault::AfterSync);
        assert_eq!(store.has_moved(), ended, "{fault:?}");
    }
}

/// Floors are there when an import says so, and none of them when it fails.
#[test]
fn an_import_is_durable_or_nothing() {
    let [batch, _] = rivals();
    let key = world().bls[ME].public_key().to_bytes();
    let (old_disk, disk) = (Disk::new(), Disk::new());
    let (old, old_store) = signer(&old_disk);
    old.store_and_sign(batch).unwrap();
    let file = protection::export(old_store.as_ref(), &key, 1).unwrap();

    let (_, store) = signer(&disk);
    disk.set(Fault::AfterWrite);
    file.import(store.as_ref(), &key).unwrap_err();
    disk.set(Fault::None);
    disk.memory.cut_power();
    let (_, store) = signer(&disk);
    assert!(store.spent().unwrap().is_empty());
    file.import(store.as_ref(), &key).unwrap();
    disk.memory.cut_power();
    let (signer, store) = signer(&disk);
    assert_eq!(store.spent().unwrap(), file.floors);
    let error = signer.store_and_sign(batch).unwrap_err();
    assert_eq!(error.code(), "store.below_floor");
    let record = batch.record();
    let error = signer.known(&record.header, &record.digest).unwrap_err();
    assert_eq!(error.code(), "store.below_floor");
}
