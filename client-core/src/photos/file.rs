//! The file format of pictures: consecutive pieces of [`PIECE_BYTES`], the last one shorter. Plain pieces are the
//! picture's bytes, so a plain file is the picture. Each sealed piece is sealed for its position in this picture
//! (docs/adr/0008), so any piece can be read without the others.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use xundian_protocol::ids::{ContentHash, ContentHasher};

use super::{PhotoFileError, io_error};
use crate::sealing::{AssociatedData, Cover};

/// The length of a piece before sealing. It is part of the sealed format.
pub(super) const PIECE_BYTES: u64 = 16 * 1024;

/// The length of the picture, from the length of its file.
pub(super) fn plain_bytes(covered_bytes: u64, cover: &Cover) -> u64 {
    let extra_bytes = cover.extra_bytes() as u64;
    covered_bytes.saturating_sub(covered_bytes.div_ceil(PIECE_BYTES + extra_bytes) * extra_bytes)
}

/// Writes a picture's pieces.
pub(super) fn write(file: &mut File, cover: &Cover, hash: ContentHash, picture: &[u8]) -> io::Result<()> {
    let bytes = picture.len() as u64;
    let mut covered = Vec::with_capacity(PIECE_BYTES as usize + cover.extra_bytes());
    for (nth, piece) in (0..).zip(picture.chunks(PIECE_BYTES as usize)) {
        covered.clear();
        covered.resize(cover.front_bytes(), 0);
        covered.extend_from_slice(piece);
        cover.seal(AssociatedData::Piece { picture: &hash.0, bytes, nth }, &mut covered, 0)?;
        file.write_all(&covered)?;
    }
    Ok(())
}

/// A picture file that is open for reading.
pub(crate) struct PictureFile<'a> {
    path: PathBuf,
    file: File,
    cover: &'a Cover,
    hash: ContentHash,
    bytes: u64,
}

impl<'a> PictureFile<'a> {
    pub(super) fn open(
        path: PathBuf,
        cover: &'a Cover,
        hash: ContentHash,
        bytes: u64,
    ) -> Result<Self, PhotoFileError> {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (found_bytes, file) = opened.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => PhotoFileError::Missing { hash },
            _ => io_error("read", &path, source),
        })?;
        let picture = Self { path, file, cover, hash, bytes };
        let covered_bytes = bytes + bytes.div_ceil(PIECE_BYTES) * cover.extra_bytes() as u64;
        if found_bytes == covered_bytes { Ok(picture) } else { Err(picture.damaged()) }
    }

    /// Verifies every byte of the file against the picture's hash.
    pub(crate) fn verify(&self) -> Result<(), PhotoFileError> {
        if self.hash_front(self.bytes)? == self.hash { Ok(()) } else { Err(self.damaged()) }
    }

    /// The hash of this many bytes from the start of the picture.
    pub(crate) fn hash_front(&self, bytes: u64) -> Result<ContentHash, PhotoFileError> {
        let mut hasher = ContentHasher::default();
        let mut left = bytes.min(self.bytes);
        for nth in 0..left.div_ceil(PIECE_BYTES) {
            let piece = self.piece(nth)?;
            let taken = left.min(piece.len() as u64);
            hasher.update(&piece[..taken as usize]);
            left -= taken;
        }
        Ok(hasher.hash())
    }

    /// Reads bytes of the picture from an offset; fewer than requested at its end.
    pub(crate) fn read(&self, from: u64, bytes: usize) -> Result<Vec<u8>, PhotoFileError> {
        let end = from.saturating_add(bytes as u64).min(self.bytes);
        let mut read = Vec::with_capacity(end.saturating_sub(from) as usize);
        let mut at = from;
        while at < end {
            let (nth, skipped) = (at / PIECE_BYTES, at % PIECE_BYTES);
            let piece = self.piece(nth)?;
            let taken = (end - at).min(piece.len() as u64 - skipped);
            read.extend_from_slice(&piece[skipped as usize..(skipped + taken) as usize]);
            at += taken;
        }
        Ok(read)
    }

    /// Reads and verifies the whole picture.
    pub(crate) fn read_whole(&self) -> Result<Vec<u8>, PhotoFileError> {
        let picture = self.read(0, usize::try_from(self.bytes).unwrap_or(usize::MAX))?;
        if ContentHash::of(&picture) == self.hash { Ok(picture) } else { Err(self.damaged()) }
    }

    fn piece(&self, nth: u64) -> Result<Vec<u8>, PhotoFileError> {
        let extra_bytes = self.cover.extra_bytes();
        let plain_bytes = PIECE_BYTES.min(self.bytes - nth * PIECE_BYTES);
        let mut covered = vec![0; plain_bytes as usize + extra_bytes];
        let read = (&self.file)
            .seek(SeekFrom::Start(nth * (PIECE_BYTES + extra_bytes as u64)))
            .and_then(|_| (&self.file).read_exact(&mut covered));
        read.map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(),
            _ => io_error("read", &self.path, source),
        })?;
        let place = AssociatedData::Piece { picture: &self.hash.0, bytes: self.bytes, nth };
        self.cover.open(place, covered).ok_or_else(|| self.damaged())
    }

    const fn damaged(&self) -> PhotoFileError {
        PhotoFileError::Damaged { hash: self.hash }
    }
}
