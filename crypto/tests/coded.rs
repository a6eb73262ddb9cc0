//! What the derive of `Coded` makes of an error.

use ashlar_crypto::{Blame, Coded};
use thiserror::Error;

#[derive(Debug, Error, Coded)]
#[error("")]
#[coded("inner.lost", blame = Peer)]
struct Inner;

#[derive(Debug, Error, Coded)]
#[error("at {at}")]
#[coded(transparent)]
struct Frame {
    source: Inner,
    at: u64,
}

#[derive(Debug, Error, Coded)]
#[error("{code}: {blame}")]
#[coded(code = code, blame = *blame)]
struct Carried {
    code: &'static str,
    blame: Blame,
}

#[derive(Debug, Error, Coded)]
#[error("")]
#[coded(prefix = "area", blame = Caller)]
enum Outer<T: Coded> {
    NotAKey,
    Named {
        got: u8,
    },
    #[coded("other", blame = Us)]
    Renamed(u8, u8),
    #[coded("elsewhere.whole")]
    Whole,
    #[coded(prefix = "elsewhere")]
    Moved,
    #[coded(transparent)]
    Only(Frame),
    #[coded(transparent, blame = Us)]
    Ours(Box<Inner>),
    #[coded(transparent)]
    Marked(u8, #[source] Inner),
    #[coded(transparent)]
    Parameter(T),
    #[error(transparent)]
    Shown(#[from] Inner),
    #[error(transparent)]
    #[coded(blame = Us)]
    ShownAsOurs(Inner),
    #[error(transparent)]
    #[coded("named")]
    ShownAndNamed(std::fmt::Error),
    #[coded(code = if *_0 == 0 { "area.none" } else { "area.many" })]
    Count(u8),
    #[coded(blame = if *late { Blame::Us } else { Blame::Peer })]
    When {
        late: bool,
    },
}

#[test]
fn each_variant_answers_for_itself() {
    let frame = || Frame {
        source: Inner,
        at: 1,
    };
    let carried = Carried {
        code: "far.away",
        blame: Blame::Us,
    };
    for (error, code, blame) in [
        (Outer::NotAKey, "area.not_a_key", Blame::Caller),
        (Outer::Named { got: 1 }, "area.named", Blame::Caller),
        (Outer::Renamed(1, 2), "area.other", Blame::Us),
        (Outer::Whole, "elsewhere.whole", Blame::Caller),
        (Outer::Moved, "elsewhere.moved", Blame::Caller),
        (Outer::Only(frame()), "inner.lost", Blame::Peer),
        (Outer::Ours(Box::new(Inner)), "inner.lost", Blame::Us),
        (Outer::Marked(1, Inner), "inner.lost", Blame::Peer),
        (Outer::Parameter(carried), "far.away", Blame::Us),
        (Outer::Shown(Inner), "inner.lost", Blame::Peer),
        (Outer::ShownAsOurs(Inner), "inner.lost", Blame::Us),
        (
            Outer::ShownAndNamed(std::fmt::Error),
            "area.named",
            Blame::Caller,
        ),
        (Outer::Count(0), "area.none", Blame::Caller),
        (Outer::Count(2), "area.many", Blame::Caller),
        (Outer::When { late: true }, "area.when", Blame::Us),
        (Outer::When { late: false }, "area.when", Blame::Peer),
    ] {
        assert_eq!((error.code(), error.blame()), (code, blame), "{error:?}");
    }
}
