//! What drives hold. See [`crate::fuzzing`].

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use bytes::Bytes;

use super::frame::{self, Frame, Stripes};
use super::label::Label;
use super::settle::Record;
use super::{RECORD, Space, WindowId};

/// What a drive holds under a key, without its checksum.
pub fn drive_frame(body: &[u8]) {
    let (space, key) = (Space::Window(WindowId(7)), b"s");
    let sealed = Bytes::from(frame::sealed(space, key, &[], body));
    match frame::parse(space, key, &sealed) {
        None => {}
        Some(Frame::Whole(value)) => assert_eq!(frame::whole(space, key, &value), sealed),
        Some(Frame::Shard { index, len, bytes }) => {
            assert_eq!(frame::shard(space, key, index, len, &bytes), sealed);
            let stripes = Stripes::new(3, 2).expect("a code");
            let shards = [
                (index, bytes.clone()),
                (index ^ 1, bytes.clone()),
                (2, bytes),
            ];
            if let Ok(Some(value)) = stripes.join(len, &shards) {
                assert_eq!(value.len(), len);
            }
        }
    }
    let _ = frame::parse(space, key, &Bytes::copy_from_slice(body));
}

/// The first byte says which two of five drives are gone, the rest is a value.
pub fn stripes(data: &[u8]) {
    let Some((gone, value)) = data.split_first() else {
        return;
    };
    let gone = [usize::from(gone % 5), usize::from(gone / 5 % 5)];
    let stripes = Stripes::new(3, 2).expect("a code");
    let shards = stripes.split(value).expect("any value can be cut");
    let left: Vec<(usize, Bytes)> = shards
        .into_iter()
        .map(Bytes::from)
        .enumerate()
        .filter(|(index, _)| !gone.contains(index))
        .collect();
    let joined = stripes.join(value.len(), &left).expect("shards that fit");
    assert_eq!(joined.as_deref(), Some(value));
}

/// The label of a folder.
pub fn drive_label(text: &str) {
    if let Ok(label) = Label::parse(text) {
        let written = serde_json::to_string(&label).expect("it has a JSON form");
        assert_eq!(Label::parse(&written), Ok(label));
    }
}

/// What a drive says about itself: the protobuf in it.
pub fn drive_record(body: &[u8]) {
    let sealed = Bytes::from(frame::whole(Space::Meta, RECORD, body));
    let Ok(record) = Record::read(&sealed) else {
        return;
    };
    for key in record.writes.iter().flat_map(|write| &write.keys) {
        let _ = key.space();
    }
    let written = record.put().value.expect("it puts a value");
    let again = Record::read(&written).expect("it was just written");
    assert_eq!(again, record);
}
