#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Blame;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("it is {0}")]
struct Wrong(&'static str);

impl Coded for Wrong {
    fn code(&self) -> &'static str {
        self.0
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }
}

fn digest(byte: u8) -> BatchDigest {
    BatchDigest([byte; 32])
}

#[test]
fn what_happens_again_is_counted_and_comes_first() {
    let refusals = Refusals::default();
    refusals.note(Some(1), digest(1), &Wrong("a.b"), 10);
    refusals.note(Some(2), digest(2), &Wrong("a.b"), 20);
    refusals.note(Some(1), digest(3), &Wrong("a.b"), 30);
    let list = refusals.list().refusals;
    assert_eq!(list.len(), 2);
    let expected = Refusal {
        code: "a.b".into(),
        blame: "caller".into(),
        message: "it is a.b".into(),
        disperser: Some(1),
        batch: digest(3),
        times: 2,
        first_ms: 10,
        last_ms: 30,
    };
    assert_eq!(list[0], expected);
    assert_eq!(list[1].disperser, Some(2));
}

#[test]
fn strangers_push_out_nobody_but_strangers() {
    let refusals = Refusals::default();
    for id in 0..80 {
        refusals.note(Some(id), digest(0), &Wrong("a.b"), u64::from(id));
    }
    let codes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    for code in codes {
        refusals.note(None, digest(0), &Wrong(code), 100);
    }
    let list = refusals.list().refusals;
    assert_eq!(list.len(), KEPT);
    let strangers: Vec<_> = list.iter().filter(|r| r.disperser.is_none()).collect();
    assert_eq!(strangers.len(), KEPT_OF_STRANGERS);
    assert_eq!(strangers[0].code, "9");
    // Eight had to go for the strangers, and none after that.
    assert!(list.iter().any(|r| r.disperser == Some(79 - 55)));
    assert!(list.iter().all(|r| r.disperser != Some(79 - 56)));
}
