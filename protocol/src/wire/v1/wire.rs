//! The encoding of frames.

use super::VERSION;
use super::figures::WireFigures;
use super::frame::{
    Changes, ClientFrame, CompareDigests, CompareRecords, Declined, DigestVerdict, Enrol, FigureRequest,
    FigureResponse, Granted, Hello, Offer, Piece, Pull, Push, Receipt, Refusal, Refused, Rejection, Repair,
    Resume, Resumed, ServerFrame, UploadStatus, Welcome,
};
use crate::calendar::Day;
use crate::clock::Hlc;
use crate::digest::{Digest, ShortDigest};
use crate::figures::MeasureFamily;
use crate::ids::{ContentHash, DeviceNo, FeedEpoch, FeedSeq, OpSeq, PersonId, RecordId};
use crate::limits::{
    BATCH_OPS_MAX, CERTIFICATE_BYTES_MAX, CHANGES_RECORDS_MAX, FRAME_BYTES_MAX, FRAME_PLAIN_BYTES_MAX,
    MESSAGE_BYTES_MAX, PHOTO_PIECE_BYTES_MAX, RECEIPT_REJECTIONS_MAX, RECONCILE_HOMES_MAX,
    RECONCILE_RECORDS_MAX, SCOPE_HOMES_MAX,
};
use crate::record::{Op, Record};
use crate::wire::DecodeError;
use crate::wire::codec::{put, take_all, version};
use crate::wire::columns::Columns;
use crate::wire::rows::{WireHome, WireRecordKey};
use crate::wire::stored::{Seen, op_row, record_row, row_op, row_record, seen_of};
use bincode::{Decode, Encode};

/// Frames shorter than this are not worth compressing.
const COMPRESS_FROM_BYTES: usize = 512;
/// The compression level. Higher levels take more time and save few bytes on these frames (docs/PERFORMANCE.md).
const ZSTD_LEVEL: i32 = 3;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

#[derive(Encode, Decode)]
enum WireClient {
    Hello {
        app: String,
        device: u32,
        next_seq: u64,
        now_ms: i64,
    },
    Push {
        first_seq: u64,
        seen: Vec<(u32, Vec<Seen>)>,
        columns: Columns,
    },
    Pull {
        digest: [u8; 16],
        cursor: u64,
        behind: Vec<(WireHome, u64)>,
        sent_through: u64,
        captured_through_ms: i64,
    },
    FigureRequest {
        family: u8,
        from: i32,
        to: i32,
    },
    Enrol {
        secret: [u8; 16],
        request_der: Vec<u8>,
        label: String,
    },
    Offer {
        hash: [u8; 32],
        bytes: u64,
    },
    Piece {
        hash: [u8; 32],
        from: u64,
        bytes: Vec<u8>,
    },
    CompareDigests {
        at: u64,
        all: [u8; 16],
        homes: Vec<(WireHome, [u8; 16])>,
    },
    CompareRecords {
        at: u64,
        home: WireHome,
        after: Option<WireRecordKey>,
        through: Option<WireRecordKey>,
        records: Vec<(WireRecordKey, [u8; 8])>,
    },
    Resume {
        epoch: [u8; 16],
        reached: u64,
    },
}

#[derive(Encode, Decode)]
enum WireServer {
    Welcome {
        now_ms: i64,
        applied_through: u64,
        person: [u8; 16],
    },
    Receipt {
        first: u64,
        through: u64,
        rejections: Vec<(u64, u16, String)>,
        restamped: Vec<(u64, u64)>,
    },
    Scope(Vec<WireHome>),
    Changes {
        home: Option<WireHome>,
        from: u64,
        to: u64,
        columns: Columns,
    },
    Pulled(u64),
    FigureResponse(WireFigures),
    Granted {
        device: u32,
        certificate_der: Vec<u8>,
        authority_der: Vec<u8>,
        person: [u8; 16],
        person_name: String,
    },
    Refused {
        why: u16,
        message: String,
    },
    UploadStatus {
        hash: [u8; 32],
        bytes: u64,
        front: [u8; 32],
    },
    Declined {
        hash: [u8; 32],
        why: u16,
        message: String,
    },
    DigestVerdict(WireDigestVerdict),
    Repair {
        home: WireHome,
        after: Option<WireRecordKey>,
        through: Option<WireRecordKey>,
        columns: Columns,
        gone: Vec<WireRecordKey>,
    },
    Resumed {
        epoch: [u8; 16],
        continues: bool,
    },
    Renewed {
        certificate_der: Vec<u8>,
    },
}

#[derive(Encode, Decode)]
enum WireDigestVerdict {
    Agrees,
    Differs,
    DifferIn(Vec<WireHome>),
}

/// Encodes a device's frame.
pub fn encode_client(frame: &ClientFrame) -> Vec<u8> {
    pack(&match frame {
        ClientFrame::Hello(Hello { app, device, next_seq, now_ms }) => {
            WireClient::Hello { app: app.clone(), device: device.0, next_seq: next_seq.0, now_ms: *now_ms }
        }
        ClientFrame::Push(push) => push_to_wire(push),
        ClientFrame::Pull(pull) => WireClient::Pull {
            digest: pull.scope_digest,
            cursor: pull.cursor.0,
            behind: pull.behind.iter().map(|(home, seq)| ((*home).into(), seq.0)).collect(),
            sent_through: pull.sent_through.0,
            captured_through_ms: pull.captured_through_ms,
        },
        ClientFrame::FigureRequest(FigureRequest { family, from, to }) => {
            WireClient::FigureRequest { family: family.number(), from: from.0, to: to.0 }
        }
        ClientFrame::Enrol(Enrol { secret, request_der, label }) => {
            WireClient::Enrol { secret: *secret, request_der: request_der.clone(), label: label.clone() }
        }
        ClientFrame::Offer(Offer { hash, bytes }) => WireClient::Offer { hash: hash.0, bytes: *bytes },
        ClientFrame::Piece(Piece { hash, from, bytes }) => {
            WireClient::Piece { hash: hash.0, from: *from, bytes: bytes.clone() }
        }
        ClientFrame::CompareDigests(CompareDigests { at, all, homes }) => WireClient::CompareDigests {
            at: at.0,
            all: all.0.to_be_bytes(),
            homes: homes.iter().map(|(home, digest)| ((*home).into(), digest.0.to_be_bytes())).collect(),
        },
        ClientFrame::CompareRecords(CompareRecords { at, home, after, through, records }) => {
            WireClient::CompareRecords {
                at: at.0,
                home: (*home).into(),
                after: after.map(Into::into),
                through: through.map(Into::into),
                records: records.iter().map(|(key, short)| ((*key).into(), short.0.to_be_bytes())).collect(),
            }
        }
        ClientFrame::Resume(Resume { epoch, reached }) => {
            WireClient::Resume { epoch: epoch.0, reached: reached.0 }
        }
    })
}

/// Decodes a device's frame.
pub fn decode_client(payload: &[u8]) -> Result<ClientFrame, DecodeError> {
    Ok(match unpack(payload)? {
        WireClient::Hello { app, device, next_seq, now_ms } => {
            DecodeError::bound("bytes of a name", app.len(), MESSAGE_BYTES_MAX)?;
            ClientFrame::Hello(Hello { app, device: DeviceNo(device), next_seq: OpSeq(next_seq), now_ms })
        }
        WireClient::Push { first_seq, seen, columns } => push_from_wire(first_seq, seen, columns)?,
        WireClient::Pull { digest, cursor, behind, sent_through, captured_through_ms } => {
            DecodeError::bound("homes of a pull", behind.len(), SCOPE_HOMES_MAX)?;
            ClientFrame::Pull(Pull {
                scope_digest: digest,
                cursor: FeedSeq(cursor),
                behind: behind.into_iter().map(|(home, seq)| (home.into(), FeedSeq(seq))).collect(),
                sent_through: OpSeq(sent_through),
                captured_through_ms,
            })
        }
        WireClient::FigureRequest { family, from, to } => {
            let family = MeasureFamily::from_number(family);
            let family =
                family.ok_or_else(|| DecodeError::malformed("a request for an unknown family of figures"))?;
            ClientFrame::FigureRequest(FigureRequest { family, from: Day(from), to: Day(to) })
        }
        WireClient::Enrol { secret, request_der, label } => {
            DecodeError::bound("bytes of a certificate request", request_der.len(), CERTIFICATE_BYTES_MAX)?;
            DecodeError::bound("bytes of a label", label.len(), MESSAGE_BYTES_MAX)?;
            ClientFrame::Enrol(Enrol { secret, request_der, label })
        }
        WireClient::Offer { hash, bytes } => ClientFrame::Offer(Offer { hash: ContentHash(hash), bytes }),
        WireClient::Piece { hash, from, bytes } => {
            DecodeError::bound("bytes of a piece", bytes.len(), PHOTO_PIECE_BYTES_MAX)?;
            ClientFrame::Piece(Piece { hash: ContentHash(hash), from, bytes })
        }
        WireClient::CompareDigests { at, all, homes } => {
            DecodeError::bound("homes of a check", homes.len(), RECONCILE_HOMES_MAX)?;
            let digest = |bytes| Digest(u128::from_be_bytes(bytes));
            let homes = homes.into_iter().map(|(home, bytes)| (home.into(), digest(bytes))).collect();
            ClientFrame::CompareDigests(CompareDigests { at: FeedSeq(at), all: digest(all), homes })
        }
        WireClient::CompareRecords { at, home, after, through, records } => {
            DecodeError::bound("records of a check", records.len(), RECONCILE_RECORDS_MAX)?;
            let (at, home) = (FeedSeq(at), home.into());
            let (after, through) = (after.map(Into::into), through.map(Into::into));
            let record =
                |(key, short): (WireRecordKey, _)| (key.into(), ShortDigest(u64::from_be_bytes(short)));
            let records = records.into_iter().map(record).collect();
            ClientFrame::CompareRecords(CompareRecords { at, home, after, through, records })
        }
        WireClient::Resume { epoch, reached } => {
            ClientFrame::Resume(Resume { epoch: FeedEpoch(epoch), reached: FeedSeq(reached) })
        }
    })
}

/// Encodes a server's frame.
pub fn encode_server(frame: &ServerFrame) -> Vec<u8> {
    pack(&match frame {
        ServerFrame::Welcome(Welcome { now_ms, applied_through, person }) => WireServer::Welcome {
            now_ms: *now_ms,
            applied_through: applied_through.0,
            person: *person.0.as_bytes(),
        },
        ServerFrame::Receipt { first, receipt: Receipt { through, rejections, restamped } } => {
            WireServer::Receipt {
                first: first.0,
                through: through.0,
                rejections: rejections.iter().map(|r| (r.seq.0, r.why as u16, r.message.clone())).collect(),
                restamped: restamped.iter().map(|(seq, hlc)| (seq.0, hlc.0)).collect(),
            }
        }
        ServerFrame::Scope(homes) => WireServer::Scope(homes.iter().map(|home| (*home).into()).collect()),
        ServerFrame::Changes(changes) => WireServer::Changes {
            home: changes.home.map(Into::into),
            from: changes.from.0,
            to: changes.to.0,
            columns: Columns::of(changes.records.iter().map(record_row)),
        },
        ServerFrame::Pulled(seq) => WireServer::Pulled(seq.0),
        ServerFrame::FigureResponse(FigureResponse { rows }) => {
            WireServer::FigureResponse(WireFigures::of(rows))
        }
        ServerFrame::Granted(granted) => WireServer::Granted {
            device: granted.device.0,
            certificate_der: granted.certificate_der.clone(),
            authority_der: granted.authority_der.clone(),
            person: *granted.person.0.as_bytes(),
            person_name: granted.person_name.clone(),
        },
        ServerFrame::Refused(Refused { why, message }) => {
            WireServer::Refused { why: *why as u16, message: message.clone() }
        }
        ServerFrame::UploadStatus(UploadStatus { hash, bytes, front }) => {
            WireServer::UploadStatus { hash: hash.0, bytes: *bytes, front: front.0 }
        }
        ServerFrame::Declined(Declined { hash, why, message }) => {
            WireServer::Declined { hash: hash.0, why: *why as u16, message: message.clone() }
        }
        ServerFrame::DigestVerdict(verdict) => WireServer::DigestVerdict(match verdict {
            DigestVerdict::Agrees => WireDigestVerdict::Agrees,
            DigestVerdict::Differs => WireDigestVerdict::Differs,
            DigestVerdict::DifferIn(homes) => {
                WireDigestVerdict::DifferIn(homes.iter().map(|home| (*home).into()).collect())
            }
        }),
        ServerFrame::Repair(Repair { home, after, through, records, gone }) => WireServer::Repair {
            home: (*home).into(),
            after: after.map(Into::into),
            through: through.map(Into::into),
            columns: Columns::of(records.iter().map(record_row)),
            gone: gone.iter().map(|key| (*key).into()).collect(),
        },
        ServerFrame::Resumed(Resumed { epoch, continues }) => {
            WireServer::Resumed { epoch: epoch.0, continues: *continues }
        }
        ServerFrame::Renewed(certificate_der) => {
            WireServer::Renewed { certificate_der: certificate_der.clone() }
        }
    })
}

/// Decodes a server's frame.
pub fn decode_server(payload: &[u8]) -> Result<ServerFrame, DecodeError> {
    Ok(match unpack(payload)? {
        WireServer::Welcome { now_ms, applied_through, person } => ServerFrame::Welcome(Welcome {
            now_ms,
            applied_through: OpSeq(applied_through),
            person: PersonId(RecordId::from_bytes(person)),
        }),
        WireServer::Receipt { first, through, rejections, restamped } => {
            let receipt = receipt(through, rejections, restamped)?;
            ServerFrame::Receipt { first: OpSeq(first), receipt }
        }
        WireServer::Scope(homes) => {
            DecodeError::bound("homes of a scope", homes.len(), SCOPE_HOMES_MAX)?;
            ServerFrame::Scope(homes.into_iter().map(Into::into).collect())
        }
        WireServer::Changes { home, from, to, columns } => ServerFrame::Changes(Changes {
            home: home.map(Into::into),
            from: FeedSeq(from),
            to: FeedSeq(to),
            records: records_of(columns)?,
        }),
        WireServer::Pulled(seq) => ServerFrame::Pulled(FeedSeq(seq)),
        WireServer::FigureResponse(figures) => {
            ServerFrame::FigureResponse(FigureResponse { rows: figures.rows()? })
        }
        WireServer::Granted { device, certificate_der, authority_der, person, person_name } => {
            let (device, person) = (DeviceNo(device), PersonId(RecordId::from_bytes(person)));
            let (certificate_der, authority_der) =
                (certificate(certificate_der)?, certificate(authority_der)?);
            ServerFrame::Granted(Granted { device, certificate_der, authority_der, person, person_name })
        }
        WireServer::Refused { why, message } => {
            ServerFrame::Refused(Refused { why: Refusal::from_number(why), message })
        }
        WireServer::UploadStatus { hash, bytes, front } => ServerFrame::UploadStatus(UploadStatus {
            hash: ContentHash(hash),
            bytes,
            front: ContentHash(front),
        }),
        WireServer::Declined { hash, why, message } => {
            let (hash, why) = (ContentHash(hash), Refusal::from_number(why));
            ServerFrame::Declined(Declined { hash, why, message })
        }
        WireServer::DigestVerdict(verdict) => ServerFrame::DigestVerdict(match verdict {
            WireDigestVerdict::Agrees => DigestVerdict::Agrees,
            WireDigestVerdict::Differs => DigestVerdict::Differs,
            WireDigestVerdict::DifferIn(homes) => {
                DecodeError::bound("homes that differ", homes.len(), RECONCILE_HOMES_MAX)?;
                DigestVerdict::DifferIn(homes.into_iter().map(Into::into).collect())
            }
        }),
        WireServer::Repair { home, after, through, columns, gone } => {
            DecodeError::bound("records that are gone", gone.len(), RECONCILE_RECORDS_MAX)?;
            ServerFrame::Repair(Repair {
                home: home.into(),
                after: after.map(Into::into),
                through: through.map(Into::into),
                records: records_of(columns)?,
                gone: gone.into_iter().map(Into::into).collect(),
            })
        }
        WireServer::Resumed { epoch, continues } => {
            ServerFrame::Resumed(Resumed { epoch: FeedEpoch(epoch), continues })
        }
        WireServer::Renewed { certificate_der } => ServerFrame::Renewed(certificate(certificate_der)?),
    })
}

fn receipt(
    through: u64,
    rejections: Vec<(u64, u16, String)>,
    restamped: Vec<(u64, u64)>,
) -> Result<Receipt, DecodeError> {
    DecodeError::bound("rejections of a receipt", rejections.len(), RECEIPT_REJECTIONS_MAX)?;
    DecodeError::bound("restamped ops of a receipt", restamped.len(), BATCH_OPS_MAX)?;
    let rejection =
        |(seq, why, message)| Rejection { seq: OpSeq(seq), why: Refusal::from_number(why), message };
    let rejections = rejections.into_iter().map(rejection).collect();
    let restamped = restamped.into_iter().map(|(seq, hlc)| (OpSeq(seq), Hlc(hlc))).collect();
    Ok(Receipt { through: OpSeq(through), rejections, restamped })
}

fn certificate(der: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    DecodeError::bound("bytes of a certificate", der.len(), CERTIFICATE_BYTES_MAX)?;
    Ok(der)
}

fn records_of(columns: Columns) -> Result<Vec<Record>, DecodeError> {
    columns.rows(CHANGES_RECORDS_MAX)?.into_iter().map(row_record).collect()
}

fn push_to_wire(push: &Push) -> WireClient {
    let seen = |(at, op): (usize, &Op)| {
        let seen = seen_of(op);
        (!seen.is_empty()).then(|| (u32::try_from(at).unwrap_or(u32::MAX), seen))
    };
    WireClient::Push {
        first_seq: push.ops.first().map_or(0, |op| op.seq.0),
        seen: push.ops.iter().enumerate().filter_map(seen).collect(),
        columns: Columns::of(push.ops.iter().map(op_row)),
    }
}

fn push_from_wire(
    first: u64,
    seen: Vec<(u32, Vec<Seen>)>,
    columns: Columns,
) -> Result<ClientFrame, DecodeError> {
    let rows = columns.rows(BATCH_OPS_MAX)?;
    let last = first.checked_add(rows.len() as u64);
    last.ok_or_else(|| DecodeError::malformed("sequence numbers overflow"))?;
    let mut seen = seen.into_iter().peekable();
    let mut ops = Vec::with_capacity(rows.len());
    for (at, row) in (0u32..).zip(rows) {
        let seen = seen.next_if(|(op, _)| *op == at).map(|(_, seen)| seen);
        ops.push(row_op(row, OpSeq(first + u64::from(at)), &seen.unwrap_or_default())?);
    }
    if seen.peek().is_some() {
        return Err(DecodeError::malformed("a seen stamp names no op"));
    }
    Ok(ClientFrame::Push(Push { ops }))
}

fn pack<T: Encode>(frame: &T) -> Vec<u8> {
    let mut plain = Vec::new();
    put(frame, &mut plain);
    if plain.len() >= COMPRESS_FROM_BYTES
        && let Ok(packed) = zstd::bulk::compress(&plain, ZSTD_LEVEL)
        && packed.len() < plain.len()
        && let Ok(plain_len) = u32::try_from(plain.len())
    {
        let mut out = vec![VERSION, ZSTD];
        out.extend(plain_len.to_be_bytes());
        out.extend(packed);
        return out;
    }
    let mut out = vec![VERSION, PLAIN];
    out.extend(plain);
    out
}

fn unpack<T: Decode<()>>(payload: &[u8]) -> Result<T, DecodeError> {
    DecodeError::bound("bytes of a payload", payload.len(), FRAME_BYTES_MAX)?;
    let rest = version(payload, VERSION)?;
    match rest.split_first() {
        Some((&PLAIN, plain)) => take_all(plain),
        Some((&ZSTD, packed)) => {
            let (len, packed) = packed.split_first_chunk::<4>().ok_or(DecodeError::Empty)?;
            let len = u32::from_be_bytes(*len) as usize;
            DecodeError::bound("bytes of a frame", len, FRAME_PLAIN_BYTES_MAX)?;
            let plain = zstd::bulk::decompress(packed, len).map_err(DecodeError::malformed)?;
            if plain.len() != len {
                return Err(DecodeError::malformed("a compressed frame is shorter than announced"));
            }
            take_all(&plain)
        }
        Some((form, _)) => Err(DecodeError::malformed(format!("no compression has the number {form}"))),
        None => Err(DecodeError::Empty),
    }
}
