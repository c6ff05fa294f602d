//! A copy of sled's files, made before sled opens a store that was not closed. sled changes its files while it opens,
//! and discards everything after the first damage. Knows the names of files; knows no key or value.
//!
//! A copy is complete or absent: it is made under another name, and a rename gives it its name or takes it away. If
//! there is a copy, an opening was interrupted, and the copy is the state before it, because the journal was only read.
//! It stays until sled's files are either restored or known to be good, durably. So a crash at any moment leaves good
//! files or a complete copy.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::sync_folder;

const NAME: &str = "before-open";
/// The name while it is made.
const UNFINISHED_NAME: &str = "before-open.new";
/// The name while it is removed.
const UNNEEDED_NAME: &str = "before-open.old";

/// Removes copies whose making or removal was interrupted.
pub(super) fn tidy(folder: &Path) -> io::Result<()> {
    [UNFINISHED_NAME, UNNEEDED_NAME].iter().try_for_each(|name| remove_if_there(&folder.join(name)))
}

/// Makes the copy.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    let unfinished = folder.join(UNFINISHED_NAME);
    let made = copy_into(folder, &unfinished).and_then(|()| {
        fs::rename(&unfinished, folder.join(NAME))?;
        sync_folder(folder)
    });
    if made.is_err() {
        // A partial copy would only take room that sled needs.
        let _ = remove_if_there(&unfinished);
    }
    made
}

/// Restores sled's files from the copy, if there is one. Returns whether there is one; it is kept.
pub(super) fn put_back(folder: &Path) -> io::Result<bool> {
    let copies = folder.join(NAME);
    if !copies.try_exists()? {
        return Ok(false);
    }
    for file in files_of_sled(folder)? {
        if !copies.join(file.file_name().unwrap_or_default()).exists() {
            fs::remove_file(file)?;
        }
    }
    copy_files(&copies, folder)?;
    Ok(true)
}

/// Removes sled's files, if sled has only begun to make them.
pub(super) fn remove_files_of_sled(folder: &Path) -> io::Result<()> {
    files_of_sled(folder)?.iter().try_for_each(fs::remove_file)
}

/// Removes the copy.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let unneeded = folder.join(UNNEEDED_NAME);
    fs::rename(folder.join(NAME), &unneeded)?;
    sync_folder(folder)?;
    fs::remove_dir_all(unneeded)
}

fn copy_into(folder: &Path, copies: &Path) -> io::Result<()> {
    fs::create_dir(copies)?;
    copy_files(folder, copies)
}

/// Copies sled's files from one folder to another, durably.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for file in files_of_sled(from)? {
        let copy = to.join(file.file_name().unwrap_or_default());
        fs::copy(file, &copy)?;
        // Not every system syncs a file that was opened for reading.
        OpenOptions::new().write(true).open(copy).and_then(|copy: File| copy.sync_all())?;
    }
    sync_folder(to)
}

/// The files that sled may change when it opens.
fn files_of_sled(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if ["db", "conf"].contains(&name) || name.starts_with("snap.") {
            found.push(path);
        }
    }
    Ok(found)
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
