#![allow(clippy::unwrap_used)]

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn who_encodes_lets_others_go_first() {
    let pool = ComputePool::new(1).unwrap();
    let of_thread = || rustix::process::getpriority_process(None).unwrap();
    let (mine, urgent) = (of_thread(), pool.urgent.run(of_thread).await.unwrap());
    let encoding = pool.encoding.run(of_thread).await.unwrap();
    assert_eq!((urgent, encoding), (mine, (mine + 10).min(19)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_result() {
    let pool = ComputePool::new(1).unwrap();
    let told = || -> () { std::panic::resume_unwind(Box::new("told to")) };
    assert_eq!(pool.urgent.run(told).await, Err(Panicked));
    assert_eq!(pool.encoding.run(told).await, Err(Panicked));
    assert_eq!(pool.urgent.run(|| 3).await, Ok(3));
}
