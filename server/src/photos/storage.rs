//! Where pictures are stored: a folder, or an S3 bucket, both through `object_store`, which only this module uses.
//!
//! | object | content |
//! |---|---|
//! | `pictures/ab/abcd…` | a picture, under its hash in hexadecimal digits |
//! | `previews/ab/abcd…` | its thumbnail, a JPEG |
//!
//! A picture is durable when its put returns: in a folder, the file and its folders are synced.

use crate::disk;
use object_store::aws::AmazonS3Builder;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use xundian_protocol::ids::ContentHash;

/// The most retries of a request, before the device is told to retry later.
const RETRIES_MAX: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// The timeout of one request, enough for the largest picture over a slow line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// An object that is written and read when the server starts.
const PROBE: &str = "probe";
/// A staged file of a put is renamed within seconds. An older one is left from an interrupted put.
const STAGED_MS_MAX: i64 = 60 * 60 * 1000;

/// The location of pictures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StorageLocation {
    /// In a folder.
    Folder(PathBuf),
    /// In an S3 bucket, under a prefix that may be empty.
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix of all object names.
        prefix: String,
    },
}

/// Why pictures cannot be stored there, or one could not be put or fetched.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The location is malformed.
    #[error("{text:?} is not a location for photos: give a folder, or s3://bucket/prefix")]
    Location {
        /// The given text.
        text: String,
    },
    /// The folder cannot be used.
    #[error("the folder for photos {} cannot be used: {source}; check that it exists and is yours, and its disk's free space", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The settings of the storage are wrong.
    #[error(
        "the store of photos {location} is misconfigured: {detail}; docs/OPERATE.md lists the AWS_… variables"
    )]
    Setup {
        /// The storage.
        location: String,
        /// What is wrong.
        detail: String,
    },
    /// The storage refuses a request.
    #[error(
        "the store of photos {location} refuses: {detail}; check the bucket, the region and the keys (AWS_… variables)"
    )]
    Refused {
        /// The storage.
        location: String,
        /// Its error.
        detail: String,
    },
    /// The storage does not answer.
    #[error("the store of photos {location} does not answer: {detail}")]
    Unreachable {
        /// The storage.
        location: String,
        /// What happened.
        detail: String,
    },
}

impl StorageLocation {
    /// Parses a location; the folder `photos` in the data folder if none is given.
    pub fn read(text: Option<&str>, data: &Path) -> Result<Self, StorageError> {
        let Some(text) = text else { return Ok(Self::Folder(data.join("photos"))) };
        let wrong = || StorageError::Location { text: text.chars().take(200).collect() };
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                if bucket.is_empty() || !bucket.chars().all(is_name) {
                    return Err(wrong());
                }
                Ok(Self::S3 { bucket: bucket.into(), prefix: prefix.trim_matches('/').into() })
            }
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            None if !text.is_empty() => Ok(Self::Folder(text.into())),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for StorageLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// The stored pictures and their thumbnails.
#[derive(Debug)]
pub(super) struct Storage {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    location: StorageLocation,
}

/// A type of object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    /// A picture.
    Picture,
    /// Its thumbnail.
    Preview,
}

impl Of {
    const fn folder(self) -> &'static str {
        match self {
            Self::Picture => "pictures",
            Self::Preview => "previews",
        }
    }
}

impl Storage {
    /// Sets the storage up, without contacting it yet.
    pub(super) fn open(location: &StorageLocation) -> Result<Self, StorageError> {
        let (store, prefix): (Arc<dyn ObjectStore>, _) = match location {
            StorageLocation::Folder(folder) => (Arc::new(local(folder)?), String::new()),
            StorageLocation::S3 { bucket, prefix } => (Arc::new(s3(location, bucket)?), prefix.clone()),
        };
        Ok(Self { store, prefix, location: location.clone() })
    }

    /// Where it is.
    pub(super) const fn location(&self) -> &StorageLocation {
        &self.location
    }

    /// Writes, reads and removes a test object.
    pub(super) async fn probe(&self) -> Result<(), StorageError> {
        let path = self.path(PROBE);
        self.store
            .put(&path, PutPayload::from_static(b"xundian"))
            .await
            .map_err(|error| self.failed(&error))?;
        self.store.get(&path).await.map_err(|error| self.failed(&error))?;
        self.store.delete(&path).await.map_err(|error| self.failed(&error))
    }

    /// Stores an object; it is durable when this returns.
    pub(super) async fn put(&self, of: Of, hash: ContentHash, bytes: Vec<u8>) -> Result<(), StorageError> {
        let put = self.store.put(&self.object(of, hash), bytes.into()).await;
        put.map(|_| ()).map_err(|error| self.failed(&error))
    }

    /// An object, if it exists.
    pub(super) async fn get(&self, of: Of, hash: ContentHash) -> Result<Option<Vec<u8>>, StorageError> {
        let got = match self.store.get(&self.object(of, hash)).await {
            Ok(got) => got.bytes().await,
            Err(error) => Err(error),
        };
        match got {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The pictures whose hash begins with a byte, and their sizes. Names that are not hashes are skipped.
    pub(super) async fn list(&self, first: u8) -> Result<Vec<(ContentHash, u64)>, StorageError> {
        let folder = self.path(&format!("pictures/{first:02x}"));
        let listed = self.store.list_with_delimiter(Some(&folder)).await;
        let listed = listed.map_err(|error| self.failed(&error))?;
        let named = listed
            .objects
            .iter()
            .filter_map(|object| Some((object.location.filename()?.parse().ok()?, object.size)));
        Ok(named.collect())
    }

    /// Removes the remains of interrupted puts into a folder. Returns the number of files.
    pub(super) fn sweep(&self, now_ms: i64) -> Result<usize, StorageError> {
        let StorageLocation::Folder(folder) = &self.location else { return Ok(0) };
        let failed = |source| StorageError::Folder { folder: folder.clone(), source };
        let mut swept = 0;
        for of in [Of::Picture, Of::Preview] {
            for first in 0..=u8::MAX {
                let of_first = folder.join(of.folder()).join(format!("{first:02x}"));
                swept += sweep_staged(&of_first, now_ms).map_err(failed)?;
            }
        }
        Ok(swept)
    }

    fn object(&self, of: Of, hash: ContentHash) -> ObjectPath {
        self.path(&format!("{}/{:02x}/{hash}", of.folder(), hash.0[0]))
    }

    fn path(&self, name: &str) -> ObjectPath {
        ObjectPath::from(format!("{}/{name}", self.prefix))
    }

    fn failed(&self, error: &Error) -> StorageError {
        if let StorageLocation::Folder(folder) = &self.location {
            let source = io::Error::other(innermost(error).to_string());
            return StorageError::Folder { folder: folder.clone(), source };
        }
        let (location, detail) = (self.location.to_string(), chain(error));
        if is_unreachable(error) {
            StorageError::Unreachable { location, detail }
        } else {
            StorageError::Refused { location, detail }
        }
    }
}

/// `object_store` names incomplete files with `#` and a number at the end.
fn sweep_staged(folder: &Path, now_ms: i64) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().contains('#') {
            continue;
        }
        let modified = entry.metadata().and_then(|about| about.modified());
        let age_ms = |modified: SystemTime| {
            let ms = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            now_ms.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX))
        };
        match modified.map(age_ms) {
            Ok(age_ms) if age_ms > STAGED_MS_MAX => {
                fs::remove_file(entry.path())?;
                swept += 1;
            }
            Ok(_) => {}
            // Its put has completed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(swept)
}

/// A folder store whose files and folders are synced before a put returns.
fn local(folder: &Path) -> Result<LocalFileSystem, StorageError> {
    let failed = |source| StorageError::Folder { folder: folder.to_path_buf(), source };
    // A put syncs everything up to this folder; the folder itself must be durable as well.
    disk::make_private_folder(folder).map_err(failed)?;
    let opened =
        LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(std::io::Error::other(error)))?;
    Ok(opened.with_fsync(true))
}

/// A bucket. Endpoint, region and keys come from the usual environment variables of S3.
fn s3(location: &StorageLocation, bucket: &str) -> Result<impl ObjectStore + use<>, StorageError> {
    let setup = |detail: String| StorageError::Setup { location: location.to_string(), detail };
    let variable = |name| std::env::var(name).ok();
    let endpoint = variable("AWS_ENDPOINT_URL_S3")
        .or_else(|| variable("AWS_ENDPOINT_URL"))
        .or_else(|| variable("AWS_ENDPOINT"));
    let allows_http = variable("AWS_ALLOW_HTTP").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://")) && !allows_http {
        let detail = "its endpoint is plain HTTP, which shows every photo to the network: use https://, or set \
                      AWS_ALLOW_HTTP=true where the network is your own";
        return Err(setup(detail.into()));
    }
    // An earlier installation chose the same provider.
    let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
    let retry =
        RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let client = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_allow_http(allows_http);
    let builder =
        AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).with_client_options(client);
    builder.build().map_err(|error| setup(chain(&error)))
}

/// The innermost cause of an error.
fn innermost<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    error.source().map_or(error, innermost)
}

/// An error with its causes, for people.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    // Most errors repeat their cause in their own text.
    let told = causes.fold(Vec::<String>::new(), |mut told, cause| {
        if !told.iter().any(|earlier| earlier.contains(&cause)) {
            told.push(cause);
        }
        told
    });
    told.join(": ")
}

/// Whether the storage did not answer, so that a retry may succeed.
fn is_unreachable(error: &Error) -> bool {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.any(|cause| {
        let kind = cause.downcast_ref::<HttpError>().map(HttpError::kind);
        matches!(
            kind,
            Some(
                HttpErrorKind::Connect
                    | HttpErrorKind::Timeout
                    | HttpErrorKind::Interrupted
                    | HttpErrorKind::Request
            )
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_others_refused() {
        let data = Path::new("/srv/xundian");
        let read = |text| StorageLocation::read(text, data);
        assert_eq!(read(None).expect("the default"), StorageLocation::Folder("/srv/xundian/photos".into()));
        assert_eq!(
            read(Some("/srv/photos")).expect("a folder"),
            StorageLocation::Folder("/srv/photos".into())
        );
        assert_eq!(
            read(Some("file:///srv/photos")).expect("a folder"),
            StorageLocation::Folder("/srv/photos".into())
        );
        let s3 =
            |bucket: &str, prefix: &str| StorageLocation::S3 { bucket: bucket.into(), prefix: prefix.into() };
        assert_eq!(read(Some("s3://shelves")).expect("a bucket"), s3("shelves", ""));
        assert_eq!(read(Some("s3://shelves/a/b/")).expect("a prefix"), s3("shelves", "a/b"));
        for wrong in
            ["", "s3://", "s3:///prefix", "s3://a b/", "gs://bucket", "https://host/x", "file://host/x"]
        {
            assert!(matches!(read(Some(wrong)), Err(StorageError::Location { .. })), "{wrong}");
        }
    }

    #[test]
    fn what_a_killed_put_has_left_is_swept_and_what_is_being_put_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::open(&StorageLocation::Folder(folder.path().to_owned())).expect("it is there");
        assert_eq!(storage.sweep(0).expect("nothing was put yet"), 0);
        let within = folder.path().join("pictures/ab");
        fs::create_dir_all(&within).expect("a folder");
        let now_ms = 1_800_000_000_000;
        for (name, age_ms) in [("abcd#1", STAGED_MS_MAX + 1), ("abcd#2", 1000), ("abcd", 10 * STAGED_MS_MAX)]
        {
            let file = fs::File::create(within.join(name)).expect("a file");
            let at = std::time::Duration::from_millis((now_ms - age_ms).unsigned_abs());
            file.set_modified(UNIX_EPOCH + at).expect("its own");
        }
        assert_eq!(storage.sweep(now_ms).expect("readable"), 1);
        assert!(
            !within.join("abcd#1").exists() && within.join("abcd#2").exists() && within.join("abcd").exists()
        );
        assert_eq!(storage.sweep(now_ms + STAGED_MS_MAX).expect("readable"), 1);
    }

    #[tokio::test]
    async fn a_folder_keeps_pictures_under_their_hash() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage =
            Storage::open(&StorageLocation::Folder(folder.path().join("photos"))).expect("it is made");
        storage.probe().await.expect("it can be written");
        let picture = b"a shelf".to_vec();
        let hash = ContentHash::of(&picture);
        assert_eq!(storage.get(Of::Picture, hash).await.expect("readable"), None);
        storage.put(Of::Picture, hash, picture.clone()).await.expect("writable");
        storage.put(Of::Preview, hash, b"small".to_vec()).await.expect("writable");
        assert_eq!(storage.get(Of::Picture, hash).await.expect("readable"), Some(picture));
        assert_eq!(storage.list(hash.0[0]).await.expect("readable"), [(hash, 7)]);
        assert!(storage.list(hash.0[0].wrapping_add(1)).await.expect("readable").is_empty());
        let at = folder.path().join(format!("photos/pictures/{:02x}/{hash}", hash.0[0]));
        assert_eq!(std::fs::read(at).expect("a plain file"), b"a shelf");
    }
}
