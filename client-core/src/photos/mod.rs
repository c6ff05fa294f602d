//! Picture files. Owns the folder `photos` of a device's home; knows no record, queue or network.
//!
//! | name | content |
//! |---|---|
//! | the picture's hash | the plain picture |
//! | the same with `.sealed` | the picture, sealed in pieces, if the device has a key: see [`mod@file`] |
//! | either with `.new` | a picture that is being written; removed when the folder is opened |
//!
//! A picture is named by the hash of its bytes. So the same picture is stored once, and every read can be verified.

mod file;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use xundian_protocol::ids::ContentHash;

use crate::disk::sync_folder;
use crate::sealing::Cover;
pub(crate) use file::PictureFile;

const SEALED: &str = ".sealed";
const UNFINISHED: &str = ".new";

/// A picture file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PhotoFileError {
    /// The system could not read or write it. The picture itself is intact.
    #[error("cannot {action} {} ({source}): check the folder's permissions and the room on its disk, then try again", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not on this device.
    #[error(
        "picture 图片 {hash} is not on this device: another device took it, or the server has it and the local copy was removed"
    )]
    Missing {
        /// The picture.
        hash: ContentHash,
    },
    /// Its bytes are corrupt.
    #[error("picture 图片 {hash} is damaged on this device: attach the same picture again to repair it")]
    Damaged {
        /// The picture.
        hash: ContentHash,
    },
}

impl PhotoFileError {
    /// Whether the picture itself is at fault, so that trying again does not help.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Damaged { .. })
    }
}

/// The folder of pictures.
pub(crate) struct PhotoFolder {
    path: PathBuf,
    cover: Cover,
}

impl PhotoFolder {
    /// The folder at a path. It is created with the first picture.
    pub(crate) const fn new(path: PathBuf, cover: Cover) -> Self {
        Self { path, cover }
    }

    /// Removes pictures whose writing was interrupted.
    pub(crate) fn remove_unfinished(&self) -> Result<(), PhotoFileError> {
        let failed = |source| io_error("read", &self.path, source);
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.as_os_str().to_string_lossy().ends_with(UNFINISHED) {
                fs::remove_file(&path).map_err(|source| io_error("remove", &path, source))?;
            }
        }
        Ok(())
    }

    /// Stores a picture durably. An intact file is kept; a corrupt one is replaced.
    pub(crate) fn keep(&self, hash: ContentHash, picture: &[u8]) -> Result<(), PhotoFileError> {
        let bytes = picture.len() as u64;
        match self.open(hash, bytes).and_then(|file| file.verify()) {
            Err(error) if error.is_final() => self.write(hash, picture),
            whole_or_not => whole_or_not,
        }
    }

    fn write(&self, hash: ContentHash, picture: &[u8]) -> Result<(), PhotoFileError> {
        let path = self.path_of(hash);
        let fresh = with_suffix(&path, UNFINISHED);
        let attempt = || {
            self.make()?;
            let mut file = File::create(&fresh)?;
            file::write(&mut file, &self.cover, hash, picture)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            sync_folder(&self.path)
        };
        attempt().map_err(|source| {
            // If this fails too, the next opening removes it.
            let _ = fs::remove_file(&fresh);
            io_error("write", &path, source)
        })
    }

    fn make(&self) -> io::Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.path)?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }

    /// Opens a picture of a given length. [`PictureFile::verify`] verifies its bytes.
    pub(crate) fn open(&self, hash: ContentHash, bytes: u64) -> Result<PictureFile<'_>, PhotoFileError> {
        PictureFile::open(self.path_of(hash), &self.cover, hash, bytes)
    }

    /// The pictures in the folder with their lengths, intact or not, and the files that could not be read.
    pub(crate) fn list(&self) -> (Vec<(ContentHash, u64)>, Vec<PhotoFileError>) {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), Vec::new()),
            Err(error) => return (Vec::new(), vec![io_error("read", &self.path, error)]),
        };
        let suffix = if self.cover.is_sealed() { SEALED } else { "" };
        let (mut pictures, mut unread) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?.len()))) {
                Ok((name, covered_bytes)) => {
                    let hash = name.to_str().and_then(|name| name.strip_suffix(suffix)?.parse().ok());
                    pictures.extend(hash.map(|hash| (hash, file::plain_bytes(covered_bytes, &self.cover))));
                }
                Err(error) => unread.push(io_error("read", &self.path, error)),
            }
        }
        pictures.sort_unstable();
        (pictures, unread)
    }

    /// Removes a picture if it exists.
    pub(crate) fn remove(&self, hash: ContentHash) -> Result<(), PhotoFileError> {
        let path = self.path_of(hash);
        match fs::remove_file(&path).and_then(|()| sync_folder(&self.path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| io_error("remove", &path, source)),
        }
    }

    fn path_of(&self, hash: ContentHash) -> PathBuf {
        let suffix = if self.cover.is_sealed() { SEALED } else { "" };
        self.path.join(format!("{hash}{suffix}"))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> PhotoFileError {
    PhotoFileError::Io { action, path: path.to_owned(), source }
}
