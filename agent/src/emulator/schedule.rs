//! The frames that wait, in the order of their time.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::frame::Frame;

/// Nearly all frames are due after those that came before them, so a plain queue holds them, and a heap only the
/// few that are not: netem does the same.
#[derive(Default)]
pub struct Schedule {
    in_order: VecDeque<Waiting>,
    overtaking: BinaryHeap<Reverse<Waiting>>,
    pushed: u64,
}

struct Waiting {
    due: Duration,
    /// Of two that are due at the same time, the first come leaves first.
    nth: u64,
    frame: Frame,
}

impl Schedule {
    pub fn push(&mut self, due: Duration, frame: Frame) {
        let waiting = Waiting { due, nth: self.pushed, frame };
        self.pushed += 1;
        if self.in_order.back().is_none_or(|last| last.due <= due) {
            self.in_order.push_back(waiting);
        } else {
            self.overtaking.push(Reverse(waiting));
        }
    }

    pub fn next_due(&self) -> Option<Duration> {
        let heap = self.overtaking.peek().map(|Reverse(waiting)| waiting.due);
        let queue = self.in_order.front().map(|waiting| waiting.due);
        heap.into_iter().chain(queue).min()
    }

    pub fn pop(&mut self) -> Option<Frame> {
        let from_heap = match (self.overtaking.peek(), self.in_order.front()) {
            (Some(Reverse(overtaking)), Some(in_order)) => overtaking < in_order,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if from_heap {
            self.overtaking.pop().map(|Reverse(waiting)| waiting.frame)
        } else {
            self.in_order.pop_front().map(|waiting| waiting.frame)
        }
    }

    pub fn len(&self) -> usize {
        self.in_order.len() + self.overtaking.len()
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.nth).cmp(&(other.due, other.nth))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_stable_sort(dues in proptest::collection::vec(0_u8..10, 0..100)) {
            let mut schedule = Schedule::default();
            for (nth, due) in (0_u8..).zip(&dues) {
                let mut bytes = [0_u8; 24];
                bytes[23] = nth;
                schedule.push(Duration::from_millis(u64::from(*due)), Frame::new(&bytes).unwrap());
            }
            prop_assert_eq!(schedule.len(), dues.len());
            let mut expected: Vec<(u8, u8)> = dues.iter().copied().zip(0..).collect();
            expected.sort_unstable();
            let mut taken = Vec::new();
            while let Some(due) = schedule.next_due() {
                let frame = schedule.pop().unwrap();
                taken.push((u8::try_from(due.as_millis()).unwrap(), frame.parts().next().unwrap()[23]));
            }
            prop_assert_eq!(taken, expected);
        }
    }
}
