//! Durable folders and file names. Knows no file by name.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes the names in a folder durable after files were created, renamed or removed in it.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // The parent of a bare name is the empty path, which means the current folder.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Creates a folder and its missing parents, durably and for the server's user alone.
pub(crate) fn make_private_folder(folder: &Path) -> io::Result<()> {
    let made: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    made.iter().filter_map(|folder| folder.parent()).try_for_each(sync_folder)
}
