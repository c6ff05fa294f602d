//! Devices: invitations, enrolment, certificates, revocation.

use crate::authority::{AuthorityError, DeviceCertificate, device_certificate};
use crate::server::Server;
use crate::server::audit;
use crate::store::{Changes, Device, InvitationEntry, StoreError};
use rand::RngCore;
use xundian_protocol::ids::{DeviceNo, OpSeq, PersonId};
use xundian_protocol::wire::v1::{Enrol, Granted};

/// How long a device's certificate is valid.
pub const CERTIFICATE_VALID_MS: i64 = 365 * 24 * 3_600_000;
/// How long before its end a device gets the next certificate with a sync. A device that syncs once in four months
/// keeps a valid one.
pub const CERTIFICATE_RENEWED_BEFORE_MS: i64 = 120 * 24 * 3_600_000;
/// Devices' clocks may be behind, so certificates begin a little earlier.
const CERTIFICATE_BACKDATED_MS: i64 = 24 * 3_600_000;

/// Why no invitation was created.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// There is no person with this id.
    #[error("nobody with the id {0} works here: import people first, and check the status")]
    NoSuchPerson(PersonId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a device was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There is no such device.
    #[error("there is no device {0}; `devices` lists them")]
    NoSuchDevice(DeviceNo),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a device was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No invitation has this secret.
    #[error("this invitation is not known here: check its text, or ask for a new one")]
    UnknownInvitation,
    /// Another device used it.
    #[error("this invitation was used already: each is good for one device, ask for a new one")]
    UsedInvitation,
    /// It has expired.
    #[error("this invitation has expired: ask for a new one")]
    ExpiredInvitation,
    /// The key is that of another person's device.
    #[error(
        "this folder is a device of another person: enrol in a folder of your own, the invitation is still good"
    )]
    OtherPerson,
    /// The certificate request is invalid.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person types or scans to enrol a device, without the server's address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewInvitation {
    /// The fingerprint of the server's authority.
    pub authority_fingerprint: [u8; 32],
    /// The secret.
    pub secret: [u8; 16],
}

fn secret_hash(secret: &[u8; 16]) -> [u8; 32] {
    *blake3::hash(secret).as_bytes()
}

impl Server {
    /// Creates an invitation for one device of a person, valid for `valid_ms`. `by` is the administrator.
    pub fn invite(
        &self,
        person: PersonId,
        valid_ms: i64,
        by: &str,
        now_ms: i64,
    ) -> Result<NewInvitation, InviteError> {
        if self.directory().person(person).is_none_or(|entry| !entry.active) {
            return Err(InviteError::NoSuchPerson(person));
        }
        let mut secret = [0; 16];
        rand::rng().fill_bytes(&mut secret);
        let invitation = InvitationEntry {
            secret_hash: secret_hash(&secret),
            person,
            expires_at_ms: now_ms.saturating_add(valid_ms),
            used_by: None,
        };
        let audit = audit(now_ms, by, format!("invited a device of {person}"));
        self.change(|_| {
            let changes = Changes { invitations: vec![invitation], audit: vec![audit], ..Default::default() };
            Ok::<_, InviteError>((changes, ()))
        })?;
        Ok(NewInvitation { authority_fingerprint: self.authority.fingerprint(), secret })
    }

    /// Enrols a device that presents an invitation. The same request again, as after a lost answer, gets the same
    /// device. With another invitation it gets a new number, and figures stop waiting for the old number until that
    /// says hello again: a copied folder runs on two phones, and neither may lock the other out.
    pub fn enrol(&self, enrol: &Enrol, now_ms: i64) -> Result<Granted, EnrolError> {
        let request_hash = *blake3::hash(&enrol.request_der).as_bytes();
        self.change(|reader| {
            let invitation = reader.invitation(&secret_hash(&enrol.secret))?;
            let invitation = invitation.ok_or(EnrolError::UnknownInvitation)?;
            if invitation.expires_at_ms < now_ms {
                return Err(EnrolError::ExpiredInvitation);
            }
            let devices = reader.devices()?;
            let no = match invitation.used_by {
                Some(no) => {
                    let same = devices.iter().any(|d| d.no == DeviceNo(no) && d.request_hash == request_hash);
                    if !same {
                        return Err(EnrolError::UsedInvitation);
                    }
                    DeviceNo(no)
                }
                None => DeviceNo(devices.last().map_or(0, |device| device.no.0) + 1),
            };
            let person = invitation.person;
            let is_same = |d: &&Device| d.request_hash == request_hash && d.no != no && d.is_waited_for();
            let replaced: Vec<Device> = devices.iter().filter(is_same).cloned().collect();
            if replaced.iter().any(|device| device.person != person) {
                return Err(EnrolError::OtherPerson);
            }
            let not_after_ms = now_ms + CERTIFICATE_VALID_MS;
            let not_before_ms = now_ms - CERTIFICATE_BACKDATED_MS;
            let certificate_der =
                self.authority.sign_device(&enrol.request_der, no.0, not_before_ms, not_after_ms)?;
            let mut changes = Changes::default();
            for device in &replaced {
                changes.devices.push(Device { replaced_by: Some(no.0), ..device.clone() });
                changes.audit.push(audit(now_ms, "enrol", format!("{} is replaced by {no}", device.no)));
            }
            if invitation.used_by.is_none() {
                let certificate = device_certificate(&certificate_der)?;
                changes.devices.push(new_device(person, enrol, request_hash, now_ms, certificate));
                changes.invitations.push(InvitationEntry { used_by: Some(no.0), ..invitation });
                changes.audit.push(audit(now_ms, "enrol", format!("enrolled {no} for {person}")));
            }
            let person_name =
                self.directory().person(person).map(|entry| entry.name.clone()).unwrap_or_default();
            let authority_der = self.authority.certificate_der().to_vec();
            let granted = Granted { device: no, certificate_der, authority_der, person, person_name };
            Ok((changes, granted))
        })
    }

    /// The next certificate of a device whose own expires soon, while its person works here and it is not revoked.
    pub(crate) fn renew(
        &self,
        shown: &DeviceCertificate,
        now_ms: i64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if shown.not_after_ms.saturating_sub(now_ms) > CERTIFICATE_RENEWED_BEFORE_MS {
            return Ok(None);
        }
        let renewed = self.authority.renew_device(shown, now_ms + CERTIFICATE_VALID_MS);
        let renewed = renewed.and_then(|der| Ok((device_certificate(&der)?.not_after_ms, der)));
        let (certificate_not_after_ms, certificate_der) = match renewed {
            // The server's clock is behind, or was ahead: the current certificate lasts longer.
            Ok((not_after_ms, _)) if not_after_ms <= shown.not_after_ms => return Ok(None),
            Ok(renewed) => renewed,
            // The device continues with its current certificate.
            Err(error) => {
                tracing::error!("no new certificate for device {}: {error}", shown.device_no);
                return Ok(None);
            }
        };
        self.change_with_directory(|reader, directory| {
            let works_here =
                |device: &Device| directory.person(device.person).is_some_and(|entry| entry.active);
            let device = reader.device(DeviceNo(shown.device_no))?;
            let device = device.filter(|device| device.revoked_at_ms.is_none() && works_here(device));
            let Some(device) = device else { return Ok((Changes::default(), None)) };
            let mut changes = Changes::default();
            // A device that did not receive the last one gets another; the audit trail says so once.
            if device.certificate_not_after_ms <= shown.not_after_ms {
                changes.audit.push(audit(
                    now_ms,
                    "renew",
                    format!("renewed the certificate of {}", device.no),
                ));
            }
            changes.devices.push(Device { certificate_not_after_ms, ..device });
            Ok::<_, StoreError>((changes, Some(certificate_der)))
        })
    }

    /// All devices, by number.
    pub fn devices(&self) -> Result<Vec<Device>, StoreError> {
        self.store.reader().devices()
    }

    /// A device.
    pub fn device(&self, no: DeviceNo) -> Result<Option<Device>, StoreError> {
        self.store.reader().device(no)
    }

    /// Revokes a device: its sessions end, and new ones are refused.
    pub fn revoke(&self, no: DeviceNo, by: &str, now_ms: i64) -> Result<(), RevokeError> {
        self.change(|reader| {
            let device = reader.device(no)?.ok_or(RevokeError::NoSuchDevice(no))?;
            let revoked_at_ms = device.revoked_at_ms.or(Some(now_ms));
            let changes = Changes {
                devices: vec![Device { revoked_at_ms, ..device }],
                audit: vec![audit(now_ms, by, format!("revoked {no}"))],
                ..Default::default()
            };
            Ok::<_, RevokeError>((changes, ()))
        })?;
        self.end_sessions_of(no);
        Ok(())
    }

    fn end_sessions_of(&self, no: DeviceNo) {
        if self.revoked.send(no).is_err() {
            tracing::debug!("no session is running that {no} could have");
        }
    }

    /// Devices, from now on, as they are revoked.
    pub(crate) fn revocations(&self) -> tokio::sync::broadcast::Receiver<DeviceNo> {
        self.revoked.subscribe()
    }

    /// Records what a device reports about itself. The commit need not be durable, because the device reports the same
    /// at its next sync: a watermark lost in a power cut makes a figure look less complete than it is, never more.
    pub(crate) fn note_device(&self, no: DeviceNo, note: impl FnOnce(&mut Device)) -> Result<(), StoreError> {
        self.change(|reader| {
            let mut changes = Changes { may_be_lost: true, ..Default::default() };
            if let Some(mut device) = reader.device(no)? {
                note(&mut device);
                changes.devices.push(device);
            }
            Ok((changes, ()))
        })
    }
}

fn new_device(
    person: PersonId,
    enrol: &Enrol,
    request_hash: [u8; 32],
    now_ms: i64,
    certificate: DeviceCertificate,
) -> Device {
    Device {
        no: DeviceNo(certificate.device_no),
        person,
        label: printable(&enrol.label),
        enrolled_at_ms: now_ms,
        certificate_not_after_ms: certificate.not_after_ms,
        request_hash,
        key_hash: Some(certificate.key_hash()),
        revoked_at_ms: None,
        replaced_by: None,
        applied_through: OpSeq(0),
        last_sync_ms: None,
        captured_through_ms: None,
        clock_offset_ms: None,
        app: String::new(),
    }
}

/// A device's own text, safe for a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}
