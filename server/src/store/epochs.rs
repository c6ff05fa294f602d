//! The epochs of the feed, by which a device learns that the server has lost what it has seen.

use super::StoreError;
use xundian_protocol::ids::{FeedEpoch, FeedSeq};
use xundian_protocol::wire::v1::{Resume, Resumed};

/// The number of epochs kept, 240 kB. A device that has not synced since an older one fetches everything again. Each
/// opening counts, including that of a command while the server does not run, and of a start that then fails.
const KEPT_MAX: usize = 10_000;

/// The epochs of this feed, oldest first. Each opening of the store begins one, before anything else is written.
///
/// A backup has the epochs up to its own. Sequences issued after the backup belong to its last epoch, beyond the start
/// of the next one, or to epochs that are not listed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Epochs(Vec<(FeedEpoch, FeedSeq)>);

impl Epochs {
    /// Begins an epoch after the feed's head. A store that did not record epochs yet counts as one epoch, which its
    /// devices name as well.
    pub fn begin(&mut self, epoch: FeedEpoch, head: FeedSeq) {
        if self.0.is_empty() {
            self.0.push((FeedEpoch::NIL, FeedSeq(0)));
        }
        self.0.push((epoch, head));
        self.0.drain(..self.0.len().saturating_sub(KEPT_MAX));
    }

    /// Whether a device may resume at its position. `head` is the last sequence.
    pub fn find(&self, resume: Resume, head: FeedSeq) -> Resumed {
        let at = self.0.iter().position(|(epoch, _)| *epoch == resume.epoch);
        let end = at.map(|at| self.0.get(at + 1).map_or(head, |(_, begins_behind)| *begins_behind));
        let continues = resume.reached == FeedSeq(0) || end.is_some_and(|end| resume.reached <= end);
        Resumed { epoch: self.0.last().map_or(FeedEpoch::NIL, |(epoch, _)| *epoch), continues }
    }

    /// For each: its name, 16 bytes, and the sequence after which it begins, u64.
    pub(super) fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(epoch, head)| epoch.0.into_iter().chain(head.0.to_be_bytes())).collect()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let (rows, rest) = bytes.as_chunks::<24>();
        let read = |row: &[u8; 24]| {
            let (epoch, head) = row.split_first_chunk::<16>()?;
            Some((FeedEpoch(*epoch), FeedSeq(u64::from_be_bytes(head.try_into().ok()?))))
        };
        let epochs = rows.iter().map(read).collect::<Option<Vec<_>>>().filter(|_| rest.is_empty());
        Ok(Self(epochs.ok_or_else(|| StoreError::damaged("meta", "the epochs of the feed"))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FeedEpoch = FeedEpoch([1; 16]);
    const B: FeedEpoch = FeedEpoch([2; 16]);
    const LOST: FeedEpoch = FeedEpoch([3; 16]);

    /// The feed of a backup at sequence 800, which is at 850 now.
    fn epochs() -> Epochs {
        let mut epochs = Epochs::default();
        epochs.begin(A, FeedSeq(0));
        epochs.begin(B, FeedSeq(800));
        epochs
    }

    fn continues(epoch: FeedEpoch, reached: u64) -> bool {
        epochs().find(Resume { epoch, reached: FeedSeq(reached) }, FeedSeq(850)).continues
    }

    #[test]
    fn a_device_goes_on_from_a_place_that_is_in_the_feed() {
        assert!(continues(A, 700) && continues(A, 800), "before the backup was made");
        assert!(continues(B, 700) && continues(B, 850));
        assert!(continues(FeedEpoch::NIL, 0), "a new device");
    }

    #[test]
    fn a_place_of_a_feed_that_was_lost_is_none() {
        assert!(!continues(A, 801), "the epoch went on behind the backup, in a feed that is no more");
        assert!(!continues(LOST, 700), "an opening after the backup, before it was restored");
        assert!(!continues(B, 851), "the server has lost what it said was on its disk");
        assert!(!continues(FeedEpoch::NIL, 700), "of a store that noted no epochs when this one did");
    }

    #[test]
    fn what_was_there_before_the_first_epoch_goes_on() {
        let mut epochs = Epochs::default();
        epochs.begin(A, FeedSeq(500));
        let find =
            |reached| epochs.find(Resume { epoch: FeedEpoch::NIL, reached: FeedSeq(reached) }, FeedSeq(600));
        assert!(find(500).continues && !find(501).continues);
    }

    #[test]
    fn they_are_bounded_and_read_back() {
        let mut epochs = epochs();
        (0..2 * KEPT_MAX as u64).for_each(|n| epochs.begin(FeedEpoch([7; 16]), FeedSeq(1000 + n)));
        assert_eq!(epochs.0.len(), KEPT_MAX);
        assert_eq!(Epochs::decode(&epochs.encode()).unwrap(), epochs);
        assert!(Epochs::decode(&epochs.encode()[1..]).is_err());
    }
}
