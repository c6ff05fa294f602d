//! The console's users: a file of names, password hashes and their people.
//!
//! The file is read again at each use, so a change by the command line takes effect at once. Ignores what a user may
//! see: that follows from the person's position.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use xundian_protocol::ids::PersonId;

/// The file's name in the data folder.
pub const USERS_FILE: &str = "users.json";
/// The fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// The most bytes of a password, so that hashing cannot be used to keep the server busy.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// The most characters of a name.
pub const NAME_CHARS_MAX: usize = 64;
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Why users could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file could not be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// The attempted action.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file does not contain users.
    #[error("{path} is not a file of users: {source}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// The name is not allowed.
    #[error("{name:?} cannot be a user name: use 1 to {NAME_CHARS_MAX} characters without spaces")]
    Name {
        /// The given name.
        name: String,
    },
    /// The password is too short or too long.
    #[error("a password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes")]
    Password,
    /// There is such a user already.
    #[error("there is a user {name:?} already")]
    Taken {
        /// The name.
        name: String,
    },
    /// There is no such user.
    #[error("there is no user {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The password could not be hashed.
    #[error("the password cannot be hashed: {reason}")]
    Hash {
        /// The reason.
        reason: String,
    },
}

/// A user of the console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The name to log in with.
    pub name: String,
    /// The person whose position decides what the user sees; none for headquarters.
    pub person: Option<PersonId>,
    /// The argon2id hash in PHC form.
    password_hash: String,
}

impl User {
    /// A digest of the user's password hash and person; a session ends when it changes.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.password_hash.as_bytes());
        hasher.update(self.person.map_or([0; 16], |person| *person.0.as_bytes()).as_slice());
        *hasher.finalize().as_bytes()
    }
}

/// A user in the file.
#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    password_hash: String,
    person: Option<String>,
}

/// The users of one data folder.
#[derive(Clone, Debug)]
pub struct Users {
    path: PathBuf,
}

impl Users {
    /// Opens the users of a data folder. The file is created when the first user is added.
    pub fn open(data: &Path) -> Result<Self, UsersError> {
        let users = Self { path: data.join(USERS_FILE) };
        // An unreadable file should fail at the start rather than at the first login.
        users.all()?;
        Ok(users)
    }

    /// All users, by name.
    pub fn all(&self) -> Result<Vec<User>, UsersError> {
        let bytes = match self.read() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed("read")(error)),
        };
        let format = |source| UsersError::Format { path: self.path.clone(), source };
        let lines: Vec<Line> = serde_json::from_slice(&bytes).map_err(format)?;
        let user = |line: Line| {
            let person = line.person.map(|id| id.parse()).transpose();
            let person = person
                .map_err(|error: xundian_protocol::ids::IdError| format(serde::de::Error::custom(error)))?;
            Ok(User { name: line.name, person, password_hash: line.password_hash })
        };
        lines.into_iter().map(user).collect()
    }

    /// The user with a name.
    pub fn find(&self, name: &str) -> Result<Option<User>, UsersError> {
        Ok(self.all()?.into_iter().find(|user| user.name == name))
    }

    /// Adds a user. Without a person the user is headquarters and sees the nation.
    pub fn add_user(&self, name: &str, password: &str, person: Option<PersonId>) -> Result<(), UsersError> {
        let plain = |c: char| !c.is_whitespace() && !c.is_control();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(plain) {
            return Err(UsersError::Name { name: name.chars().take(NAME_CHARS_MAX).collect() });
        }
        let password_hash = hash(password)?;
        self.change(|users| {
            if users.iter().any(|user| user.name == name) {
                return Err(UsersError::Taken { name: name.into() });
            }
            users.push(User { name: name.into(), person, password_hash });
            Ok(())
        })
    }

    /// Sets a user's password; sessions of the old password end.
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), UsersError> {
        let password_hash = hash(password)?;
        self.change(|users| {
            let found = users.iter_mut().find(|user| user.name == name);
            found.ok_or_else(|| UsersError::Unknown { name: name.into() })?.password_hash = password_hash;
            Ok(())
        })
    }

    /// Removes a user and ends their sessions.
    pub fn remove_user(&self, name: &str) -> Result<(), UsersError> {
        self.change(|users| {
            let before = users.len();
            users.retain(|user| user.name != name);
            if users.len() == before { Err(UsersError::Unknown { name: name.into() }) } else { Ok(()) }
        })
    }

    /// The user, if the password is correct. An unknown name takes as much time as a wrong password.
    pub fn verify(&self, name: &str, password: &str) -> Result<Option<User>, UsersError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(None);
        }
        let user = self.find(name)?;
        let stored = user.as_ref().map_or(NOBODYS_HASH.as_str(), |user| user.password_hash.as_str());
        let fits = PasswordHash::new(stored)
            .is_ok_and(|stored| Argon2::default().verify_password(password.as_bytes(), &stored).is_ok());
        Ok(user.filter(|_| fits))
    }

    /// Reads, changes and writes the file under a lock against other processes.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<User>) -> Result<(), UsersError>,
    ) -> Result<(), UsersError> {
        let lock = File::create(self.path.with_extension("lock")).map_err(self.failed("lock"))?;
        lock.lock().map_err(self.failed("lock"))?;
        let mut users = self.all()?;
        change(&mut users)?;
        users.sort_by(|a, b| a.name.cmp(&b.name));
        let line = |user: User| Line {
            name: user.name,
            password_hash: user.password_hash,
            person: user.person.map(|person| person.to_string()),
        };
        let lines: Vec<Line> = users.into_iter().map(line).collect();
        let text = serde_json::to_vec_pretty(&lines)
            .map_err(|source| UsersError::Format { path: self.path.clone(), source })?;
        self.replace(&text).map_err(self.failed("write"))
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        if fs::metadata(&self.path)?.len() > FILE_BYTES_MAX {
            return Err(io::Error::other("the file is too large"));
        }
        fs::read(&self.path)
    }

    /// Replaces the file atomically: a crash leaves the old text or the new one.
    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("json.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // A crash may have left a temporary file; it was never renamed.
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        #[cfg(unix)]
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> UsersError {
        let path = self.path.clone();
        move |source| UsersError::File { action, path, source }
    }
}

/// The hash that an unknown name's password is compared with.
static NOBODYS_HASH: LazyLock<String> =
    LazyLock::new(|| hash("nobody has this password").unwrap_or_default());

fn hash(password: &str) -> Result<String, UsersError> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        return Err(UsersError::Password);
    }
    let reason = |error: argon2::password_hash::Error| UsersError::Hash { reason: error.to_string() };
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(reason)?;
    // The defaults are argon2id with OWASP's parameters: 19 MiB, 2 passes.
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(reason)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xundian_protocol::ids::RecordId;

    #[test]
    fn a_password_lets_in_its_own_user_only() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::open(folder.path()).unwrap();
        let person = Some(PersonId(RecordId::v7(1, [1; 10])));
        users.add_user("王芳", "正确的密码一二三四", person).unwrap();
        users.add_user("hq", "long enough", None).unwrap();
        assert_eq!(users.verify("王芳", "正确的密码一二三四").unwrap().unwrap().person, person);
        assert_eq!(users.verify("王芳", "long enough").unwrap(), None);
        assert_eq!(users.verify("nobody", "nobody has this password").unwrap(), None);
        users.set_password("hq", "another one").unwrap();
        assert_eq!(users.verify("hq", "long enough").unwrap(), None);
        assert!(users.verify("hq", "another one").unwrap().is_some());
        users.remove_user("hq").unwrap();
        assert_eq!(users.all().unwrap().len(), 1);
    }

    #[test]
    fn bad_names_and_passwords_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::open(folder.path()).unwrap();
        assert!(matches!(users.add_user("a b", "long enough", None), Err(UsersError::Name { .. })));
        assert!(matches!(users.add_user("a", "short", None), Err(UsersError::Password)));
        assert!(matches!(users.set_password("a", "long enough"), Err(UsersError::Unknown { .. })));
        users.add_user("a", "long enough", None).unwrap();
        assert!(matches!(users.add_user("a", "long enough", None), Err(UsersError::Taken { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_the_server_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Users::open(folder.path()).unwrap().add_user("a", "long enough", None).unwrap();
        let path = folder.path().join(USERS_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains("long enough"));
    }
}
