//! The device's end of a reconciliation: after a pull, the digests of both ends are compared, and records that differ
//! are sent again (docs/adr/0013).
//!
//! First the digest of everything is compared. If it differs, the digest of each home is compared, then the records of
//! the homes that differ.

use super::step::Step;
use crate::digest::{Digest, ShortDigest};
use crate::ids::FeedSeq;
use crate::record::{Home, RecordKey};
use crate::sync::SessionError;
use crate::wire::v1::{ClientFrame, CompareDigests, CompareRecords, DigestVerdict, Repair};
use std::collections::{BTreeSet, VecDeque};

/// The digests of a home's records in a range of keys, as the device holds them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordDigests {
    /// The last key of the range; `None` if the range ends with the home.
    pub through: Option<RecordKey>,
    /// In the order of their keys.
    pub records: Vec<(RecordKey, ShortDigest)>,
}

/// The next step of a reconciliation.
pub(super) enum Next {
    Send(ClientFrame),
    Do(Step),
    /// Everything is equal, or was repaired.
    Done,
}

#[derive(Debug)]
enum Awaited {
    Digests,
    Whole,
    Homes,
    /// The device's records of a home after a key, or the server's answer to them.
    Records {
        home: Home,
        after: Option<RecordKey>,
    },
}

/// A reconciliation in progress.
#[derive(Debug)]
pub(super) struct Reconciliation {
    at: FeedSeq,
    homes: Vec<(Home, Digest)>,
    awaited: Awaited,
    /// Homes that differ and were not examined yet.
    differ: VecDeque<Home>,
}

impl Reconciliation {
    /// A reconciliation of what was pulled up to a feed position. It begins with [`Step::ReadDigests`].
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

    /// Handles the server's verdict on the whole, or on each home. A repeated answer is ignored.
    pub(super) fn verdict(&mut self, verdict: DigestVerdict) -> Result<Option<Next>, SessionError> {
        Ok(match (verdict, &self.awaited) {
            (DigestVerdict::Agrees, Awaited::Whole | Awaited::Homes) => Some(Next::Done),
            (DigestVerdict::Differs, Awaited::Whole) => {
                self.awaited = Awaited::Homes;
                Some(Next::Send(self.check(self.homes.clone())))
            }
            (DigestVerdict::DifferIn(homes), Awaited::Homes) => {
                self.differ = self.held_of(homes);
                Some(self.next_home())
            }
            (DigestVerdict::Differs, Awaited::Homes) | (_, Awaited::Records { .. }) => None,
            (_, Awaited::Digests | Awaited::Whole) => {
                return Err(SessionError::Unexpected {
                    got: "an answer to a reconciliation",
                    expected: "nothing",
                });
            }
        })
    }

    /// If the scope grew since the pull, the server may name homes that the device does not hold yet. The next pull
    /// fetches them.
    fn held_of(&self, homes: Vec<Home>) -> VecDeque<Home> {
        let told: BTreeSet<Home> = self.homes.iter().map(|(home, _)| *home).collect();
        homes.into_iter().filter(|home| told.contains(home)).collect()
    }

    pub(super) fn records(&self, held: RecordDigests) -> Option<ClientFrame> {
        let Awaited::Records { home, after } = self.awaited else { return None };
        let RecordDigests { through, records } = held;
        Some(ClientFrame::CompareRecords(CompareRecords { at: self.at, home, after, through, records }))
    }

    /// Handles the repair of the last range, and returns what follows it.
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
