//! What the rules allow. Changing a row is a decision: say why beside it.

/// The most lines a Rust file may have.
pub(super) const FILE_LINES_MAX: usize = 500;
/// The most lines a function may have, from its `fn` to its closing brace.
pub(super) const FUNCTION_LINES_MAX: usize = 70;

/// Folders and files that exist on the machine of one author. Written in two halves, so that this file passes.
pub(super) const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/t-")];

/// Names that only some files may use.
pub(super) struct NameRule {
    /// The names: a crate, or a path into one, including everything below.
    pub(super) names: &'static [&'static str],
    /// Where the rule applies: places as `is_in` reads them.
    pub(super) under: &'static [&'static str],
    /// Where the names may be used anyway: places as `is_in` reads them.
    pub(super) except: &'static [&'static str],
    /// Why, as the end of a sentence.
    pub(super) because: &'static str,
}

impl NameRule {
    pub(super) fn applies_to(&self, path: &str) -> bool {
        self.under.iter().any(|place| is_in(path, place))
            && !self.except.iter().any(|place| is_in(path, place))
    }
}

/// Whether a file belongs to a place: `a/b` means `a/b.rs` and everything under `a/b/`, `a/b*` every path that starts
/// with it.
fn is_in(path: &str, place: &str) -> bool {
    match (place.strip_suffix('*'), path.strip_prefix(place)) {
        (Some(start), _) => path.starts_with(start),
        (None, Some(rest)) => rest == ".rs" || rest.starts_with('/'),
        (None, None) => false,
    }
}

/// The crates that ship. The `tests` crate sees everything and is left out.
const SHIPPED: &[&str] = &["protocol", "client-core", "server"];

/// Each external thing has one owning module.
pub(super) const NAMES: &[NameRule] = &[
    NameRule {
        names: &[
            "xundian_client",
            "xundian_server",
            "tokio",
            "quinn",
            "sled",
            "fjall",
            "std::fs",
            "std::net",
            "std::thread",
            "std::time::SystemTime",
            "std::time::Instant",
            "chrono::Utc::now",
            "chrono::Local",
            "uuid::Uuid::now_v7",
        ],
        under: &["protocol/src"],
        except: &[],
        because: "protocol is pure, without socket, file, clock or thread; time and randomness are arguments",
    },
    NameRule {
        names: &["xundian_server"],
        under: &["client-core"],
        except: &[],
        because: "the device never depends on the server; both depend on protocol",
    },
    NameRule {
        names: &["xundian_client"],
        under: &["server"],
        except: &["server/src/demo"],
        because: "the server never depends on the device; the demo's people alone are real clients",
    },
    NameRule {
        names: &["sled"],
        under: &["client-core", "server"],
        except: &["client-core/src/store/engine*", "client-core/src/store/durable_linux"],
        because: "the device's store engine stays replaceable",
    },
    NameRule {
        names: &["fjall"],
        under: &["client-core", "server"],
        except: &["server/src/store"],
        because: "the server's store engine stays replaceable",
    },
    NameRule {
        names: &["object_store", "reqwest"],
        under: SHIPPED,
        except: &["server/src/photos/storage"],
        because: "where pictures lie stays replaceable",
    },
    NameRule {
        names: &["image"],
        under: SHIPPED,
        except: &["server/src/photos/preview", "server/src/demo/picture"],
        because: "one module decodes bytes of others, under its bounds; the demo draws pictures of its own",
    },
    NameRule {
        names: &["quinn"],
        under: &["client-core", "server"],
        except: &["client-core/src/transport", "server/src/transport", "server/src/authority"],
        because: "sessions run the same over any carrier",
    },
    NameRule {
        names: &["rustls", "rcgen"],
        under: SHIPPED,
        except: &[
            "client-core/src/transport",
            "server/src/transport",
            "server/src/authority",
            // It chooses the cryptography of TLS to a store of pictures, nothing else.
            "server/src/photos/storage",
        ],
        because: "keys and certificates are handled in few places",
    },
    NameRule {
        names: &["ring"],
        under: SHIPPED,
        except: &["client-core/src/sealing"],
        because: "one module seals what lies on the device's disk, and one place says how",
    },
    NameRule {
        names: &["axum", "maud"],
        under: SHIPPED,
        except: &["server/src/console", "server/src/api"],
        because: "pages and HTTP are one reader of the server among others",
    },
    NameRule {
        names: &["uniffi"],
        under: SHIPPED,
        except: &["client-core/src/ffi", "client-core/src/bin/uniffi-bindgen"],
        because: "nothing of the bindings for other languages leaks inward",
    },
    NameRule {
        names: &["bincode"],
        under: SHIPPED,
        except: &["protocol/src/wire"],
        because: "stored and sent bytes have a version byte and stay replaceable",
    },
];

/// Which top-level module may import which: (crate, module, the modules it may name by `crate::`). lib.rs, main.rs and
/// bin/ are the root and may name all. A row for a missing module is no error. A crate is checked once it has a row,
/// and then each of its modules needs one.
pub(super) const DIRECTION: &[(&str, &str, &[&str])] = &[
    ("protocol", "ids", &[]),
    ("protocol", "limits", &[]),
    ("protocol", "simulation", &["ids"]),
    ("protocol", "invitation", &[]),
    ("protocol", "calendar", &["ids", "limits"]),
    ("protocol", "clock", &["ids", "limits"]),
    ("protocol", "record", &["ids", "limits", "simulation", "calendar", "clock"]),
    ("protocol", "kinds", &["ids", "limits", "calendar", "clock", "record", "figures", "simulation"]),
    ("protocol", "access", &["ids", "limits", "calendar", "clock", "record", "kinds"]),
    ("protocol", "figures", &["ids", "limits", "calendar", "clock", "record"]),
    ("protocol", "digest", &[]),
    (
        "protocol",
        "wire",
        &["ids", "limits", "calendar", "clock", "digest", "record", "kinds", "access", "figures"],
    ),
    (
        "protocol",
        "sync",
        &["ids", "limits", "calendar", "clock", "digest", "record", "kinds", "access", "figures", "wire"],
    ),
    ("client-core", "sealing", &[]),
    // Durability of file names has one implementation, for the store, the identity files and the photos.
    ("client-core", "disk", &[]),
    ("client-core", "store", &["sealing", "disk"]),
    // Files of pictures; the store knows which of them are unsent.
    ("client-core", "photos", &["sealing", "disk"]),
    ("client-core", "transport", &[]),
    ("client-core", "errors", &["store", "photos"]),
    ("client-core", "recorder", &["errors", "store"]),
    ("client-core", "visit_ops", &["errors", "recorder", "store"]),
    ("client-core", "json", &[]),
    (
        "client-core",
        "client",
        &["json", "sealing", "disk", "store", "photos", "transport", "errors", "recorder", "visit_ops"],
    ),
    ("client-core", "ffi", &["client", "errors", "visit_ops", "sealing", "store", "photos"]),
    ("client-core", "cli", &["client", "errors", "visit_ops"]),
    // Durability of folders and file names has one implementation.
    ("server", "disk", &[]),
    ("server", "authority", &["disk"]),
    ("server", "allocator", &[]),
    ("server", "store", &["disk"]),
    ("server", "transport", &["authority"]),
    ("server", "ingest", &["store"]),
    ("server", "server", &["disk", "authority", "store", "ingest"]),
    ("server", "enrolment", &["authority", "store", "server"]),
    ("server", "figures", &["store", "server"]),
    ("server", "verify", &["store", "ingest", "server"]),
    ("server", "pull", &["store", "server"]),
    ("server", "photos", &["disk", "store", "server", "verify"]),
    (
        "server",
        "sessions",
        &["authority", "store", "transport", "server", "enrolment", "figures", "pull", "photos"],
    ),
    ("server", "imports", &["store", "server"]),
    // A report's unit may be named in every way that an import allows.
    ("server", "report", &["store", "server", "figures", "imports"]),
    ("server", "console", &["store", "server", "figures", "sessions", "photos"]),
    (
        "server",
        "admin",
        &[
            "store",
            "server",
            "enrolment",
            "figures",
            "verify",
            "imports",
            "report",
            "sessions",
            "console",
            "photos",
        ],
    ),
    ("server", "serve", &["allocator", "transport", "server", "sessions", "admin", "console", "photos"]),
    (
        "server",
        "demo",
        &[
            "store",
            "server",
            "enrolment",
            "figures",
            "verify",
            "imports",
            "sessions",
            "console",
            "serve",
            "report",
            "photos",
        ],
    ),
    ("server", "cli", &[]),
];
