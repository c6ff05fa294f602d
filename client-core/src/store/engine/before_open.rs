//! The copy of sled's files that is made before sled opens a store that was not closed: sled changes them while it
//! opens, and clears all behind the first damage that it meets. Knows the names of files; knows no key or value.
//!
//! A copy is whole or not there: it is made under another name, and gets and loses its own by a renaming. So whoever
//! finds one knows that an opening came to no end, and that the copy is what was there before it, as the journal was
//! only read. It stays until sled's files are either put back or known to be good, both durably: at any moment a crash
//! leaves good files or a whole copy.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::sync_folder;

const NAME: &str = "before-open";
/// While it is being made.
const UNFINISHED_NAME: &str = "before-open.new";
/// While it is being removed.
const UNNEEDED_NAME: &str = "before-open.old";

/// Removes what is left of copies whose making or removal came to no end.
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
        // A part of a copy would only take the room that sled needs.
        let _ = remove_if_there(&unfinished);
    }
    made
}

/// Puts sled's files back as they were, if there is a copy of them. Says whether there is one; it stays.
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

/// Removes sled's files, where it has only begun to make them.
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

/// Copies sled's files from one folder into another, durably.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for file in files_of_sled(from)? {
        let copy = to.join(file.file_name().unwrap_or_default());
        fs::copy(file, &copy)?;
        // Not every system syncs a file that was opened for reading.
        OpenOptions::new().write(true).open(copy).and_then(|copy: File| copy.sync_all())?;
    }
    sync_folder(to)
}

/// The files that sled may change while it opens.
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
