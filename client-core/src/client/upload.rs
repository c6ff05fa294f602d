//! Sending pictures: after all records, one by one, in a stream separate from the records'.
//!
//! Between two pieces the driver checks for unsent records. If there are any, the picture pauses, the records are sent
//! in their own stream, and the picture resumes from what the server holds. The outcome of one picture never blocks
//! another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use xundian_protocol::ids::ContentHash;
use xundian_protocol::sync::SessionError;
use xundian_protocol::sync::client::SyncMode;
use xundian_protocol::sync::upload::{Outcome, Step, Upload};
use xundian_protocol::wire::v1::{ClientFrame, Refusal, Refused, ServerFrame, decode_server, encode_client};

use super::Client;
use super::photos::{is_due, is_to_be_sent};
use super::progress::SyncProgress;
use super::sync::Syncing;
use super::sync_error::{ConnectionTrouble, SyncError};
use crate::photos::{PhotoFileError, PhotoFolder, PictureFile};
use crate::store::{Decline, PictureState, RefState, StoreError};

/// Pictures may take hours on a slow network; changes are fetched this often meanwhile.
const PULL_EVERY: Duration = Duration::from_secs(300);

/// A picture in flight, with its file.
pub(super) struct Sending<'a> {
    hash: ContentHash,
    upload: Upload,
    file: PictureFile<'a>,
    /// Whether the server has said in this round how many bytes it holds.
    is_held_known: bool,
}

/// The next step of a picture.
#[derive(Debug)]
pub(super) enum Next {
    /// Send a frame.
    Send(ClientFrame),
    /// Wait for a frame.
    Wait,
    /// It has ended.
    Done(Outcome),
}

impl<'a> Sending<'a> {
    /// Begins with a picture whose file is intact: damage is found before anything is sent.
    pub(super) fn begin(
        folder: &'a PhotoFolder,
        hash: ContentHash,
        bytes: u64,
    ) -> Result<Self, PhotoFileError> {
        let file = folder.open(hash, bytes)?;
        file.verify()?;
        Ok(Self { hash, upload: Upload::new(hash, bytes), file, is_held_known: false })
    }

    /// Returns the next step, and reads what it needs.
    pub(super) fn next(&mut self) -> Result<Next, PhotoFileError> {
        loop {
            match self.upload.poll() {
                Step::HashFront(bytes) => {
                    let front = self.file.hash_front(bytes)?;
                    self.upload.front(front);
                    self.is_held_known = true;
                }
                Step::Read { from, bytes } => {
                    let piece = self.file.read(from, bytes)?;
                    self.upload.piece(piece);
                    self.is_held_known = true;
                }
                Step::Send(frame) => {
                    self.is_held_known &= !matches!(frame, ClientFrame::Offer(_));
                    return Ok(Next::Send(frame));
                }
                Step::Wait => return Ok(Next::Wait),
                Step::Done(outcome) => {
                    self.is_held_known |= outcome == Outcome::Stored;
                    return Ok(Next::Done(outcome));
                }
            }
        }
    }

    pub(super) fn handle(&mut self, frame: ServerFrame) -> Result<(), SessionError> {
        self.upload.handle(frame)
    }

    pub(super) const fn pause(&mut self) {
        self.upload.pause();
    }

    /// How many bytes of the picture the server holds, once it has said so.
    pub(super) fn held_bytes(&self) -> Option<u64> {
        self.is_held_known.then(|| self.upload.held_bytes())
    }
}

/// The pictures of one sync.
struct Course {
    /// The mode in which records are synced in between.
    mode: SyncMode,
    pulled_at: Instant,
    /// The bytes that the server holds of each picture counted in the progress.
    held: BTreeMap<ContentHash, u64>,
    /// Pictures that have been handled.
    passed: BTreeSet<ContentHash>,
    /// The first file that could not be read, though the picture may be intact.
    unreadable: Option<PhotoFileError>,
}

impl Course {
    /// Counts a picture in the progress, once.
    fn count(&mut self, progress: &mut SyncProgress, hash: ContentHash, bytes: u64) {
        self.held.entry(hash).or_insert_with(|| {
            progress.photo_bytes_total += bytes;
            0
        });
    }

    /// Counts the bytes that the server holds of a picture. Bytes that it lost are counted as to be sent again.
    fn note_held(&mut self, progress: &mut SyncProgress, hash: ContentHash, held_bytes: u64) {
        let known = self.held.entry(hash).or_default();
        progress.photo_bytes_done += held_bytes.saturating_sub(*known);
        progress.photo_bytes_total += known.saturating_sub(held_bytes);
        *known = held_bytes;
    }
}

/// The outcome of one picture's turn.
#[derive(PartialEq, Eq)]
enum Turn {
    Over,
    /// Records go first.
    Paused,
}

impl<F: FnMut(SyncProgress) + Send> Syncing<'_, F> {
    /// Sends the pictures whose records are merged. Records saved meanwhile go first.
    pub(super) async fn send_pictures(&mut self, mode: SyncMode) -> Result<(), SyncError> {
        let mut course = Course {
            mode,
            pulled_at: Instant::now(),
            held: BTreeMap::new(),
            passed: BTreeSet::new(),
            unreadable: None,
        };
        for (hash, bytes) in self.client.due_pictures(&course.passed) {
            course.count(&mut self.tally.progress, hash, bytes);
        }
        loop {
            if self.records_wait(&course) {
                self.send_records_first(&mut course).await?;
                continue;
            }
            let Some((hash, bytes)) = self.client.due_pictures(&course.passed).into_iter().next() else {
                break;
            };
            course.count(&mut self.tally.progress, hash, bytes);
            let turn = self.send_picture(hash, bytes, &mut course).await;
            if let Err(error) = &turn {
                self.note_broken(hash, error)?;
            }
            if turn? == Turn::Over {
                course.passed.insert(hash);
            }
        }
        if let Err(error) = self.client.tidy_pictures() {
            tracing::warn!(%error, "the folder of photos could not be tidied");
        }
        course.unreadable.map_or(Ok(()), |error| Err(error.into()))
    }

    fn records_wait(&self, course: &Course) -> bool {
        let is_pull_due = course.mode == SyncMode::Sync && course.pulled_at.elapsed() >= PULL_EVERY;
        self.client.store.unsent_ops() > 0 || is_pull_due
    }

    async fn send_records_first(&mut self, course: &mut Course) -> Result<(), SyncError> {
        let is_pull_due = course.mode == SyncMode::Sync && course.pulled_at.elapsed() >= PULL_EVERY;
        self.session(if is_pull_due { SyncMode::Sync } else { SyncMode::Push }).await?;
        if is_pull_due {
            course.pulled_at = Instant::now();
        }
        Ok(())
    }

    async fn send_picture(
        &mut self,
        hash: ContentHash,
        bytes: u64,
        course: &mut Course,
    ) -> Result<Turn, SyncError> {
        let client = self.client;
        let mut sending = match Sending::begin(&client.pictures, hash, bytes) {
            Ok(sending) => sending,
            Err(error) => return self.cannot_read(hash, error, course),
        };
        self.go_on_with_pictures().await?;
        loop {
            if self.records_wait(course) {
                sending.pause();
            }
            let next = match sending.next() {
                Ok(next) => next,
                Err(error) => return self.cannot_read(hash, error, course),
            };
            if let Some(held_bytes) = sending.held_bytes() {
                course.note_held(&mut self.tally.progress, hash, held_bytes);
                client.store.note_sent(hash, held_bytes)?;
            }
            match next {
                Next::Send(frame) => {
                    if let ClientFrame::Piece(piece) = &frame {
                        self.tally.progress.photo_bytes_sent += piece.bytes.len() as u64;
                    }
                    self.session_stream.send(&encode_client(&frame)).await?;
                }
                Next::Wait => {
                    let frame = decode_server(&self.session_stream.receive().await?)?;
                    sending.handle(frame)?;
                }
                Next::Done(outcome) => return self.settle(&sending, outcome, course),
            }
            (self.told)(self.tally.progress);
        }
    }

    fn settle(
        &mut self,
        sending: &Sending<'_>,
        outcome: Outcome,
        course: &mut Course,
    ) -> Result<Turn, SyncError> {
        let hash = sending.hash;
        match outcome {
            Outcome::Paused => return Ok(Turn::Paused),
            Outcome::Stored => {
                self.client.store.note_picture(hash, PictureState::Stored)?;
                self.tally.report.photos.stored += 1;
            }
            Outcome::Declined { why, message } => self.declined(hash, why, message)?,
            Outcome::NotKept => {
                // Either end may be at fault; if it is this one, the file fails verification.
                if let Err(error) = sending.file.verify() {
                    return self.cannot_read(hash, error, course);
                }
                let message = "the server does not come to hold what is sent to it";
                self.declined(hash, Refusal::Other, message.to_owned())?;
            }
        }
        (self.told)(self.tally.progress);
        Ok(Turn::Over)
    }

    fn declined(&mut self, hash: ContentHash, why: Refusal, message: String) -> Result<(), StoreError> {
        self.tally.report.photos.declined += 1;
        self.client.note_declined(hash, why, message)
    }

    /// Records a damaged picture, and skips one that cannot be read at the moment, such as while the phone is locked.
    fn cannot_read(
        &mut self,
        hash: ContentHash,
        error: PhotoFileError,
        course: &mut Course,
    ) -> Result<Turn, SyncError> {
        tracing::warn!(%error, "a picture cannot be sent");
        if error.is_final() {
            self.client.store.note_picture(hash, PictureState::Damaged)?;
            self.tally.report.photos.damaged += 1;
        } else {
            course.unreadable.get_or_insert(error);
        }
        Ok(Turn::Over)
    }

    /// Lets the others go first next time, after a picture that ended the session although the network works. It must
    /// not end every sync before their turn.
    fn note_broken(&self, hash: ContentHash, error: &SyncError) -> Result<(), StoreError> {
        match error {
            SyncError::Session(SessionError::Refused(Refused { why, message })) => {
                self.client.note_declined(hash, *why, message.clone())
            }
            SyncError::Connection { trouble: ConnectionTrouble::Passing, .. } => Ok(()),
            SyncError::Session(_) | SyncError::Frame(_) | SyncError::Connection { .. } => {
                self.client.note_declined(hash, Refusal::Other, error.to_string())
            }
            _ => Ok(()),
        }
    }
}

impl Client {
    /// The pictures to offer now, in the order in which they were attached.
    pub(super) fn due_pictures(&self, passed: &BTreeSet<ContentHash>) -> Vec<(ContentHash, u64)> {
        let now_ms = (self.clocks)().now_ms;
        let mut due = Vec::new();
        self.store.each_picture(|hash, picture, ref_state| {
            if is_due(picture, ref_state, now_ms) && !passed.contains(&hash) {
                due.push((picture.order, hash, picture.bytes));
            }
        });
        due.sort_unstable();
        due.into_iter().map(|(_, hash, bytes)| (hash, bytes)).collect()
    }

    /// The pictures that a sync will send automatically: their number, their bytes, and when the oldest was attached.
    pub(super) fn pictures_to_be_sent(&self) -> (u64, u64, Option<i64>) {
        let (mut pictures, mut bytes, mut oldest_ms) = (0, 0, None::<i64>);
        self.store.each_picture(|_, picture, ref_state| {
            if is_to_be_sent(picture, ref_state) {
                pictures += 1;
                bytes += picture.bytes;
                let at_ms = picture.attached_at_ms;
                oldest_ms = Some(oldest_ms.map_or(at_ms, |oldest_ms| oldest_ms.min(at_ms)));
            }
        });
        (pictures, bytes, oldest_ms)
    }

    /// The number of pictures that no sync will send automatically although the server does not have them and their
    /// records are merged or unsent.
    pub(super) fn stuck_pictures(&self) -> u64 {
        let mut stuck = 0;
        self.store.each_picture(|_, picture, ref_state| {
            let is_stuck = picture.is_unsent() && !is_to_be_sent(picture, ref_state);
            stuck += u64::from(is_stuck && ref_state != RefState::Rejected);
        });
        stuck
    }

    fn note_declined(&self, hash: ContentHash, why: Refusal, message: String) -> Result<(), StoreError> {
        let tries = match self.store.picture(hash).map(|picture| picture.state) {
            Some(PictureState::Declined(before)) => before.tries,
            _ => 0,
        };
        let at_ms = (self.clocks)().now_ms;
        let decline = Decline { why, message, tries: tries.saturating_add(1), at_ms };
        self.store.note_picture(hash, PictureState::Declined(decline))
    }
}
