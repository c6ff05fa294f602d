//! What must hold: while frames are sent, and after the storm.

use std::collections::{BTreeMap, BTreeSet};

use xundian_protocol::calendar::Day;
use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::{DeviceNo, FeedSeq, OpSeq, PersonId};
use xundian_protocol::kinds;
use xundian_protocol::record::{Home, Op, Record, RecordKey};
use xundian_protocol::wire::v1::{Pull, ServerFrame, decode_server};
use xundian_server::Server;
use xundian_server::store::{Device, Reader, StoreError, Table};

use super::phone::{Phone, Saved};
use super::world::World;

impl World {
    /// Looks at what the server sends: its receipts are true, and nothing in it is outside the scope.
    pub(super) fn look_at(
        &mut self,
        server: &Server,
        (person, device): (PersonId, DeviceNo),
        pulled: &BTreeSet<Home>,
        payload: &[u8],
    ) {
        match decode_server(payload) {
            Ok(ServerFrame::Receipt { receipt, .. }) => {
                let row = self.site.disk.durable(Table::Devices, &device.0.to_be_bytes());
                let row = row.and_then(|row| serde_json::from_slice::<Device>(&row).ok());
                let durable = row.map_or(OpSeq(0), |row| row.applied_through);
                self.check(durable >= receipt.through, || {
                    format!(
                        "{device} was told that its saves to {:?} are safe, and those to {durable:?} are",
                        receipt.through
                    )
                });
            }
            Ok(ServerFrame::Changes(changes)) => {
                let today = Day::in_default_zone(self.site.now_ms());
                let directory = server.directory();
                let outside = changes.records.iter().find(|record| {
                    !pulled.contains(&record.home) && !directory.sees(person, record.home, today)
                });
                let outside = outside.map(|record| (record.key, record.home));
                self.check(outside.is_none(), || {
                    format!("{device} was sent what is outside its scope: {outside:?}")
                });
            }
            Ok(_) => {}
            Err(error) => self.check(false, || format!("the server sent {device} no frame: {error}")),
        }
    }

    /// A claim that everything captured up to a moment has come is true when it is made. What is saved later with a clock
    /// that was set back is no part of it.
    pub(super) fn check_claim(&mut self, server: &Server, device: DeviceNo, pull: &Pull, claimed_at_ms: i64) {
        let through_ms = pull.captured_through_ms;
        let Ok(Some(row)) = server.device(device) else { return };
        // A server that has lost saves takes no such claim before it has them again.
        if self.tally.restores() > 0 && row.applied_through < pull.sent_through {
            return;
        }
        if row.captured_through_ms.is_none_or(|claimed| claimed < through_ms) {
            return;
        }
        let own: Vec<_> = self.phones.iter().filter(|phone| phone.device() == Some(device)).collect();
        // Two phones that share a number speak for each other until one of them has sent something.
        let [own] = own[..] else { return };
        let missing = own.ledger.iter().find(|saved| {
            saved.is_acknowledged
                && !saved.is_taken_back
                && saved.op.stamp.device == device
                && saved.clock_ms < through_ms
                && saved.at_ms <= claimed_at_ms
                && saved.op.seq > row.applied_through
        });
        let missing = missing.map(|saved| saved.op.seq);
        self.check(missing.is_none(), || {
            format!("{device} is called complete, and {missing:?} has not come")
        });
    }

    /// Everything, once nothing is on its way any more.
    pub(super) fn check_all(&mut self) {
        let Some(server) = self.site.server() else {
            return self.check(false, || "the server does not run".into());
        };
        let found = self.find(&server);
        match found {
            Ok(found) => self.violations.extend(found),
            Err(error) => self.check(false, || format!("the server cannot be read: {error}")),
        }
    }

    fn find(&self, server: &Server) -> Result<Vec<String>, StoreError> {
        let mut found = self.wedged();
        let report = self.site.release.run(|| server.verify())?;
        found.extend(report.findings.iter().map(|finding| format!("figures: {finding}")));
        let reader = server.reader();
        let accounts = self.accounts(&reader)?;
        found.extend(self.unaccounted(&accounts));
        found.extend(self.missing_pictures(report.pictures_missing));
        found.extend(self.differing_from_model(&reader, &accounts)?);
        found.extend(self.invented(&reader, &accounts)?);
        found.extend(self.differing_replicas(server, &reader)?);
        Ok(found)
    }

    /// How many pictures the server has.
    pub(super) fn pictures(&self) -> u64 {
        let report = self.site.server().and_then(|server| server.verify().ok());
        report.map_or(0, |report| report.pictures_stored as u64)
    }

    /// Phones whose queues do not drain.
    fn wedged(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (n, phone) in self.phones.iter().enumerate().filter(|(_, phone)| !phone.is_revoked) {
            let unsent = phone.client.as_ref().and_then(|client| client.unsent_from(OpSeq(1)).ok());
            match unsent {
                Some(unsent) if unsent.is_empty() && phone.last_end.is_none() => {}
                unsent => found.push(format!(
                    "phone {n} is wedged: {:?} wait, its last sync ended with {:?}",
                    unsent.map(|unsent| unsent.len()),
                    phone.last_end
                )),
            }
        }
        found
    }

    /// Acknowledged saves that are neither at the server nor in an outbox, and rejected ones that no tray has.
    fn unaccounted(&self, accounts: &Accounts) -> Vec<String> {
        let mut found = Vec::new();
        // Who is revoked cannot send again what a server has lost.
        let answers = |phone: &Phone| !phone.is_revoked || self.tally.restores() == 0;
        for (n, phone) in self.phones.iter().enumerate().filter(|(_, phone)| answers(phone)) {
            let tray = phone.tray();
            let answers_for = |saved: &&Saved| saved.is_acknowledged && !saved.is_taken_back;
            for saved in phone.ledger.iter().filter(answers_for) {
                let at = (saved.op.stamp.device, saved.op.seq);
                let is_seen = || tray.contains(&at) || phone.resent.contains(&at);
                let what = match accounts.fate(&saved.op) {
                    // Who is revoked is told nothing any more, of whatever the server knows under the number.
                    _ if phone.waits(saved) => continue,
                    Fate::Merged => continue,
                    Fate::Rejected if is_seen() => continue,
                    Fate::Rejected => "was rejected and is in no tray",
                    Fate::Unknown => "is lost",
                };
                found.push(format!("save {at:?} of phone {n} ({:?}) {what}", saved.op.record));
            }
        }
        found
    }

    /// Pictures that wait or are given up, and records at the server without their picture.
    fn missing_pictures(&self, missing: usize) -> Vec<String> {
        let mut found = Vec::new();
        for (n, phone) in self.phones.iter().enumerate().filter(|(_, phone)| !phone.is_revoked) {
            let status = phone.client.as_ref().and_then(|client| client.status().ok());
            let left = status.map(|status| (status.unsent_photos, status.stuck_photos));
            if left != Some((0, 0)) {
                found.push(format!("pictures of phone {n} wait or are stuck: {left:?}"));
            }
        }
        // Who was revoked, or got back an older folder, may have had the only copy of one. And of a server that was backed
        // up after a record came and before its picture did, nobody knows that it lacks the picture.
        let are_all_there =
            |phone: &Phone| !phone.is_revoked && phone.ledger.iter().all(|saved| !saved.is_taken_back);
        let is_restored = self.tally.restores() > 0;
        if missing > 0 && !is_restored && self.phones.iter().all(are_all_there) {
            found.push(format!("{missing} pictures that records name never came"));
        }
        found
    }

    /// Records that are not what the merged saves make of them.
    fn differing_from_model(
        &self,
        reader: &Reader<'_>,
        accounts: &Accounts,
    ) -> Result<Vec<String>, StoreError> {
        let mut model: BTreeMap<RecordKey, Record> = BTreeMap::new();
        // The number of who was revoked before sending again what a server has lost may be another phone's.
        let answers = |phone: &&Phone| !phone.is_revoked || self.tally.restores() == 0;
        for phone in self.phones.iter().filter(answers) {
            let is_merged = |saved: &&Saved| {
                !saved.is_taken_back && accounts.fate(&saved.op) == Fate::Merged && !phone.waits(saved)
            };
            for saved in phone.ledger.iter().filter(is_merged) {
                let op = accounts.stamped(saved.op.clone());
                model.entry(op.record).or_insert_with(|| Record::empty(op.record, op.home)).apply(&op);
            }
        }
        let mut found = Vec::new();
        for (key, expected) in model {
            let Some(stored) = reader.record(key)? else {
                found.push(format!("{key:?} is not there, though saves of it were merged"));
                continue;
            };
            for field in expected.fields() {
                let stands = stored.record.register(&field.at);
                // Others may have written later: headquarters, or a save that a backup took back.
                let is_right = stands.is_some_and(|register| {
                    register.stamp > field.register.stamp || *register == field.register
                });
                if !is_right {
                    found.push(format!(
                        "{key:?} {:?}: {:?} was merged, {stands:?} stands",
                        field.at, field.register
                    ));
                }
            }
        }
        Ok(found)
    }

    /// Values at the server that no merged save has written: those of rejected ones, or of none.
    fn invented(&self, reader: &Reader<'_>, accounts: &Accounts) -> Result<Vec<String>, StoreError> {
        let merged = |saved: &&Saved| accounts.fate(&saved.op) == Fate::Merged;
        let saves = self.phones.iter().flat_map(|phone| &phone.ledger).filter(merged);
        let stamps: BTreeSet<_> = saves.map(|saved| accounts.stamped(saved.op.clone()).stamp).collect();
        let mut found = Vec::new();
        for stored in reader.records(None) {
            let record = stored?.record;
            let fields = record.fields().iter();
            let ours = fields.filter(|field| field.register.stamp.device != DeviceNo::SERVER);
            let invented = ours.filter(|field| !stamps.contains(&field.register.stamp));
            found.extend(invented.map(|field| format!("{:?} has {field:?} of no merged save", record.key)));
        }
        Ok(found)
    }

    /// Phones that hold something else than the server does in a home of their scope, or anything outside it.
    fn differing_replicas(&self, server: &Server, reader: &Reader<'_>) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        let today = Day::in_default_zone(self.site.now_ms());
        for (n, phone) in self.phones.iter().enumerate().filter(|(_, phone)| !phone.is_revoked) {
            let Some(client) = &phone.client else { continue };
            let scope: BTreeSet<Home> = server.directory().scope(phone.person, today).into_iter().collect();
            let mut held: BTreeMap<RecordKey, Record> = BTreeMap::new();
            for home in client.homes() {
                let lines = client.list_home(home, None).unwrap_or_default();
                held.extend(lines.into_iter().map(|line| (line.record.key, line.record)));
            }
            let all = kinds::ALL.iter().flat_map(|kind| client.list(kind.kind, None).unwrap_or_default());
            if let Some(outside) = all.map(|line| line.record).find(|record| !scope.contains(&record.home)) {
                found.push(format!("phone {n} holds {:?} outside its scope", outside.key));
            }
            for home in scope {
                for (key, _) in reader.feed(home, FeedSeq(0))? {
                    let stored = reader.record(key)?.map(|stored| stored.record);
                    let held = held.remove(&key);
                    if stored != held {
                        found.push(format!("phone {n} holds {held:?}, the server {stored:?}"));
                    }
                }
            }
            found.extend(held.keys().map(|key| format!("phone {n} holds {key:?}, the server does not")));
        }
        Ok(found)
    }
}

/// What became of a save.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Merged,
    Rejected,
    /// The server does not have it.
    Unknown,
}

/// What the server knows of every device's saves.
struct Accounts {
    applied: BTreeMap<DeviceNo, OpSeq>,
    rejected: BTreeSet<(DeviceNo, OpSeq)>,
    restamped: BTreeMap<(DeviceNo, OpSeq), Hlc>,
    /// The moments of what phones keep. A server that was restored gets a save again with the moment that it once gave
    /// it, and knows of no other.
    sent: BTreeMap<(DeviceNo, OpSeq, RecordKey), Hlc>,
}

impl World {
    fn accounts(&self, reader: &Reader<'_>) -> Result<Accounts, StoreError> {
        let devices = reader.devices()?;
        let mut restamped = BTreeMap::new();
        for device in &devices {
            let found = reader.restamped_of(device.no, OpSeq(0), OpSeq(u64::MAX))?;
            restamped.extend(found.into_iter().map(|(seq, moment)| ((device.no, seq), moment)));
        }
        let sent = self.phones.iter().flat_map(Phone::sent);
        Ok(Accounts {
            applied: devices.iter().map(|device| (device.no, device.applied_through)).collect(),
            rejected: reader.rejected()?.iter().map(|rejected| (rejected.device, rejected.seq)).collect(),
            restamped,
            sent: sent.map(|op| ((op.stamp.device, op.seq, op.record), op.stamp.hlc)).collect(),
        })
    }
}

impl Accounts {
    fn fate(&self, op: &Op) -> Fate {
        let at = (op.stamp.device, op.seq);
        if self.applied.get(&at.0).is_none_or(|applied| *applied < at.1) {
            Fate::Unknown
        } else if self.rejected.contains(&at) {
            Fate::Rejected
        } else {
            Fate::Merged
        }
    }

    fn stamped(&self, mut op: Op) -> Op {
        let (device, seq) = (op.stamp.device, op.seq);
        let sent = || self.sent.get(&(device, seq, op.record));
        if let Some(moment) = self.restamped.get(&(device, seq)).or_else(sent) {
            op.stamp.hlc = *moment;
        }
        op
    }
}
