#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn objects_are_written_over_and_bounded_when_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a/b");
    let url = format!("file://{}", place.display());
    for location in [&*place.display().to_string(), &url, "memory:///"] {
        let store = Objects::open("cache", location, PATIENCE).unwrap().unwrap();
        let key = [7; 32];
        assert_eq!(store.read(&[1; 32], 10).await, Ok(None));
        for value in ["one", "three"] {
            store.write(&key, value.into()).await.unwrap();
            assert_eq!(store.read(&key, 5).await, Ok(Some(value.into())));
        }
        assert!(store.has(&key, 5).await && !store.has(&key, 4).await);
        assert_eq!(store.read(&key, 4).await, Err(store.damaged(&key)));
    }
    assert!(Objects::open("cache", "", PATIENCE).unwrap().is_none());
}

#[test]
fn a_store_that_this_binary_does_not_know_is_said_at_the_start() {
    for location in ["ftp://somewhere/else", "/dev/null/folder"] {
        let error = Objects::open("cache", location, PATIENCE).unwrap_err();
        assert_eq!(error.code(), "store.open");
        assert!(error.to_string().contains(location), "{error}");
    }
}
