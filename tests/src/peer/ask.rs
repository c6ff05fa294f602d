//! The `view` command: queries figures from the server as a device of headquarters, over QUIC with mutual TLS.
//!
//! The client core has no figure queries yet, so this module makes its own connection with the device's identity files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::CipherSuite;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xundian_protocol::figures::{MeasureFamily, ProductFigures, Subject};
use xundian_protocol::limits::FRAME_BYTES_MAX;
use xundian_protocol::wire::framing::{FrameReader, frame_prefix};
use xundian_protocol::wire::v1::{
    ALPN, ClientFrame, FigureRequest, FigureResponse, ServerFrame, decode_server, encode_client,
};

use super::PeerError;
use super::contract::{done, env, number, ready_go, say};
use super::device::{VIEWER, take_over};
use super::field::{LAB_DAY, regions};

/// The name in the certificate of every server.
const SERVER_NAME: &str = "xundian.server";
const CHUNK_BYTES: usize = 64 * 1024;

/// Queries the product figures of each region for the lab's day.
pub(super) async fn view() -> Result<(), PeerError> {
    let config = tls(&take_over(VIEWER)?)?;
    let server = ([127, 0, 0, 1], number("LAB_PORT")?).into();
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into())?;
    ready_go()?;
    let connection =
        endpoint.connect_with(config, server, SERVER_NAME).map_err(asking)?.await.map_err(asking)?;
    let answer =
        ask(&connection, FigureRequest { family: MeasureFamily::Products, from: LAB_DAY, to: LAB_DAY })
            .await?;
    done()?;
    connection.close(0u32.into(), b"answered");
    let regions = regions();
    let mut text = String::new();
    for (subject, gtin, measures) in &answer.rows {
        let region = match subject {
            Subject::Unit(Some(unit)) => regions.get(unit),
            _ => None,
        };
        let region = region.ok_or_else(|| PeerError::Wrong(format!("figures of {subject:?}")))?;
        let ProductFigures { audited, absent, counted_units, .. } = (*measures).into();
        text.push_str(&format!("[{region},\"{gtin:013}\",{audited},{absent},{counted_units}]\n"));
    }
    fs::write(env("LAB_OUT")?, text)?;
    say(&format!("{{\"rows\":{}}}", answer.rows.len()))
}

async fn ask(connection: &quinn::Connection, ask: FigureRequest) -> Result<FigureResponse, PeerError> {
    let (mut send, mut receive) = connection.open_bi().await.map_err(asking)?;
    let payload = encode_client(&ClientFrame::FigureRequest(ask));
    send.write_all(&frame_prefix(&payload).map_err(asking)?).await.map_err(asking)?;
    send.write_all(&payload).await.map_err(asking)?;
    let mut reader = FrameReader::new(FRAME_BYTES_MAX);
    loop {
        if let Some(payload) = reader.next().map_err(asking)? {
            return match decode_server(&payload).map_err(asking)? {
                ServerFrame::FigureResponse(answer) => Ok(answer),
                other => Err(PeerError::FigureRequest(format!("answered {other:?}"))),
            };
        }
        let chunk = receive.read_chunk(CHUNK_BYTES, true).await.map_err(asking)?;
        let chunk = chunk.ok_or_else(|| PeerError::FigureRequest("the server ended the stream".into()))?;
        reader.push(&chunk.bytes);
    }
}

/// Builds the TLS configuration from the identity files that the enrolment saved.
fn tls(home: &Path) -> Result<quinn::ClientConfig, PeerError> {
    let read = |name: &str| {
        let path = home.join(name);
        fs::read(&path).map_err(|source| PeerError::File { path, source })
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(read("authority.crt")?)).map_err(asking)?;
    let key = PrivateKeyDer::from_pem_slice(&read("device.key")?).map_err(asking)?;
    let certificate = CertificateDer::from(read("device.crt")?);
    let mut provider = rustls::crypto::ring::default_provider();
    // The client core prefers the same cipher suite.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let provider = Arc::new(provider);
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(asking)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .map_err(asking)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = quinn::crypto::rustls::QuicClientConfig::try_from(config).map_err(asking)?;
    Ok(quinn::ClientConfig::new(Arc::new(config)))
}

fn asking(error: impl std::fmt::Display) -> PeerError {
    PeerError::FigureRequest(error.to_string())
}
