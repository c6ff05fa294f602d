//! The lock on a data folder: one server per folder.

use std::fs::File;
use std::path::Path;

use super::open_error::OpenError;

/// Held from before the store opens until after it has closed. The system releases it with the process.
pub(super) struct FolderLock(File);

impl FolderLock {
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let folder = folder.to_path_buf();
        let opened = File::create(folder.join("lock"));
        let file = match opened {
            Ok(file) => file,
            Err(source) => return Err(OpenError::Folder { folder, source }),
        };
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => Ok(Self(file)),
            Err(fs4::TryLockError::WouldBlock) => Err(OpenError::InUse { folder }),
            Err(fs4::TryLockError::Error(source)) => Err(OpenError::Folder { folder, source }),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file would release it too, but not while a child process being started holds a copy. A failure
        // here costs nothing more than that.
        let _ = fs4::FileExt::unlock(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_lock_in_a_starting_process_does_not_keep_a_closed_folder_shut() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = FolderLock::take(folder.path()).expect("nobody has it");
        assert!(matches!(FolderLock::take(folder.path()), Err(OpenError::InUse { .. })));
        let copy = lock.0.try_clone().expect("a copy");
        drop(lock);
        assert!(FolderLock::take(folder.path()).is_ok());
        drop(copy);
    }
}
