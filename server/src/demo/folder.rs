//! The demo's data folder: a given one, which stays, or a temporary one, which is removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be created or read.
    #[error("the folder {folder} cannot be used: {source}", folder = .folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is not empty.
    #[error("the folder {folder} is not empty: the demo makes its own company, choose another --data", folder = .folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
}

/// A folder for one run.
pub(super) struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    /// Takes an empty folder, or creates a temporary one that is removed on drop.
    pub(super) fn open(named: Option<&Path>) -> Result<Self, FolderError> {
        let Some(path) = named else {
            let path = std::env::temp_dir().join(format!("xundian-demo-{:016x}", rand::random::<u64>()));
            private_folder(&path).map_err(|source| FolderError::Unusable { folder: path.clone(), source })?;
            return Ok(Self { path, is_temporary: true });
        };
        let unusable = |source| FolderError::Unusable { folder: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        if fs::read_dir(path).map_err(unusable)?.next().is_some() {
            return Err(FolderError::NotEmpty { folder: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), is_temporary: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is removed at the end.
    pub(super) const fn is_removed(&self) -> bool {
        self.is_temporary
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!("the folder {} could not be removed: {error}", self.path.display());
        }
    }
}

/// Creates a folder that must not exist yet, for this user alone: it will contain keys.
fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_goes_and_a_named_one_stays() {
        let temporary = Folder::open(None).expect("a folder");
        let path = temporary.path().to_owned();
        assert!(path.is_dir() && temporary.is_removed());
        drop(temporary);
        assert!(!path.exists());

        let parent = tempfile::tempdir().expect("a folder");
        let named = parent.path().join("company");
        drop(Folder::open(Some(&named)).expect("a folder"));
        assert!(named.is_dir());
        fs::write(named.join("theirs"), "kept").expect("written");
        assert!(matches!(Folder::open(Some(&named)), Err(FolderError::NotEmpty { .. })));
    }
}
