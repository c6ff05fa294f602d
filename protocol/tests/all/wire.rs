//! Encoded values decode to the same values, and broken bytes are refused.

use crate::{examples, random};
use proptest::prelude::*;
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::Hlc;
use xundian_protocol::figures::{MEASURES_MAX, MeasureFamily, Measures, Subject};
use xundian_protocol::ids::{ContentHash, DeviceNo, FeedSeq, OpSeq, OrgUnitId, PersonId};
use xundian_protocol::record::{Home, Op};
use xundian_protocol::wire::DecodeError;
use xundian_protocol::wire::stored::{
    decode_numbers, decode_op, decode_record, encode_numbers, encode_op, encode_record,
};
use xundian_protocol::wire::v1::{
    Changes, ClientFrame, Declined, Enrol, FigureRequest, FigureResponse, Granted, Hello, Offer, Piece, Pull,
    Push, Receipt, Refusal, Refused, Rejection, ServerFrame, UploadStatus, Welcome, decode_client,
    decode_server, encode_client, encode_server,
};

fn measures() -> impl Strategy<Value = Measures> {
    prop::collection::vec(prop_oneof![Just(0i64), any::<i64>()], 0..=MEASURES_MAX)
        .prop_map(|m| Measures::of(&m))
}

fn push() -> impl Strategy<Value = ClientFrame> {
    (0u64..1 << 40, prop::collection::vec(random::op(), 0..12)).prop_map(|(first, ops)| {
        let numbered = ops.into_iter().zip(first..).map(|(op, seq)| Op { seq: OpSeq(seq), ..op });
        ClientFrame::Push(Push { ops: numbered.collect() })
    })
}

fn homes() -> impl Strategy<Value = Vec<Home>> {
    prop::collection::vec(random::home(), 0..20)
}

fn seq() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..1000, any::<u64>()]
}

fn hash() -> impl Strategy<Value = ContentHash> {
    any::<[u8; 32]>().prop_map(ContentHash)
}

fn client_frame() -> impl Strategy<Value = ClientFrame> {
    let hello = ("[ -~]{0,40}", any::<u32>(), seq(), any::<i64>()).prop_map(|(app, device, next, now_ms)| {
        ClientFrame::Hello(Hello { app, device: DeviceNo(device), next_seq: OpSeq(next), now_ms })
    });
    let behind = prop::collection::vec((random::home(), seq().prop_map(FeedSeq)), 0..9);
    let pull = (any::<[u8; 16]>(), seq(), behind, seq(), any::<i64>()).prop_map(
        |(scope_digest, cursor, behind, sent, captured_through_ms)| {
            let (cursor, sent_through) = (FeedSeq(cursor), OpSeq(sent));
            ClientFrame::Pull(Pull { scope_digest, cursor, behind, sent_through, captured_through_ms })
        },
    );
    let ask = (prop::sample::select(MeasureFamily::ALL.to_vec()), any::<i32>(), any::<i32>()).prop_map(
        |(family, from, to)| {
            ClientFrame::FigureRequest(FigureRequest { family, from: Day(from), to: Day(to) })
        },
    );
    let enrol = (any::<[u8; 16]>(), prop::collection::vec(any::<u8>(), 0..600), ".{0,20}")
        .prop_map(|(secret, request_der, label)| ClientFrame::Enrol(Enrol { secret, request_der, label }));
    let offer = (hash(), any::<u64>()).prop_map(|(hash, bytes)| ClientFrame::Offer(Offer { hash, bytes }));
    let piece = (hash(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..600))
        .prop_map(|(hash, from, bytes)| ClientFrame::Piece(Piece { hash, from, bytes }));
    prop_oneof![4 => push(), 1 => hello, 1 => pull, 1 => ask, 1 => enrol, 1 => offer, 1 => piece]
}

fn receipt() -> impl Strategy<Value = ServerFrame> {
    let rejection = (seq(), prop::sample::select(Refusal::ALL.to_vec()), ".{0,9}")
        .prop_map(|(seq, why, message)| Rejection { seq: OpSeq(seq), why, message });
    let restamped = prop::collection::vec((seq().prop_map(OpSeq), any::<u64>().prop_map(Hlc)), 0..9);
    (seq(), seq(), prop::collection::vec(rejection, 0..9), restamped).prop_map(
        |(first, through, rejections, restamped)| ServerFrame::Receipt {
            first: OpSeq(first),
            receipt: Receipt { through: OpSeq(through), rejections, restamped },
        },
    )
}

fn server_frame() -> impl Strategy<Value = ServerFrame> {
    let person = || random::id().prop_map(PersonId);
    let welcome = (any::<i64>(), seq(), person()).prop_map(|(now_ms, applied, person)| {
        ServerFrame::Welcome(Welcome { now_ms, applied_through: OpSeq(applied), person })
    });
    let changes =
        (prop::option::of(random::home()), seq(), seq(), prop::collection::vec(random::record(), 0..9))
            .prop_map(|(home, from, to, records)| {
                ServerFrame::Changes(Changes { home, from: FeedSeq(from), to: FeedSeq(to), records })
            });
    let subject = prop_oneof![
        Just(Subject::Unit(None)),
        random::id().prop_map(|id| Subject::Unit(Some(OrgUnitId(id)))),
        person().prop_map(Subject::Person),
    ];
    let rows = prop::collection::vec((subject, any::<u64>(), measures()), 0..20);
    let der = || prop::collection::vec(any::<u8>(), 0..600);
    let granted = (any::<u32>(), der(), der(), person(), ".{0,9}").prop_map(
        |(device, certificate_der, authority_der, person, person_name)| {
            ServerFrame::Granted(Granted {
                device: DeviceNo(device),
                certificate_der,
                authority_der,
                person,
                person_name,
            })
        },
    );
    let refused = (prop::sample::select(Refusal::ALL.to_vec()), ".{0,30}")
        .prop_map(|(why, message)| ServerFrame::Refused(Refused { why, message }));
    let held = (hash(), any::<u64>(), hash())
        .prop_map(|(hash, bytes, front)| ServerFrame::UploadStatus(UploadStatus { hash, bytes, front }));
    let declined = (hash(), prop::sample::select(Refusal::ALL.to_vec()), ".{0,30}")
        .prop_map(|(hash, why, message)| ServerFrame::Declined(Declined { hash, why, message }));
    prop_oneof![
        1 => held,
        1 => declined,
        4 => changes,
        2 => receipt(),
        1 => welcome,
        1 => homes().prop_map(ServerFrame::Scope),
        1 => seq().prop_map(|seq| ServerFrame::Pulled(FeedSeq(seq))),
        1 => rows.prop_map(|rows| ServerFrame::FigureResponse(FigureResponse { rows })),
        1 => granted,
        1 => refused,
    ]
}

proptest! {
    #[test]
    fn stored_records_ops_and_numbers_round_trip(
        record in random::record(), op in random::op(), numbers in prop::collection::vec(any::<i64>(), 0..50),
    ) {
        prop_assert_eq!(decode_record(&encode_record(&record)), Ok(record));
        prop_assert_eq!(decode_op(&encode_op(&op)), Ok(op));
        prop_assert_eq!(decode_numbers(&encode_numbers(&numbers)), Ok(numbers));
    }

    #[test]
    fn frames_of_devices_round_trip(frame in client_frame()) {
        prop_assert_eq!(decode_client(&encode_client(&frame)), Ok(frame));
    }

    #[test]
    fn frames_of_the_server_round_trip(frame in server_frame()) {
        prop_assert_eq!(decode_server(&encode_server(&frame)), Ok(frame));
    }

    #[test]
    fn stored_values_are_within_their_upper_bound(record in random::record(), op in random::op()) {
        // `bytes_max` leaves out the key, the home, the counts and the stamp of an op.
        const HEAD: usize = 80;
        prop_assert!(encode_record(&record).len() <= record.bytes_max() + HEAD);
        prop_assert!(encode_op(&op).len() <= op.bytes_max() + HEAD);
    }

    #[test]
    fn a_truncated_frame_is_refused(frame in client_frame(), at in any::<prop::sample::Index>()) {
        let payload = encode_client(&frame);
        prop_assert!(decode_client(&payload[..at.index(payload.len())]).is_err());
    }

    #[test]
    fn a_frame_with_trailing_bytes_is_refused(frame in server_frame(), more in prop::collection::vec(any::<u8>(), 1..9)) {
        let mut payload = encode_server(&frame);
        payload.extend(more);
        prop_assert!(decode_server(&payload).is_err());
    }

    #[test]
    fn flipped_bits_never_panic_and_frames_that_decode_round_trip(
        frame in client_frame(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
    ) {
        let mut payload = encode_client(&frame);
        for (at, bit) in flips {
            let at = at.index(payload.len());
            payload[at] ^= 1 << bit;
        }
        if let Ok(frame) = decode_client(&payload) {
            prop_assert_eq!(decode_client(&encode_client(&frame)), Ok(frame));
        }
    }

    #[test]
    fn garbage_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..200), plain in any::<bool>()) {
        if plain && bytes.len() > 2 {
            (bytes[0], bytes[1]) = (1, 0);
        }
        let _ = (decode_client(&bytes), decode_server(&bytes), decode_op(&bytes), decode_record(&bytes));
        let _ = decode_numbers(&bytes);
    }
}

#[test]
fn an_unknown_version_is_refused() {
    let mut payload = encode_client(&examples::client_frames()[0].1);
    payload[0] = 99;
    assert_eq!(decode_client(&payload), Err(DecodeError::Version { found: 99, known: 1 }));
    let mut bytes = encode_op(&examples::ops()[0].1);
    bytes[0] = 99;
    assert_eq!(decode_op(&bytes), Err(DecodeError::Version { found: 99, known: 1 }));
    assert_eq!(decode_server(&[]), Err(DecodeError::Empty));
    assert_eq!(decode_record(&[]), Err(DecodeError::Empty));
}

#[test]
fn an_unknown_refusal_of_a_newer_server_is_other() {
    assert_eq!(Refusal::from_number(9_999), Refusal::Other);
    for refusal in Refusal::ALL {
        assert_eq!(Refusal::from_number(refusal as u16), refusal);
    }
}
