//! What every error of the project can say about itself: a stable code, and who has to act.

use std::fmt;

/// Who has to act to make an error go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Blame {
    /// Whoever called: its input does not satisfy what the function's documentation asks for.
    Caller,
    /// The other end of a connection, or whoever produced the bytes that were checked.
    Peer,
    /// This process or its machine: a bug, a full disk, a broken file of ours.
    Us,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "caller",
            Self::Peer => "peer",
            Self::Us => "us",
        })
    }
}

/// An error with a code that programs can match and a party that has to act.
///
/// The derive writes it. The enum names what its variants have in common, the area and who has to act; a variant says only
/// what is different:
///
/// ```
/// # extern crate ashlar_kzg as ashlar_crypto;
/// use ashlar_crypto::{Blame, Coded};
///
/// #[derive(Debug, thiserror::Error, Coded)]
/// #[coded(prefix = "mail", blame = Peer)]
/// enum MailError {
///     #[error("the letter is empty")]
///     Empty, // mail.empty, the name in snake case
///     #[error("{got} stamps")]
///     #[coded("postage", blame = Caller)]
///     Stamps { got: u8 }, // mail.postage
///     #[error("the house has burnt down")]
///     #[coded("house.gone")]
///     Gone, // house.gone: with a dot it is the whole code
///     #[error("the lorry has left: {0}")]
///     #[coded(transparent)]
///     Lorry(#[from] Late), // code and blame of the field
///     #[error("{0} letters")]
///     #[coded(code = if *_0 == 0 { "mail.none" } else { "mail.many" })]
///     Count(u8),
/// }
///
/// #[derive(Debug, thiserror::Error, Coded)]
/// #[error("too late")]
/// #[coded("lorry.late", blame = Us)]
/// struct Late;
///
/// assert_eq!(MailError::Empty.code(), "mail.empty");
/// assert_eq!(MailError::Stamps { got: 0 }.blame(), Blame::Caller);
/// assert_eq!(MailError::from(Late).blame(), Blame::Us);
/// ```
///
/// * `transparent` means the only field, or the one that is `source` or marked `#[source]` or `#[from]`. A variant with
///   `#[error(transparent)]` is `transparent` here too, unless it names a code. `blame` may stand beside it.
/// * `code = …` and `blame = …` take expressions. They see references to the fields, by name or as `_0`, `_1`.
/// * A variant may have a `prefix` of its own. A struct names its whole code.
///
/// What is missing is an error of the compiler: a code without an area,
///
/// ```compile_fail
/// # extern crate ashlar_kzg as ashlar_crypto;
/// #[derive(ashlar_crypto::Coded)]
/// #[coded(blame = Us)]
/// enum NoArea {
///     Lost,
/// }
/// ```
///
/// somebody who has to act,
///
/// ```compile_fail
/// # extern crate ashlar_kzg as ashlar_crypto;
/// #[derive(ashlar_crypto::Coded)]
/// #[coded("mail.lost")]
/// struct NoBlame;
/// ```
///
/// and a source that has no code of its own.
///
/// ```compile_fail
/// # extern crate ashlar_kzg as ashlar_crypto;
/// #[derive(ashlar_crypto::Coded)]
/// enum NoCode {
///     #[coded(transparent)]
///     Io(std::io::Error),
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no stable code",
    note = "derive `Coded` for it, or name a code where it is the source: #[coded(\"area.code\", blame = …)]"
)]
pub trait Coded {
    /// A stable, dotted name, for example `payload.too_large`. It never changes once published; the message may.
    fn code(&self) -> &'static str;

    /// Who has to act.
    fn blame(&self) -> Blame;
}

impl<T: Coded + ?Sized> Coded for Box<T> {
    fn code(&self) -> &'static str {
        (**self).code()
    }

    fn blame(&self) -> Blame {
        (**self).blame()
    }
}
