#![allow(clippy::unwrap_used)]

use std::sync::mpsc;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_goes_before_the_next_blob() {
    let pool = ComputePool::new(1).unwrap();
    let (began, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let encoding = tokio::spawn({
        let pool = pool.clone();
        async move {
            let blobs = move |pace: &(dyn Fn() + Sync)| {
                began.send(()).unwrap();
                goes.recv().unwrap();
                pace();
                std::time::Instant::now()
            };
            pool.encode(blobs).await.unwrap()
        }
    });
    tokio::task::spawn_blocking(move || begins.recv().unwrap())
        .await
        .unwrap();
    let proved = pool.prove(move || {
        go.send(()).unwrap();
        std::thread::sleep(LONGEST_PAUSE / 4);
        std::time::Instant::now()
    });
    let (encoded, proved) = tokio::join!(encoding, proved);
    assert!(encoded.unwrap() >= proved.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn encoding_goes_on_whatever_is_proven() {
    let pool = ComputePool::new(1).unwrap();
    let (done, until) = mpsc::channel::<()>();
    let proving = pool.prove(move || until.recv().is_ok());
    let encoding = async {
        let paused = pool.encode(|pace| pace()).await;
        done.send(()).unwrap();
        paused
    };
    let (proved, encoded) = tokio::join!(proving, encoding);
    assert_eq!((proved, encoded), (Ok(true), Ok(())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_result_and_opens_the_gate() {
    let pool = ComputePool::new(1).unwrap();
    let told = || -> () { std::panic::resume_unwind(Box::new("told to")) };
    assert_eq!(pool.prove(told).await, Err(Panicked));
    assert_eq!(pool.encode(move |_| told()).await, Err(Panicked));
    assert_eq!(*pool.gate.proving.lock().unwrap(), 0);
    assert_eq!(pool.run(|| 3).await, Ok(3));
}
