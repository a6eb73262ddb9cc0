#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const NOW: u64 = 1_800_000_000;

fn start(timestamp: u64, chunks: u64, chunk_size: u64, total_size: u64) -> (Start, [u8; 32]) {
    let timeout = NOW + 1000;
    let start = Start {
        timestamp,
        chunks,
        chunk_size,
        total_size,
        timeout,
    };
    (
        start,
        checksum(&[], &[timestamp, chunks, chunk_size, total_size, timeout]),
    )
}

#[test]
fn chunks_make_a_message_in_any_order_and_more_than_once() {
    let (mut uploads, at) = (Uploads::default(), Instant::now());
    let (begin, sig) = start(NOW, 3, 4, 10);
    let id = uploads.start(begin, &sig, 10, NOW, at).unwrap();
    let sent = |uploads: &mut Uploads, chunk: u64, bytes: &'static str| {
        let sig = checksum(bytes.as_bytes(), &[id, chunk]);
        uploads.chunk(id, chunk, bytes.into(), &sig, at)
    };
    sent(&mut uploads, 2, "89").unwrap();
    sent(&mut uploads, 0, "0123").unwrap();
    let commit = checksum(&[], &[id]);
    let incomplete = UploadError::Incomplete {
        got: 2,
        expected: 3,
    };
    assert_eq!(uploads.whole(id, &commit, at), Err(incomplete));
    sent(&mut uploads, 1, "4567").unwrap();
    sent(&mut uploads, 1, "4567").unwrap();
    assert_eq!(
        sent(&mut uploads, 1, "other"),
        Err(UploadError::Chunk {
            got: 1,
            len: 5,
            expected: 4
        })
    );
    assert_eq!(
        sent(&mut uploads, 1, "4568"),
        Err(UploadError::OtherChunk { got: 1 })
    );
    assert_eq!(
        sent(&mut uploads, 3, ""),
        Err(UploadError::Chunk {
            got: 3,
            len: 0,
            expected: 0
        })
    );
    let wrong = uploads.chunk(id, 1, "4567".into(), &[0; 32], at);
    assert_eq!(wrong, Err(UploadError::Checksum));
    // A commit whose answer got lost is sent again.
    for _ in 0..2 {
        assert_eq!(uploads.whole(id, &commit, at).unwrap(), "0123456789");
    }
    uploads.done(id);
    assert_eq!(
        uploads.whole(id, &commit, at),
        Err(UploadError::Unknown { id })
    );
}

#[test]
fn starts_are_young_new_few_and_fit() {
    let (mut uploads, at) = (Uploads::default(), Instant::now());
    let refused = |uploads: &mut Uploads, (start, sig): (Start, [u8; 32])| {
        uploads.start(start, &sig, 100, NOW, at).unwrap_err()
    };
    assert!(matches!(
        refused(&mut uploads, start(NOW - 301, 1, 10, 10)),
        UploadError::Old { .. }
    ));
    assert!(matches!(
        refused(&mut uploads, start(NOW + 301, 1, 10, 10)),
        UploadError::Old { .. }
    ));
    assert!(matches!(
        refused(&mut uploads, start(NOW, 11, 10, 101)),
        UploadError::TooLarge { .. }
    ));
    for (chunks, size, total) in [
        (0, 10, 0),
        (1, 0, 10),
        (2, 10, 10),
        (1, 10, 11),
        (u64::MAX, 1, 10),
    ] {
        let error = refused(&mut uploads, start(NOW, chunks, size, total));
        assert!(matches!(error, UploadError::Shape { .. }), "{error}");
    }
    let (begin, _) = start(NOW, 1, 10, 10);
    assert_eq!(
        uploads.start(begin, &[1; 32], 100, NOW, at),
        Err(UploadError::Checksum)
    );
    for number in 0..MAX_UPLOADS as u64 {
        let (begin, sig) = start(NOW - number, 1, 10, 10);
        uploads.start(begin, &sig, 100, NOW, at).unwrap();
    }
    assert_eq!(
        refused(&mut uploads, start(NOW, 1, 10, 10)),
        UploadError::Replayed
    );
    assert_eq!(
        refused(&mut uploads, start(NOW, 1, 20, 20)),
        UploadError::Full
    );
    // After a silence there is room; the same start is still the same.
    let later = at + IDLE + Duration::from_secs(1);
    let (begin, sig) = start(NOW, 1, 20, 20);
    uploads.start(begin, &sig, 100, NOW + 61, later).unwrap();
    let (begin, sig) = start(NOW, 1, 10, 10);
    assert_eq!(
        uploads.start(begin, &sig, 100, NOW + 61, later),
        Err(UploadError::Replayed)
    );
}
