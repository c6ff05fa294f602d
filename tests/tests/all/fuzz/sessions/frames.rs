//! Arriving frames: most as they were sent, others with changed numbers, with corrupted bytes, or from elsewhere.

use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::{FeedSeq, OpSeq};
use xundian_protocol::wire::v1::{
    ClientFrame, Refusal, Rejection, ServerFrame, decode_client, decode_server, encode_client, encode_server,
};

use super::super::decoders::fixtures;
use super::super::random::{Random, mutated};
use super::device::homes;

/// How often bytes are corrupted until the result is a valid frame.
const TRIES: usize = 6;

/// The golden frames of both ends.
pub(super) struct Pool {
    client: Vec<Vec<u8>>,
    server: Vec<Vec<u8>>,
}

impl Pool {
    pub(super) fn golden() -> Self {
        Self { client: fixtures("wire_v1.hex", "client."), server: fixtures("wire_v1.hex", "server.") }
    }

    /// Returns a frame of a device, derived from `sent` or else from any golden frame.
    pub(super) fn client(&self, sent: Option<Vec<u8>>, random: &mut Random) -> Option<ClientFrame> {
        let payload = broken(sent, &self.client, random, |payload| decode_client(payload).is_ok());
        let frame = decode_client(&payload).ok()?;
        let frame = if random.below(6) == 0 { twisted_client(frame, random) } else { frame };
        decode_client(&encode_client(&frame)).ok()
    }

    /// Returns a frame of a server, derived from `sent` or else from any golden frame.
    pub(super) fn server(&self, sent: Option<Vec<u8>>, random: &mut Random) -> Option<ServerFrame> {
        let payload = broken(sent, &self.server, random, |payload| decode_server(payload).is_ok());
        let frame = decode_server(&payload).ok()?;
        let frame = if random.below(6) == 0 { twisted_server(frame, random) } else { frame };
        decode_server(&encode_server(&frame)).ok()
    }
}

fn broken(
    sent: Option<Vec<u8>>,
    golden: &[Vec<u8>],
    random: &mut Random,
    is_frame: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let seeds = match &sent {
        Some(payload) => std::slice::from_ref(payload),
        None => golden,
    };
    let whole = || sent.clone().unwrap_or_default();
    if sent.is_some() && random.below(6) != 0 {
        return whole();
    }
    (0..TRIES).map(|_| mutated(seeds, random)).find(|payload| is_frame(payload)).unwrap_or_else(whole)
}

/// Returns a number that may be confused with this one.
fn near(number: u64, random: &mut Random) -> u64 {
    match random.below(8) {
        0 => 0,
        1 => u64::MAX,
        2 => number.wrapping_sub(1),
        3 => number.wrapping_add(1),
        4 => number.wrapping_sub(random.below(5) as u64),
        5 => number.wrapping_add(random.below(5) as u64),
        _ => random.below(12) as u64,
    }
}

fn twisted_client(frame: ClientFrame, random: &mut Random) -> ClientFrame {
    match frame {
        ClientFrame::Hello(mut hello) => {
            hello.next_seq.0 = near(hello.next_seq.0, random);
            ClientFrame::Hello(hello)
        }
        ClientFrame::Push(mut push) => {
            push.ops.truncate(random.below(push.ops.len() + 1));
            let first = push.ops.first().map_or(0, |op| near(op.seq.0, random));
            let count = push.ops.len() as u64;
            let fits = first.checked_add(count).is_some();
            for (op, nth) in push.ops.iter_mut().zip(0..).filter(|_| fits) {
                op.seq = OpSeq(first + nth);
            }
            ClientFrame::Push(push)
        }
        ClientFrame::Pull(mut pull) => {
            pull.cursor.0 = near(pull.cursor.0, random);
            pull.sent_through.0 = near(pull.sent_through.0, random);
            let place = FeedSeq(near(pull.cursor.0, random));
            pull.behind.push((homes()[random.below(homes().len())], place));
            ClientFrame::Pull(pull)
        }
        ClientFrame::Resume(mut resume) => {
            resume.reached.0 = near(resume.reached.0, random);
            ClientFrame::Resume(resume)
        }
        other => other,
    }
}

fn twisted_server(frame: ServerFrame, random: &mut Random) -> ServerFrame {
    match frame {
        ServerFrame::Welcome(mut welcome) => {
            welcome.applied_through.0 = near(welcome.applied_through.0, random);
            ServerFrame::Welcome(welcome)
        }
        ServerFrame::Receipt { first, mut receipt } => {
            let first = if random.below(2) == 0 { first } else { OpSeq(near(first.0, random)) };
            receipt.through.0 = near(receipt.through.0, random);
            let seq = OpSeq(near(receipt.through.0, random));
            match random.below(3) {
                0 => receipt.restamped.push((seq, Hlc(random.next()))),
                1 => receipt.rejections.push(Rejection { seq, why: Refusal::Other, message: String::new() }),
                _ => {}
            }
            ServerFrame::Receipt { first, receipt }
        }
        ServerFrame::Scope(mut of) => {
            of.truncate(random.below(of.len() + 1));
            ServerFrame::Scope(of)
        }
        ServerFrame::Changes(mut changes) => {
            match random.below(3) {
                0 => changes.from.0 = near(changes.from.0, random),
                1 => changes.to.0 = near(changes.to.0, random),
                _ => changes.home = Some(homes()[random.below(homes().len())]),
            }
            ServerFrame::Changes(changes)
        }
        ServerFrame::Resumed(mut resumed) => {
            resumed.continues = random.below(2) == 0;
            ServerFrame::Resumed(resumed)
        }
        ServerFrame::Pulled(place) => ServerFrame::Pulled(FeedSeq(near(place.0, random))),
        other => other,
    }
}
