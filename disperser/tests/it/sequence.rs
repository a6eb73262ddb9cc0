//! A disperser whose database is lost: it learns from operators which sequence numbers it has used, and betrays nobody.

use std::sync::atomic::Ordering;

use ashlar_crypto::identity::NetworkKey;
use ashlar_disperser::kv::MemoryKv;
use ashlar_proto::Sequence;
use ashlar_proto::wire::Latest;

use crate::support::{Says, Temper, World, config, until};

/// Numbers left out behind the highest that is known.
const GAP: u64 = 1 << 32;

fn world(stakes: &[u64]) -> World {
    let tempers: Vec<_> = stakes.iter().map(|s| (Temper::Honest, *s)).collect();
    World::new(&tempers)
}

/// The highest number of a life in which the clock was five minutes ahead; then the database is lost, and the clock right again.
async fn a_life_ahead(world: &mut World) -> Sequence {
    world.wrong_ms.store(300_000, Ordering::SeqCst);
    let running = world.start(config()).await;
    for n in 0..3 {
        let id = running.accepted("", &[n; 100]).await.id;
        running.certified(&id).await;
    }
    running.disperser.shutdown().await;
    world.wrong_ms.store(0, Ordering::SeqCst);
    world.kv = MemoryKv::new();
    let sequences = world
        .operators
        .iter()
        .flat_map(|o| o.requests().into_keys());
    sequences.max().unwrap()
}

fn nobody_is_betrayed(world: &World) {
    for operator in &world.operators {
        assert!(!operator.betrayed.load(Ordering::SeqCst));
    }
}

/// Its batch again, with this number, and signed by whoever has this key.
fn forged(world: &World, sequence: u64, key: &NetworkKey) -> Says {
    let newest = world.operators[0].newest.lock().unwrap().clone();
    let mut batch_header = newest.unwrap().batch_header;
    batch_header.sequence = Sequence(sequence);
    Says::Latest(Some(Box::new(Latest {
        disperser_signature: batch_header.sign_as_disperser(key),
        batch_header,
    })))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_goes_on_above_what_operators_have_seen() {
    let mut world = world(&[10, 10, 10]);
    let highest = a_life_ahead(&mut world).await;
    let running = world.start(config()).await;
    for n in 0..3 {
        let id = running.accepted("", &[100 + n; 100]).await.id;
        let batch = running.certified(&id).await.batch.unwrap();
        assert!(batch.sequence.0 >= highest.0 + GAP, "{batch:?} {highest}");
    }
    nobody_is_betrayed(&world);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_too_high_a_number_is_not_believed_and_who_hides_one_hides_nothing() {
    let mut world = world(&[30, 30, 25, 15]);
    let highest = a_life_ahead(&mut world).await;
    let stranger = NetworkKey::from_seed([7; 32]);
    // Two that have seen nothing, one with a batch that nobody has signed, one that tells the truth.
    world.operators[0].say(Says::Latest(None));
    world.operators[2].say(Says::Latest(None));
    let forgery = forged(&world, u64::MAX, &stranger);
    world.operators[3].say(forgery);
    let running = world.start(config()).await;
    let id = running.accepted("", b"after").await.id;
    let batch = running.certified(&id).await.batch.unwrap();
    assert!(batch.sequence.0 >= highest.0 + GAP, "{batch:?} {highest}");
    assert!(batch.sequence.0 < highest.0 + 2 * GAP, "{batch:?}");
    nobody_is_betrayed(&world);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enough_operators_it_says_so_and_waits() {
    let mut world = world(&[30, 30, 25, 15]);
    let highest = a_life_ahead(&mut world).await;
    let sent = world.operators[0].requests().len();
    // 45 % answer, which is one too few: 55 % may have signed a certificate without them.
    world.operators[0].say(Says::Nothing);
    let forgery = forged(&world, 5, &NetworkKey::from_seed([7; 32]));
    world.operators[2].say(forgery);
    let running = world.start(config()).await;
    let id = running.accepted("", b"waits").await.id;
    until("health says it", async || {
        running.complaints() == ["sequence_unknown"]
    })
    .await;
    assert_eq!(running.get("/v1/ready").await.status(), 503);
    // Also after a restart.
    running.disperser.shutdown().await;
    let running = world.start(config()).await;
    until("health says it again", async || {
        running.complaints() == ["sequence_unknown"]
    })
    .await;
    assert!(!running.status(&id).await.state.is_final());
    assert_eq!(world.operators[0].requests().len(), sent);

    world.operators[0].say(Says::Truth);
    let batch = running.certified(&id).await.batch.unwrap();
    assert!(batch.sequence.0 >= highest.0 + GAP, "{batch:?} {highest}");
    assert_eq!(running.complaints(), Vec::<String>::new());
    nobody_is_betrayed(&world);
    running.disperser.shutdown().await;
}
