//! What an envelope holds, counted before anything is made of it.
//!
//! A protobuf decoder makes an entry for each field that it meets: an empty one costs its sender two bytes and the
//! receiver thirty-two. So the wire bytes are walked first, without allocating. Every field of the protocol has a length
//! and a number of times that it may occur; what a batch repeats for each blob has to occur as often as its
//! blobs and runs say. A field that is not in `ashlar.proto` is refused: the application protocol names its version.
//!
//! After it, the decoded message takes no more than a few times the envelope's length.

use super::{WireError, error::at_most, limits};
use crate::{
    HeaderError,
    chunk_ranges::{MAX_CHUNKS, MAX_RUNS},
    header::{BATCH_HEADER_BYTES, BLOB_HEADER_BYTES},
};

/// Most kinds of fields in a message.
const MAX_FIELDS: usize = 8;

/// What a field holds.
enum Holds {
    /// A number.
    Number,
    /// Numbers, each in a field of its own or packed into one; they are counted one by one.
    Numbers,
    /// Bytes or text, so many at most.
    Bytes(usize),
    /// A header of exactly this length.
    Header(usize),
    /// A message.
    Message(&'static [Field]),
    /// A message that begins with the fields of a batch, from [`BATCH_HEADER`] to [`ALL_SLICE_PROOFS`].
    Batch(&'static [Field]),
}

/// A field of a message.
struct Field {
    number: u32,
    name: &'static str,
    /// How often it may occur.
    most: usize,
    holds: Holds,
}

const fn one(number: u32, name: &'static str, holds: Holds) -> Field {
    many(number, name, 1, holds)
}

const fn many(number: u32, name: &'static str, most: usize, holds: Holds) -> Field {
    Field {
        number,
        name,
        most,
        holds,
    }
}

const RUN: &[Field] = &[
    one(1, "start of a run", Holds::Number),
    one(2, "length of a run", Holds::Number),
];

const SLICE_PROOFS: &[Field] = &[many(
    1,
    "range proofs",
    MAX_RUNS,
    Holds::Bytes(limits::MAX_RANGE_PROOF * 32),
)];

const BATCH_HEADER: Field = one(1, "batch header", Holds::Header(BATCH_HEADER_BYTES));
const BLOB_HEADERS: Field = many(
    2,
    "blob headers",
    limits::MAX_BLOBS,
    Holds::Header(BLOB_HEADER_BYTES),
);
const RUNS: Field = many(3, "runs", MAX_RUNS, Holds::Message(RUN));
const CHUNK_PROOFS: Field = one(4, "chunk proofs", Holds::Bytes(MAX_CHUNKS as usize * 48));
const ALL_SLICE_PROOFS: Field = many(
    5,
    "slice proofs",
    limits::MAX_BLOBS,
    Holds::Message(SLICE_PROOFS),
);

const STORE_BATCH: &[Field] = &[
    BATCH_HEADER,
    BLOB_HEADERS,
    RUNS,
    CHUNK_PROOFS,
    ALL_SLICE_PROOFS,
    one(6, "disperser signature", Holds::Bytes(64)),
];

const CHUNKS: &[Field] = &[
    BATCH_HEADER,
    BLOB_HEADERS,
    RUNS,
    CHUNK_PROOFS,
    ALL_SLICE_PROOFS,
];

const BATCH_PLACE: &[Field] = &[
    one(1, "window", Holds::Number),
    one(2, "batch digest", Holds::Bytes(32)),
];

const CERTIFIED_BATCH: &[Field] = &[
    one(1, "certificate", Holds::Bytes(limits::MAX_COMPACT)),
    one(2, "disperser signature", Holds::Bytes(64)),
];

const DISPERSED_BATCH: &[Field] = &[
    BATCH_HEADER,
    one(2, "disperser signature", Holds::Bytes(64)),
];

const INDICES_OF_BATCH: &[Field] = &[
    one(1, "batch digest", Holds::Bytes(32)),
    many(2, "runs", MAX_RUNS, Holds::Message(RUN)),
];

const REQUEST: &[Field] = &[
    one(1, "batch", Holds::Batch(STORE_BATCH)),
    one(
        2,
        "request for slices",
        Holds::Message(&[
            one(1, "blob key", Holds::Bytes(32)),
            many(2, "runs", MAX_RUNS, Holds::Message(RUN)),
        ]),
    ),
    one(3, "request for chunks", Holds::Message(INDICES_OF_BATCH)),
    one(4, "ping", Holds::Message(&[one(1, "nonce", Holds::Number)])),
    one(
        5,
        "certificate",
        Holds::Message(&[one(1, "certificate", Holds::Bytes(limits::MAX_COMPACT))]),
    ),
    one(
        6,
        "request for the index",
        Holds::Message(&[one(1, "place", Holds::Message(BATCH_PLACE))]),
    ),
    one(
        7,
        "request for combined chunks",
        Holds::Message(INDICES_OF_BATCH),
    ),
    one(8, "request to be dialed", Holds::Message(&[])),
    one(9, "batch to sign", Holds::Message(DISPERSED_BATCH)),
    one(
        10,
        "request for the latest batch",
        Holds::Message(&[
            one(1, "domain", Holds::Bytes(32)),
            one(2, "disperser", Holds::Number),
        ]),
    ),
];

const RESPONSE: &[Field] = &[
    one(
        1,
        "signature",
        Holds::Message(&[one(1, "signature", Holds::Bytes(48))]),
    ),
    one(
        2,
        "slices",
        Holds::Message(&[
            one(1, "blob header", Holds::Header(BLOB_HEADER_BYTES)),
            many(2, "runs", MAX_RUNS, Holds::Message(RUN)),
            one(3, "slice proofs", Holds::Message(SLICE_PROOFS)),
        ]),
    ),
    one(3, "chunks", Holds::Batch(CHUNKS)),
    one(
        4,
        "pong",
        Holds::Message(&[
            one(1, "nonce", Holds::Number),
            one(2, "software name", Holds::Bytes(limits::MAX_SHORT_TEXT)),
            many(3, "protocol versions", limits::MAX_VERSIONS, Holds::Numbers),
        ]),
    ),
    one(5, "kept", Holds::Message(&[])),
    one(
        6,
        "index of batches",
        Holds::Message(&[
            many(
                1,
                "batches",
                limits::MAX_LISTED,
                Holds::Message(CERTIFIED_BATCH),
            ),
            one(2, "place", Holds::Message(BATCH_PLACE)),
        ]),
    ),
    one(
        7,
        "combined chunks",
        Holds::Message(&[
            BATCH_HEADER,
            many(2, "runs", MAX_RUNS, Holds::Message(RUN)),
            one(3, "chunk proofs", Holds::Bytes(MAX_CHUNKS as usize * 48)),
        ]),
    ),
    one(
        8,
        "dialed",
        Holds::Message(&[one(1, "address", Holds::Bytes(limits::MAX_SHORT_TEXT))]),
    ),
    one(9, "latest batch", Holds::Message(DISPERSED_BATCH)),
    one(
        15,
        "error",
        Holds::Message(&[
            one(1, "error code", Holds::Bytes(limits::MAX_CODE)),
            one(2, "blame", Holds::Number),
            one(3, "error message", Holds::Bytes(limits::MAX_MESSAGE)),
            one(4, "error numbers", Holds::Bytes(limits::MAX_SHORT_TEXT)),
            one(5, "error numbers", Holds::Bytes(limits::MAX_SHORT_TEXT)),
        ]),
    ),
];

/// Walks a request's envelope.
pub(super) fn request(bytes: &[u8]) -> Result<(), WireError> {
    envelope(bytes, REQUEST)
}

/// Walks a response's envelope.
pub(super) fn response(bytes: &[u8]) -> Result<(), WireError> {
    envelope(bytes, RESPONSE)
}

/// One message of a known kind, once.
fn envelope(bytes: &[u8], kinds: &'static [Field]) -> Result<(), WireError> {
    let mut fields = Fields { rest: bytes };
    let Some((number, value)) = fields.next().transpose()? else {
        return Err(WireError::UnknownKind);
    };
    let Some(kind) = kinds.iter().find(|kind| kind.number == number) else {
        return Err(WireError::UnknownKind);
    };
    if !fields.rest.is_empty() {
        return at_most("messages in an envelope", 1 + fields.count(), 1);
    }
    check(kind, value)
}

/// Walks a message. Returns how often each field occurs, in the order of its table.
fn message(bytes: &[u8], table: &'static [Field]) -> Result<[usize; MAX_FIELDS], WireError> {
    let mut counts = [0; MAX_FIELDS];
    for field in (Fields { rest: bytes }) {
        let (number, value) = field?;
        let mut known = table.iter().zip(&mut counts);
        let Some((field, count)) = known.find(|(field, _)| field.number == number) else {
            return Err(WireError::UnknownField { got: number });
        };
        *count += match (&field.holds, value) {
            (Holds::Numbers, Value::Bytes(packed)) => varints(packed)?,
            _ => 1,
        };
        at_most(field.name, *count, field.most)?;
        check(field, value)?;
    }
    Ok(counts)
}

fn check(field: &Field, value: Value<'_>) -> Result<(), WireError> {
    match (&field.holds, value) {
        (Holds::Number | Holds::Numbers, Value::Number) | (Holds::Numbers, Value::Bytes(_)) => {
            Ok(())
        }
        (Holds::Bytes(max), Value::Bytes(bytes)) => at_most(field.name, bytes.len(), *max),
        (Holds::Header(expected), Value::Bytes(bytes)) if bytes.len() != *expected => {
            Err(HeaderError::Length {
                got: bytes.len(),
                expected: *expected,
            }
            .into())
        }
        (Holds::Header(_), Value::Bytes(_)) => Ok(()),
        (Holds::Message(table), Value::Bytes(bytes)) => message(bytes, table).map(|_| ()),
        (Holds::Batch(table), Value::Bytes(bytes)) => batch(bytes, table),
        _ => Err(WireError::Malformed),
    }
}

/// A list of range proofs for each blob, a proof for each run. One of several runs is not the whole tree, so its proof
/// has a hash at least.
fn batch(bytes: &[u8], table: &'static [Field]) -> Result<(), WireError> {
    let [_, blobs, runs, _, slice_proofs, ..] = message(bytes, table)?;
    same("slice proofs", slice_proofs, blobs)?;
    for field in (Fields { rest: bytes }) {
        let (number, Value::Bytes(proofs)) = field? else {
            continue;
        };
        if number != ALL_SLICE_PROOFS.number {
            continue;
        }
        let mut got = 0;
        for proof in (Fields { rest: proofs }) {
            got += 1;
            if runs > 1 && matches!(proof?.1, Value::Bytes([])) {
                return Err(WireError::Length {
                    field: "range proof",
                    got: 0,
                    expected: 32,
                });
            }
        }
        same("range proofs", got, runs)?;
    }
    Ok(())
}

fn same(field: &'static str, got: usize, expected: usize) -> Result<(), WireError> {
    if got == expected {
        Ok(())
    } else {
        Err(WireError::Count {
            field,
            got,
            expected,
        })
    }
}

/// A field as it stands on the wire.
#[derive(Clone, Copy)]
enum Value<'a> {
    /// A varint. The protocol has no numbers of fixed width.
    Number,
    Bytes(&'a [u8]),
}

/// The fields of a message, one after another.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u32, Value<'a>), WireError> {
        let key = u32::try_from(varint(&mut self.rest)?).map_err(|_| WireError::Malformed)?;
        let value = match key & 7 {
            0 => {
                varint(&mut self.rest)?;
                Value::Number
            }
            2 => {
                let len = varint(&mut self.rest)?;
                let split = usize::try_from(len)
                    .ok()
                    .and_then(|len| self.rest.split_at_checked(len));
                let (value, rest) = split.ok_or(WireError::Malformed)?;
                self.rest = rest;
                Value::Bytes(value)
            }
            _ => return Err(WireError::Malformed),
        };
        Ok((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// How many varints these bytes are.
fn varints(mut bytes: &[u8]) -> Result<usize, WireError> {
    let mut count = 0;
    while !bytes.is_empty() {
        varint(&mut bytes)?;
        count += 1;
    }
    Ok(count)
}

/// A number of 64 bits, seven a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Result<u64, WireError> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(WireError::Malformed)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if bits << shift >> shift != bits {
            return Err(WireError::Malformed);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(WireError::Malformed)
}

#[cfg(test)]
mod tests;
