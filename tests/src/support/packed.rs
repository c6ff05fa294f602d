//! A folder in one small file: names and contents one after the other, compressed. Runs of zeros cost almost nothing,
//! so a journal of 4 MiB that is hardly used packs well.
//!
//! Each entry is its kind (one byte, 0 for a folder and 1 for a file), the length of its path (u32) and the path. For
//! a file its length (u64) and its bytes follow. All lengths are big-endian.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

const FOLDER: u8 = 0;
const FILE: u8 = 1;
/// The best compression: a fixture is packed only once.
const LEVEL: i32 = 19;
/// The largest decompressed size.
const PLAIN_BYTES_MAX: usize = 256 << 20;

/// Packs the content of a folder.
///
/// # Errors
/// Returns an error if the folder cannot be read.
pub fn pack(folder: &Path) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    pack_below(folder, Path::new(""), &mut plain)?;
    zstd::bulk::compress(&plain, LEVEL)
}

fn pack_below(root: &Path, below: &Path, out: &mut Vec<u8>) -> io::Result<()> {
    let entries = fs::read_dir(root.join(below))?.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = entries.collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    for name in names {
        let path = below.join(name);
        let text = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        let is_folder = root.join(&path).is_dir();
        out.push(if is_folder { FOLDER } else { FILE });
        out.extend(u32::try_from(text.len()).map_err(io::Error::other)?.to_be_bytes());
        out.extend(text.as_bytes());
        if is_folder {
            pack_below(root, &path, out)?;
        } else {
            let bytes = fs::read(root.join(&path))?;
            out.extend((bytes.len() as u64).to_be_bytes());
            out.extend(bytes);
        }
    }
    Ok(())
}

/// Unpacks into an empty folder.
///
/// # Errors
/// Returns an error if the bytes were not made by [`pack`], or if the folder cannot be written.
pub fn unpack(packed: &[u8], folder: &Path) -> io::Result<()> {
    let plain = zstd::bulk::decompress(packed, PLAIN_BYTES_MAX)?;
    let mut rest = &plain[..];
    while !rest.is_empty() {
        let [kind] = take(&mut rest)?;
        let len = u32::from_be_bytes(take(&mut rest)?) as usize;
        let path = PathBuf::from(std::str::from_utf8(cut(&mut rest, len)?).map_err(io::Error::other)?);
        if path.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if kind == FOLDER {
            fs::create_dir(folder.join(path))?;
        } else {
            let len = usize::try_from(u64::from_be_bytes(take(&mut rest)?)).map_err(io::Error::other)?;
            fs::write(folder.join(path), cut(&mut rest, len)?)?;
        }
    }
    Ok(())
}

fn take<const N: usize>(rest: &mut &[u8]) -> io::Result<[u8; N]> {
    cut(rest, N)?.try_into().map_err(io::Error::other)
}

fn cut<'a>(rest: &mut &'a [u8], len: usize) -> io::Result<&'a [u8]> {
    let (front, behind) = rest.split_at_checked(len).ok_or(io::ErrorKind::UnexpectedEof)?;
    *rest = behind;
    Ok(front)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_survives_packing_and_unpacking() {
        let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::create_dir_all(from.path().join("门店/empty")).expect("made");
        fs::write(from.path().join("门店/zeros"), vec![0; 4 << 20]).expect("written");
        fs::write(from.path().join("nothing"), b"").expect("written");
        let packed = pack(from.path()).expect("packed");
        assert!(packed.len() < 1024);
        unpack(&packed, to.path()).expect("unpacked");
        assert_eq!(pack(to.path()).expect("packed"), packed);
        assert!(unpack(&packed, to.path()).is_err(), "existing folders are not overwritten");
    }
}
