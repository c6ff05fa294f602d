//! The rules that must hold: those checked on each frame, and those checked after the storm.

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
    /// Checks a payload of the server: its receipts must be durable, and its records within the device's scope.
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
                        "{device} got a receipt up to {:?}, but only {durable:?} is durable",
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
            Err(error) => self.check(false, || format!("the server sent {device} an invalid frame: {error}")),
        }
    }

    /// Checks a device's claim that the server has everything captured up to a moment. The claim is judged when it is
    /// made: what is saved later with a clock that was set back is not part of it.
    pub(super) fn check_claim(&mut self, server: &Server, device: DeviceNo, pull: &Pull, claimed_at_ms: i64) {
        let through_ms = pull.captured_through_ms;
        let Ok(Some(row)) = server.device(device) else { return };
        // A server that lost saves accepts no such claim until it has them again.
        if self.tally.restores() > 0 && row.applied_through < pull.sent_through {
            return;
        }
        if row.captured_through_ms.is_none_or(|claimed| claimed < through_ms) {
            return;
        }
        let own: Vec<_> = self.phones.iter().filter(|phone| phone.device() == Some(device)).collect();
        // Two phones with the same number share their claims until one of them has sent something.
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
        self.check(missing.is_none(), || format!("{device} counts as complete, but {missing:?} is missing"));
    }

    /// Checks all rules, once nothing is in flight.
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

    /// Returns the number of pictures at the server.
    pub(super) fn pictures(&self) -> u64 {
        let report = self.site.server().and_then(|server| server.verify().ok());
        report.map_or(0, |report| report.pictures_stored as u64)
    }

    /// Finds phones with unsent ops or a failed last sync.
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

    /// Finds acknowledged saves that are neither at the server nor in an outbox, and rejections that no phone lists.
    fn unaccounted(&self, accounts: &Accounts) -> Vec<String> {
        let mut found = Vec::new();
        // A revoked phone cannot send again what a server has lost.
        let answers = |phone: &Phone| !phone.is_revoked || self.tally.restores() == 0;
        for (n, phone) in self.phones.iter().enumerate().filter(|(_, phone)| answers(phone)) {
            let rejected_ops = phone.rejected_ops();
            let answers_for = |saved: &&Saved| saved.is_acknowledged && !saved.is_taken_back;
            for saved in phone.ledger.iter().filter(answers_for) {
                let at = (saved.op.stamp.device, saved.op.seq);
                let is_seen = || rejected_ops.contains(&at) || phone.resent.contains(&at);
                let what = match accounts.fate(&saved.op) {
                    // A revoked phone gets no more receipts, whatever the server holds under its number.
                    _ if phone.waits(saved) => continue,
                    Fate::Merged => continue,
                    Fate::Rejected if is_seen() => continue,
                    Fate::Rejected => "was rejected, and no phone lists it",
                    Fate::Unknown => "is lost",
                };
                found.push(format!("save {at:?} of phone {n} ({:?}) {what}", saved.op.record));
            }
        }
        found
    }

    /// Finds pictures that wait or are given up, and records at the server without their picture.
    fn missing_pictures(&self, missing: usize) -> Vec<String> {
        let mut found = Vec::new();
        for (n, phone) in self.phones.iter().enumerate().filter(|(_, phone)| !phone.is_revoked) {
            let status = phone.client.as_ref().and_then(|client| client.status().ok());
            let left = status.map(|status| (status.unsent_photos, status.stuck_photos));
            if left != Some((0, 0)) {
                found.push(format!("pictures of phone {n} wait or are stuck: {left:?}"));
            }
        }
        // A revoked or restored phone may have had the only copy of a picture. And if the server's backup was made
        // between the arrival of a record and of its picture, nobody knows that the picture is missing.
        let are_all_there =
            |phone: &Phone| !phone.is_revoked && phone.ledger.iter().all(|saved| !saved.is_taken_back);
        let is_restored = self.tally.restores() > 0;
        if missing > 0 && !is_restored && self.phones.iter().all(are_all_there) {
            found.push(format!("{missing} pictures that records name never came"));
        }
        found
    }

    /// Finds records that differ from the merge of all accepted saves.
    fn differing_from_model(
        &self,
        reader: &Reader<'_>,
        accounts: &Accounts,
    ) -> Result<Vec<String>, StoreError> {
        let mut model: BTreeMap<RecordKey, Record> = BTreeMap::new();
        // The number of a phone that was revoked before it could send lost saves again may belong to another phone now.
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
                // Others may have written later: headquarters, or a save that a restored backup no longer has.
                let is_right = stands.is_some_and(|register| {
                    register.stamp > field.register.stamp || *register == field.register
                });
                if !is_right {
                    found.push(format!(
                        "{key:?} {:?}: {:?} was merged, but the server holds {stands:?}",
                        field.at, field.register
                    ));
                }
            }
        }
        Ok(found)
    }

    /// Finds values at the server that come from no merged save.
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
            found.extend(
                invented.map(|field| format!("{:?} has {field:?}, which no merged save wrote", record.key)),
            );
        }
        Ok(found)
    }

    /// Finds phones that differ from the server within their scope, or that hold anything outside it.
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

/// What became of a save at the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Merged,
    Rejected,
    /// The server does not have it.
    Unknown,
}

/// What the server knows about all saves.
struct Accounts {
    applied: BTreeMap<DeviceNo, OpSeq>,
    rejected: BTreeSet<(DeviceNo, OpSeq)>,
    restamped: BTreeMap<(DeviceNo, OpSeq), Hlc>,
    /// The clocks of the ops that phones still keep after sending them. A restored server gets these ops again with the
    /// clocks that it once assigned, and has no record of that.
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
