//! A list that mostly has one member, which takes no memory of its own then.

/// Members in the order in which they were pushed.
#[derive(Debug)]
pub(crate) struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Few<T> {
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    pub(crate) fn push(&mut self, member: T) {
        match self.first {
            None => self.first = Some(member),
            Some(_) => self.rest.push(member),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.rest.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The only member.
    pub(crate) fn only(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.rest.is_empty())
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.first.as_ref()
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.rest.last_mut().or(self.first.as_mut())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order() {
        let mut few = Few::new();
        assert!(few.is_empty() && few.last_mut().is_none());
        few.push(1);
        assert_eq!((few.only(), few.first()), (Some(&1), Some(&1)));
        assert_eq!(few.last_mut(), Some(&mut 1));
        few.push(2);
        few.push(3);
        assert_eq!((few.only(), few.first()), (None, Some(&1)));
        assert_eq!(few.last_mut(), Some(&mut 3));
        assert_eq!(few.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        few.clear();
        assert!(few.is_empty() && few.iter().next().is_none());
    }
}
