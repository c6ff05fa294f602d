//! The server's commands: `serve`, and the provisioning before it.

use std::process::{Command, Stdio};

use xundian_client::Client;
use xundian_server::sessions;

use super::PeerError;
use super::contract::{folder, number, ready, shared};
use super::device::{PULLER, VIEWER, recorder};
use super::field::{DEVICES, HEADQUARTERS, MANAGER, company, rep};
use crate::company::person_id;
use crate::serving::Serving;

/// Provisions the server and the devices. This command is ours and not part of the harness's contract.
pub(super) const COMMAND: &str = "provision";

/// Provisions in a separate process, then serves until SIGTERM.
pub(super) async fn serve() -> Result<(), PeerError> {
    let mut provision = Command::new(std::env::current_exe()?);
    let provision = provision.arg(COMMAND).stdin(Stdio::null()).stdout(Stdio::null());
    let status = tokio::task::block_in_place(|| provision.status())?;
    if !status.success() {
        return Err(PeerError::Wrong(format!("provisioning failed: {status}")));
    }
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let serving = start().await?;
    ready()?;
    terminated.recv().await;
    serving.stop().await;
    Ok(())
}

/// Writes the company, enrols every device, and syncs each recording device once.
pub(super) async fn provision() -> Result<(), PeerError> {
    let serving = start().await?;
    serving.server().write(company().into_drafts(), "lab", sessions::now_ms())?;
    let shared = shared()?;
    for device in 0..DEVICES {
        let invitation = serving.invitation(person_id(&rep(device)))?;
        let client = Client::enrol(&shared.join(recorder(device)), &invitation, "recorder").await?;
        client.sync(|_| {}).await?;
    }
    for (folder, person) in [(PULLER, MANAGER), (VIEWER, HEADQUARTERS)] {
        let invitation = serving.invitation(person_id(person))?;
        Client::enrol(&shared.join(folder), &invitation, folder).await?;
    }
    serving.stop().await;
    Ok(())
}

async fn start() -> Result<Serving, PeerError> {
    Ok(Serving::start(&folder()?, number("LAB_PORT")?).await?)
}
