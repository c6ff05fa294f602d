//! Uploads of pictures, over real QUIC.

mod kill;
mod s3;
mod upload;

use std::net::SocketAddr;

use xundian_protocol::ids::{ContentHash, RecordId};
use xundian_protocol::kinds::{MediaType, Photo, PhotoSource, PhotoSubject};
use xundian_protocol::record::Home;
use xundian_protocol::sync::upload::{Outcome, Step, Upload};
use xundian_protocol::wire::v1::{ClientFrame, ServerFrame};
use xundian_tests::support::company::outlet;
use xundian_tests::support::device::Device;

use crate::raw::{Credentials, RawDevice, Received, Wire};

/// Returns bytes that differ by position and by `n`.
fn picture(n: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at / 251 + at * 7) as u8 ^ n).collect()
}

fn photo(picture: &[u8]) -> Photo {
    Photo {
        subject: Some(PhotoSubject::Shelf),
        content_hash: Some(ContentHash::of(picture)),
        size_bytes: i64::try_from(picture.len()).ok(),
        media_type: Some(MediaType::Jpeg),
        source: Some(PhotoSource::InApp),
        ..Photo::default()
    }
}

/// Pushes records that name pictures, as the device's person, in one of their outlets.
async fn name(device: &Device, server: SocketAddr, code: &str, pictures: &[&[u8]]) {
    let mut raw = RawDevice::of(device, server).await;
    let at_ms = device.clock.read_ms() - 60_000;
    let op = |(picture, nth): (&&[u8], u8)| {
        let id = RecordId::v7(at_ms.unsigned_abs(), [nth; 10]);
        raw.op(&photo(picture), id, Home::Outlet(outlet(code)), at_ms, None)
    };
    let ops = pictures.iter().zip(1u8..).map(op).collect();
    let receipt = raw.push(ops).await;
    assert!(receipt.rejections.is_empty(), "{:?}", receipt.rejections);
}

/// The result of an upload.
#[derive(Debug)]
struct Sent {
    /// The number of bytes of the picture that were sent.
    bytes: u64,
    /// The outcome; `None` if the connection was cut.
    outcome: Option<Outcome>,
}

/// Offers a picture and sends what the server lacks, up to `pieces_max` pieces. `read` returns bytes of the picture by
/// offset and length.
async fn send(
    wire: &mut Wire,
    of: &[u8],
    pieces_max: usize,
    mut read: impl FnMut(usize, usize) -> Vec<u8>,
) -> Sent {
    let mut upload = Upload::new(ContentHash::of(of), of.len() as u64);
    let (mut bytes, mut pieces) = (0, 0);
    let place = |place: u64| usize::try_from(place).expect("a place in memory");
    loop {
        match upload.poll() {
            Step::Send(frame) => {
                if let ClientFrame::Piece(piece) = &frame {
                    if pieces == pieces_max {
                        return Sent { bytes, outcome: None };
                    }
                    pieces += 1;
                    bytes += piece.bytes.len() as u64;
                }
                wire.send(&frame).await;
            }
            Step::HashFront(held) => upload.front(ContentHash::of(&of[..place(held)])),
            Step::Read { from, bytes } => upload.piece(read(place(from), bytes)),
            Step::Done(outcome) => return Sent { bytes, outcome: Some(outcome) },
            Step::Wait => match wire.hear().await {
                Received::Frame(frame) => upload.handle(*frame).expect("an answer to a picture"),
                Received::End(_) => return Sent { bytes, outcome: None },
            },
        }
    }
}

/// Sends a whole picture over a new connection.
async fn send_all(device: &Device, server: SocketAddr, picture: &[u8]) -> Sent {
    let mut wire = Wire::open(&Credentials::of(device.folder()), server).await.expect("a good certificate");
    send(&mut wire, picture, usize::MAX, |from, bytes| picture[from..from + bytes].to_vec()).await
}

/// Sends one frame and returns the answer.
async fn ask(wire: &mut Wire, frame: ClientFrame) -> ServerFrame {
    wire.send(&frame).await;
    match wire.hear().await {
        Received::Frame(frame) => *frame,
        Received::End(words) => panic!("an answer was due, and the session ended: {words}"),
    }
}
