//! `serve`: sessions, console and administration of one data folder, until the process is told to stop.

use crate::allocator::share_heaps;
use crate::photos::{Photos, PhotosError, SpoolLimits, StorageLocation};
use crate::server::{OpenError, Server};
use crate::sessions;
use crate::transport::{BindError, Listener};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Threads for store work. More would not be faster on one store, and each keeps its own memory.
const BLOCKING_THREADS: usize = 4;

/// Creates the server's runtime. It also configures the allocator, so it is created first.
///
/// # Errors
/// Returns an error if the system gives no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    share_heaps();
    tokio::runtime::Builder::new_multi_thread().max_blocking_threads(BLOCKING_THREADS).enable_all().build()
}

/// What to serve, and on which addresses.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// The console's address.
    pub http: SocketAddr,
    /// The address for devices.
    pub quic: SocketAddr,
    /// The location of photos: a folder or `s3://bucket/prefix`; a folder in the data folder by default.
    pub photos: Option<String>,
}

/// The interval between sweeps of the spool.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why the server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The address for devices is unavailable.
    #[error(transparent)]
    Quic(#[from] BindError),
    /// The console's address is unavailable.
    #[error("the console cannot listen on {address}: {source}; choose another with --http")]
    Http {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The console's users cannot be read.
    #[error(transparent)]
    Users(#[from] crate::console::UsersError),
    /// The pictures cannot be opened.
    #[error(transparent)]
    Photos(#[from] PhotosError),
    /// The administration socket failed.
    #[error("administration cannot listen in the data folder: {0}")]
    Admin(std::io::Error),
}

/// A running server.
pub struct Running {
    /// The opened server.
    pub server: Arc<Server>,
    /// Its pictures.
    pub photos: Arc<Photos>,
    /// The bound address for devices.
    pub quic: SocketAddr,
    /// The bound address of the console.
    pub http: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Opens the data folder and starts to serve it.
pub async fn start(config: &Config) -> Result<Running, ServeError> {
    let server = Arc::new(tokio::task::block_in_place(|| Server::open(&config.data, sessions::now_ms()))?);
    start_with(server, config).await
}

/// Starts to serve an open server.
pub async fn start_with(server: Arc<Server>, config: &Config) -> Result<Running, ServeError> {
    let (stop, stopped) = watch::channel(false);
    let location =
        StorageLocation::read(config.photos.as_deref(), &config.data).map_err(PhotosError::Storage)?;
    let photos = Arc::new(Photos::open(Arc::clone(&server), &location, SpoolLimits::default())?);
    photos.probe().await.map_err(PhotosError::Storage)?;
    let listener = Listener::bind(config.quic, &server.authority)?;
    let quic = listener.address();
    let address = config.http;
    let http_listener = tokio::net::TcpListener::bind(address).await;
    let http_listener = http_listener.map_err(|source| ServeError::Http { address, source })?;
    let http = http_listener.local_addr().map_err(|source| ServeError::Http { address, source })?;
    let users = crate::console::Users::open(&config.data)?;
    let router = crate::console::router(Arc::clone(&server), Arc::clone(&photos), users);
    let mut http_stop = stopped.clone();
    let shutdown = async move {
        // An error means that the sender is gone, which is a stop as well.
        let _ended = http_stop.wait_for(|stop| *stop).await.is_ok();
    };
    let admin = crate::admin::listen(Arc::clone(&photos), stopped.clone()).map_err(ServeError::Admin)?;
    let tasks = vec![
        tokio::spawn(sweep(Arc::clone(&photos), stopped.clone())),
        tokio::spawn(sessions::run(Arc::clone(&server), Arc::clone(&photos), listener, stopped)),
        tokio::spawn(async move {
            if let Err(error) = crate::console::serve(http_listener, router, shutdown).await {
                tracing::error!("the console has ended: {error}");
            }
        }),
        tokio::spawn(admin),
    ];
    Ok(Running { server, photos, quic, http, stop, tasks })
}

/// Sweeps the spool at once and then every day, until `stopped` becomes true.
async fn sweep(photos: Arc<Photos>, mut stopped: watch::Receiver<bool>) {
    let mut days = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = days.tick() => {}
            // An error means that the sender is gone, which is a stop as well.
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let photos = Arc::clone(&photos);
        if let Err(error) = tokio::task::spawn_blocking(move || photos.sweep(sessions::now_ms())).await {
            tracing::error!("the sweep of the spool was given up: {error}");
        }
    }
}

impl Running {
    /// Shuts all sessions down gracefully and waits for it.
    pub async fn stop(self) {
        // No receiver means that all tasks have ended already.
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!("a task has failed: {error}");
            }
        }
    }
}

/// Serves until Ctrl-C or SIGTERM.
pub async fn run(config: &Config) -> Result<(), ServeError> {
    let running = start(config).await?;
    tracing::info!(quic = %running.quic, http = %running.http, data = %config.data.display(), "serving");
    until_told_to_stop().await;
    running.stop().await;
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn until_told_to_stop() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!("SIGTERM cannot be heard: {error}");
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        ended = tokio::signal::ctrl_c() => {
            if let Err(error) = ended {
                tracing::error!("Ctrl-C cannot be heard: {error}");
            }
        }
    }
}
