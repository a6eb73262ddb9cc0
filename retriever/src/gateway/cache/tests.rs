#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn entry(number: u8, payload: usize) -> Entry {
    let certificate = vec![number; 500];
    let meta = Meta {
        key: BlobKey([number; 32]),
        id: BlobId([number ^ 0xff; 32]),
        created_at_ms: 1000,
        held_until_ms: 2000,
        certificate_len: 500,
        payload_len: payload as u64,
        checked: false,
    };
    Entry {
        meta,
        certificate,
        payload: vec![number; payload],
    }
}

fn open(folder: &Path, max_bytes: u64) -> Cache {
    Cache::open(folder.to_path_buf(), max_bytes, 0, Arc::default()).unwrap()
}

fn has(cache: &Cache, number: u8) -> bool {
    let Some(meta) = cache.find(&[number; 32]) else {
        return false;
    };
    // By its id, too.
    assert_eq!(cache.find(&[number ^ 0xff; 32]).unwrap(), meta);
    let read = cache.read(&meta).unwrap();
    assert_eq!(read.certificate, vec![number; 500]);
    assert_eq!(read.payload, vec![number; meta.payload_len as usize]);
    true
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_restart_keeps_what_was_written_and_drops_what_was_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/cache");
    let cache = open(&path, 1 << 20);
    cache.insert(&entry(1, 10_000)).unwrap();
    cache.insert(&entry(2, 0)).unwrap();
    cache.checked(&BlobKey([1; 32]));
    assert!(has(&cache, 1) && has(&cache, 2) && !has(&cache, 3));
    drop(cache);
    fs::write(path.join("unfinished-0123"), b"cut").unwrap();
    fs::write(path.join("notes.txt"), b"not ours").unwrap();
    fs::write(path.join(BlobKey([9; 32]).to_string()), b"short").unwrap();
    fs::copy(
        path.join(BlobKey([1; 32]).to_string()),
        path.join(BlobKey([8; 32]).to_string()),
    )
    .unwrap();
    let cache = open(&path, 1 << 20);
    assert!(
        !cache.find(&[1; 32]).unwrap().checked,
        "the policy may be another one now"
    );
    assert!(has(&cache, 1) && has(&cache, 2) && !has(&cache, 8) && !has(&cache, 9));
    assert_eq!(files(&path), 3);
}

#[test]
fn what_was_read_longest_ago_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    // Three of three blocks each, and no fourth.
    let cache = open(folder.path(), 11 * BLOCK);
    for number in [1, 2, 3] {
        cache.insert(&entry(number, 9000)).unwrap();
    }
    assert!(has(&cache, 1));
    cache.insert(&entry(4, 9000)).unwrap();
    assert!(has(&cache, 1) && !has(&cache, 2) && has(&cache, 3) && has(&cache, 4));
    // Written again, it is there once.
    cache.insert(&entry(4, 9000)).unwrap();
    assert_eq!(cache.lock().bytes, 9 * BLOCK);
    // One that never fits throws nothing out.
    cache.insert(&entry(5, 11 * 4096)).unwrap();
    assert!(!has(&cache, 5) && has(&cache, 1));
    assert_eq!(files(folder.path()), 3);
    drop(cache);
    // Less room after a restart.
    let cache = open(folder.path(), 6 * BLOCK);
    assert_eq!((files(folder.path()), cache.lock().bytes), (2, 6 * BLOCK));
    drop(cache);
    let cache = open(folder.path(), 0);
    assert_eq!(files(folder.path()), 0);
    cache.insert(&entry(1, 1)).unwrap();
    assert!(!has(&cache, 1));
}

#[test]
fn no_damaged_byte_is_ever_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(BlobKey([1; 32]).to_string());
    let cache = open(folder.path(), 1 << 20);
    cache.insert(&entry(1, 700)).unwrap();
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(11) {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 1;
        cache.insert(&entry(1, 700)).unwrap();
        fs::write(&path, &spoilt).unwrap();
        let meta = cache.find(&[1; 32]).unwrap();
        assert!(cache.read(&meta).is_none(), "byte {at}");
        assert!(
            cache.find(&[1; 32]).is_none() && !path.exists(),
            "byte {at}"
        );
    }
    for spoilt in [
        &whole[..whole.len() - 1],
        &whole[..10],
        &[whole.as_slice(), b"x"].concat(),
    ] {
        cache.insert(&entry(1, 700)).unwrap();
        fs::write(&path, spoilt).unwrap();
        let meta = cache.find(&[1; 32]).unwrap();
        assert!(cache.read(&meta).is_none());
    }
    assert!(cache.metrics.damaged.get() > 100);
    // Forgotten between looking and reading: no damage.
    cache.insert(&entry(1, 700)).unwrap();
    let (meta, damaged) = (cache.find(&[1; 32]).unwrap(), cache.metrics.damaged.get());
    cache.drop_entry(&meta.key);
    assert!(cache.read(&meta).is_none());
    assert_eq!(cache.metrics.damaged.get(), damaged);
}
