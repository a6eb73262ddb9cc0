//! Finds what is false among many statements that can be checked together.

/// Statements under a joint check, and which of them are still to be judged.
///
/// Whatever the check answers: a statement that comes out of [`Bisection::next`] was refused when it was checked alone.
/// Every other one has passed a check, alone or with others. So no statement is called false only because others are
/// true.
pub(crate) struct Bisection<'a, T> {
    /// Parts that nobody has checked, the foremost on top.
    unknown: Vec<&'a [T]>,
    /// Whether two neighbours belong together, and stay together when everything is checked one by one.
    one_matter: fn(&T, &T) -> bool,
    /// Checks that may yet be spent on halving.
    halvings: usize,
}

impl<'a, T> Bisection<'a, T> {
    /// A false statement costs two checks more than the halvings that lead to it. Once `halvings` checks are spent, so
    /// many statements are false that the rest is checked one by one.
    pub(crate) fn new(
        statements: &'a [T],
        one_matter: fn(&T, &T) -> bool,
        halvings: usize,
    ) -> Self {
        Self {
            unknown: vec![statements],
            one_matter,
            halvings,
        }
    }

    /// The next false statement, in order. Those that `settled` knows need no judgement.
    pub(crate) fn next(
        &mut self,
        settled: impl Fn(&T) -> bool,
        holds: impl Fn(&[T]) -> bool,
    ) -> Option<&'a T> {
        while let Some(part) = self.unknown.pop() {
            let open = part.iter().position(|statement| !settled(statement));
            let Some((_, part)) = open.and_then(|open| part.split_at_checked(open)) else {
                continue;
            };
            let mut matters = part.chunk_by(self.one_matter);
            if self.halvings == 0 && matters.clone().nth(1).is_some() {
                let first = self.unknown.len();
                self.unknown.extend(&mut matters);
                self.unknown[first..].reverse();
                continue;
            }
            if self.check(part, &holds) {
                continue;
            }
            // Those before it have passed. Those behind it are checked together again, so that one false statement
            // costs only the halvings that lead to it.
            let (at, guilty) = self.first_false(part, &holds);
            let (one, behind) = (&part[at], &part[at + 1..]);
            self.unknown.push(behind);
            if guilty {
                return Some(one);
            }
        }
        None
    }

    fn check(&mut self, part: &[T], holds: &impl Fn(&[T]) -> bool) -> bool {
        self.halvings = self.halvings.saturating_sub(1);
        holds(part)
    }

    /// Where the first false statement of a part is that was refused, and whether it was refused alone.
    fn first_false(&mut self, part: &[T], holds: &impl Fn(&[T]) -> bool) -> (usize, bool) {
        let (mut start, mut end) = (0, part.len());
        let mut checked = true;
        while end - start > 1 {
            let middle = start + (end - start) / 2;
            if self.check(&part[start..middle], holds) {
                (start, checked) = (middle, false);
            } else {
                (end, checked) = (middle, true);
            }
        }
        // Where what was before it is right, this one is only suspected.
        (start, checked || !self.check(&part[start..end], holds))
    }
}

#[cfg(test)]
mod tests;
