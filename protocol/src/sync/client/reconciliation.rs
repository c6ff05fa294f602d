//! The device's end of a check: after a pull has come to its end, what it holds is compared with what the server holds,
//! and what differs is put right by sending just that (docs/adr/0013).
//!
//! First one digest over all, then, where that differs, one for each home, then the records of the homes that differ.

use super::step::Step;
use crate::digest::{Digest, ShortDigest};
use crate::ids::FeedSeq;
use crate::record::{Home, RecordKey};
use crate::sync::SessionError;
use crate::wire::v1::{ClientFrame, CompareDigests, CompareRecords, DigestVerdict, Repair};
use std::collections::{BTreeSet, VecDeque};

/// Records of a home in a stretch of keys, as the device holds them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordDigests {
    /// The last record of the stretch; `None` where the home ends in it.
    pub through: Option<RecordKey>,
    /// In the order of their keys.
    pub records: Vec<(RecordKey, ShortDigest)>,
}

/// What a check does next.
pub(super) enum Next {
    Send(ClientFrame),
    Do(Step),
    /// Everything agrees, or was put right.
    Done,
}

#[derive(Debug)]
enum Awaited {
    Digests,
    Whole,
    Homes,
    /// The device's records of a home behind one, or what the server says of them.
    Records {
        home: Home,
        after: Option<RecordKey>,
    },
}

/// A check under way.
#[derive(Debug)]
pub(super) struct Reconciliation {
    at: FeedSeq,
    homes: Vec<(Home, Digest)>,
    awaited: Awaited,
    /// Homes that differ and were not looked into yet.
    differ: VecDeque<Home>,
}

impl Reconciliation {
    /// A check of what was pulled up to a place. It begins with [`Step::ReadDigests`].
    pub(super) const fn new(at: FeedSeq) -> Self {
        Self { at, homes: Vec::new(), awaited: Awaited::Digests, differ: VecDeque::new() }
    }

    pub(super) fn digests(&mut self, homes: Vec<(Home, Digest)>) -> ClientFrame {
        self.homes = homes;
        self.awaited = Awaited::Whole;
        self.check(Vec::new())
    }

    fn check(&self, homes: Vec<(Home, Digest)>) -> ClientFrame {
        let all = self.homes.iter().map(|(_, digest)| *digest).collect();
        ClientFrame::CompareDigests(CompareDigests { at: self.at, all, homes })
    }

    /// Takes the server's word on the whole or on each home. An answer that comes twice says nothing new.
    pub(super) fn verdict(&mut self, verdict: DigestVerdict) -> Result<Option<Next>, SessionError> {
        Ok(match (verdict, &self.awaited) {
            (DigestVerdict::Agrees, Awaited::Whole | Awaited::Homes) => Some(Next::Done),
            (DigestVerdict::Differs, Awaited::Whole) => {
                self.awaited = Awaited::Homes;
                Some(Next::Send(self.check(self.homes.clone())))
            }
            (DigestVerdict::DifferIn(homes), Awaited::Homes) => {
                self.differ = self.told_of(homes);
                Some(self.next_home())
            }
            (DigestVerdict::Differs, Awaited::Homes) | (_, Awaited::Records { .. }) => None,
            (_, Awaited::Digests | Awaited::Whole) => {
                return Err(SessionError::Unexpected { got: "word of a check", expected: "nothing" });
            }
        })
    }

    /// A scope that grew since the pull has homes that the device does not hold yet: the next pull brings them whole.
    fn told_of(&self, homes: Vec<Home>) -> VecDeque<Home> {
        let told: BTreeSet<Home> = self.homes.iter().map(|(home, _)| *home).collect();
        homes.into_iter().filter(|home| told.contains(home)).collect()
    }

    pub(super) fn records(&self, held: RecordDigests) -> Option<ClientFrame> {
        let Awaited::Records { home, after } = self.awaited else { return None };
        let RecordDigests { through, records } = held;
        Some(ClientFrame::CompareRecords(CompareRecords { at: self.at, home, after, through, records }))
    }

    /// Takes what is to be put right in the stretch that was told last, and says what comes after it.
    pub(super) fn repair(&mut self, repair: &Repair) -> Result<Option<Next>, SessionError> {
        match self.awaited {
            Awaited::Records { home, after } if (home, after) == (repair.home, repair.after) => {}
            _ => return Ok(None),
        }
        Ok(Some(match repair.through {
            None => self.next_home(),
            through if through > repair.after => self.read(repair.home, through),
            Some(_) => return Err(SessionError::NoProgress { through: self.at.0 }),
        }))
    }

    fn next_home(&mut self) -> Next {
        match self.differ.pop_front() {
            Some(home) => self.read(home, None),
            None => Next::Done,
        }
    }

    fn read(&mut self, home: Home, after: Option<RecordKey>) -> Next {
        self.awaited = Awaited::Records { home, after };
        Next::Do(Step::ReadRecords { home, after })
    }
}
