//! Enrolment: from an invitation to a device with a certificate.

use std::path::Path;

use xundian_protocol::ids::OpSeq;
use xundian_protocol::invitation::{Invitation, InvitationError};
use xundian_protocol::limits::{CERTIFICATE_BYTES_MAX, MESSAGE_BYTES_MAX};
use xundian_protocol::wire::DecodeError;
use xundian_protocol::wire::v1::{
    ClientFrame, Enrol, Granted, Hello, Refusal, Refused, ServerFrame, decode_server, encode_client,
};

use super::identity::{self, IdentityFileError};
use super::session_stream::SessionStream;
use super::sync::APP;
use super::sync_guard::SyncGuard;
use super::{Client, SyncError, clocks};
use crate::sealing::StoreKey;
use crate::store::{Identity, StoreError};
use crate::transport::TlsIdentity;

/// Why a device was not enrolled. Its unsent work is kept in every case.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The text is not an invitation.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// The label is too long.
    #[error("the label has {bytes} bytes, at most {MESSAGE_BYTES_MAX} are allowed: choose a shorter one")]
    Label {
        /// Its length.
        bytes: usize,
    },
    /// The folder belongs to another person's device.
    #[error(
        "this folder is the device of {owner}, and the invitation is for {invited}: choose another folder, so that nobody's work is mixed up"
    )]
    OtherPerson {
        /// The owner of the device.
        owner: String,
        /// The person that the invitation is for.
        invited: String,
    },
    /// The server refused.
    #[error("the server refused: {}", .0.message)]
    Refused(Refused),
    /// The server's answer is invalid.
    #[error("the server's answer cannot be used ({0}): report this together with the app's version")]
    Answer(String),
    /// The identity files cannot be read or written.
    #[error(transparent)]
    File(#[from] IdentityFileError),
    /// The store cannot be opened or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server cannot be reached, or the connection broke.
    #[error(transparent)]
    Connection(Box<SyncError>),
}

impl EnrolError {
    /// Whether a retry may succeed without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(error) => error.is_retryable(),
            Self::Refused(refused) => refused.why.is_retryable(),
            _ => false,
        }
    }
}

impl From<SyncError> for EnrolError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(error) => Self::Store(error),
            error => Self::Connection(Box::new(error)),
        }
    }
}

impl From<DecodeError> for EnrolError {
    fn from(error: DecodeError) -> Self {
        SyncError::from(error).into()
    }
}

impl Client {
    /// Enrols a home folder as a device. An invitation is used once, but this call may be repeated with it until it
    /// succeeds: the device's key and request are stored before the request is sent, and the server answers the same
    /// request with the same certificate. A device that is already enrolled gets a new number and certificate. Its
    /// unsent work is kept and sent under the new number.
    ///
    /// # Errors
    /// Returns an error if the invitation is invalid, the server refuses or cannot be reached, or the folder cannot be
    /// used.
    pub async fn enrol(home: &Path, invitation: &str, label: &str) -> Result<Self, EnrolError> {
        Self::enrol_at(home, None, invitation, label).await
    }

    /// Like [`Self::enrol`], for a device sealed with the host app's key, see [`Self::open_with_key`].
    ///
    /// # Errors
    /// As [`Self::enrol`], and if the key does not fit.
    pub async fn enrol_with_key(
        home: &Path,
        key: &StoreKey,
        invitation: &str,
        label: &str,
    ) -> Result<Self, EnrolError> {
        Self::enrol_at(home, Some(key), invitation, label).await
    }

    async fn enrol_at(
        home: &Path,
        key: Option<&StoreKey>,
        invitation: &str,
        label: &str,
    ) -> Result<Self, EnrolError> {
        // An invalid invitation creates no folder.
        let invitation = read(invitation, label)?;
        let client = Self::open_at(home, key, Box::new(clocks::system))?;
        client.overlay_journal(&invitation, label).await?;
        Ok(client)
    }

    /// Like [`Self::enrol`], for an open device.
    ///
    /// # Errors
    /// As [`Self::enrol`], and if a sync or a push is running.
    pub async fn enrol_here(&self, invitation: &str, label: &str) -> Result<(), EnrolError> {
        self.overlay_journal(&read(invitation, label)?, label).await
    }

    async fn overlay_journal(&self, invitation: &Invitation, label: &str) -> Result<(), EnrolError> {
        // Unsent saves get new numbers, so none of them may be in flight.
        let guard = SyncGuard::start(self)?;
        if let Err(error) = self.greet_as_before(&guard).await {
            tracing::debug!("the server says nothing to the old number: {error}");
        }
        let request_der = identity::request_der(&self.home)?;
        let enrol = Enrol { secret: invitation.secret(), request_der, label: label.to_owned() };
        let granted = ask(&guard, invitation, enrol).await?;
        self.accept(invitation, &granted)
    }

    /// Says hello under the old number before a second enrolment. The device learns what the server has lost of its
    /// saves, as after a restore from an older backup. Those saves return to the outbox.
    async fn greet_as_before(&self, guard: &SyncGuard<'_>) -> Result<(), SyncError> {
        let Some(identity) = self.identity() else { return Ok(()) };
        let tls = self.tls()?;
        let mut session_stream = SessionStream::open(guard.connect(&identity.server, &tls).await?).await?;
        let (next_seq, now_ms) = (self.store.next_seq(), (self.clocks)().now_ms);
        let hello = Hello { app: APP.to_owned(), device: identity.device, next_seq, now_ms };
        session_stream.send(&encode_client(&ClientFrame::Hello(hello))).await?;
        match decode_server(&session_stream.receive().await?)? {
            ServerFrame::Welcome(welcome) => self.recover_lost(welcome.applied_through)?,
            ServerFrame::Refused(refused) if refused.why == Refusal::UnknownDevice => {
                self.store.note_forgotten(true)?;
            }
            _ => {}
        }
        session_stream.close("greeted").await;
        Ok(())
    }

    fn recover_lost(&self, applied_through: OpSeq) -> Result<(), StoreError> {
        let has_lost = applied_through < self.store.applied_through();
        if has_lost && self.store.recover(applied_through)?.is_none() {
            tracing::warn!("the server has lost more than this device still has to send again");
        }
        Ok(())
    }

    fn accept(&self, invitation: &Invitation, granted: &Granted) -> Result<(), EnrolError> {
        if blake3::hash(&granted.authority_der) != invitation.authority_fingerprint() {
            return Err(EnrolError::Answer("its authority is not the invitation's".into()));
        }
        if granted.certificate_der.len() > CERTIFICATE_BYTES_MAX {
            return Err(EnrolError::Answer("its certificate is too large".into()));
        }
        if let Some(owner) = self.identity().filter(|owner| owner.person != granted.person) {
            let invited = granted.person_name.clone();
            return Err(EnrolError::OtherPerson { owner: owner.person_name, invited });
        }
        // If a crash prevents the last of these writes, the server does not admit the device. Enrolling with the same
        // invitation again completes it.
        identity::keep(&self.home, &granted.certificate_der, &granted.authority_der)?;
        self.store.set_identity(&Identity {
            device: granted.device,
            person: granted.person,
            person_name: granted.person_name.clone(),
            server: invitation.address().to_owned(),
        })?;
        // The next connection presents the new certificate.
        self.forget_tls();
        Ok(())
    }
}

fn read(invitation: &str, label: &str) -> Result<Invitation, EnrolError> {
    let invitation = invitation.parse()?;
    if label.len() > MESSAGE_BYTES_MAX {
        return Err(EnrolError::Label { bytes: label.len() });
    }
    Ok(invitation)
}

async fn ask(guard: &SyncGuard<'_>, invitation: &Invitation, enrol: Enrol) -> Result<Granted, EnrolError> {
    let tls =
        TlsIdentity::for_enrolment(invitation.authority_fingerprint()).map_err(IdentityFileError::from)?;
    let mut session_stream = SessionStream::open(guard.connect(invitation.address(), &tls).await?).await?;
    session_stream.send(&encode_client(&ClientFrame::Enrol(enrol))).await?;
    let answer = decode_server(&session_stream.receive().await?)?;
    session_stream.close("enrolled").await;
    match answer {
        ServerFrame::Granted(granted) => Ok(granted),
        ServerFrame::Refused(refused) => Err(EnrolError::Refused(refused)),
        _ => Err(EnrolError::Refused(Refused {
            why: Refusal::Protocol,
            message: "it answered with something else than a certificate".into(),
        })),
    }
}
