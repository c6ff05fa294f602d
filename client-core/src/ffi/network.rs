//! Network work runs on the library's own thread, so that it blocks no thread of the app, and ends when the app stops
//! waiting for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::errors::{ClientError, ObserverError};
use crate::client::SyncProgress;

/// Receives the progress of a sync.
#[uniffi::export(with_foreign)]
pub trait ProgressObserver: Send + Sync {
    /// Called after each step of the sync, on the library's thread: return quickly. A failure is ignored: it does not
    /// end the sync.
    ///
    /// # Errors
    /// Returns an error if the app's own code fails.
    fn on_progress(&self, progress: SyncProgress) -> Result<(), ObserverError>;
}

/// The library's runtime: one thread for the network, and short-lived ones that call observers.
///
/// # Errors
/// Returns an error if the system gives no thread.
pub(super) fn runtime() -> Result<&'static Runtime, ClientError> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let start = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("xundian").enable_all();
        builder.build().map_err(|error| error.to_string())
    };
    RUNTIME.get_or_init(start).as_ref().map_err(ClientError::internal)
}

/// Abandoned work that may not have ended yet.
#[derive(Default)]
pub(super) struct AbandonedWork(Mutex<Vec<watch::Receiver<()>>>);

impl AbandonedWork {
    /// Runs work on the library's thread. If its future is dropped early, or the app goes to the background, the work
    /// ends at its next step. The next work waits for that, so that it does not find a sync running.
    ///
    /// # Errors
    /// Returns the work's error, or an internal error if it panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        mut backgrounded: watch::Receiver<()>,
        work: impl Future<Output = Result<T, ClientError>> + Send + 'static,
    ) -> Result<T, ClientError> {
        self.wait().await;
        let (running, ended) = watch::channel(());
        let task = runtime()?.spawn(async move {
            // Dropped when the work ends or is abandoned.
            let _running = running;
            tokio::select! {
                biased;
                result = work => result,
                Ok(()) = backgrounded.changed() => Err(ClientError::backgrounded()),
            }
        });
        Waiting { task, ended, abandoned: self }.await
    }

    async fn wait(&self) {
        let abandoned = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|ended| ended.has_changed().is_ok());
            all.clone()
        };
        for mut ended in abandoned {
            // Nothing is ever sent, so this is the closing of the channel.
            while ended.changed().await.is_ok() {}
        }
    }
}

/// Waits for a task, and abandons it when dropped.
struct Waiting<'a, T> {
    task: JoinHandle<Result<T, ClientError>>,
    ended: watch::Receiver<()>,
    abandoned: &'a AbandonedWork,
}

impl<T> Future for Waiting<'_, T> {
    type Output = Result<T, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let joined = Pin::new(&mut self.task).poll(context);
        joined.map(|result| result.unwrap_or_else(|error| Err(ClientError::internal(error))))
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.task.abort();
        let mut abandoned = self.abandoned.0.lock().unwrap_or_else(PoisonError::into_inner);
        abandoned.push(self.ended.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct SignalOnDrop(Arc<AtomicBool>);

    impl Drop for SignalOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// A signal that never fires: an app that stays in the foreground.
    fn staying() -> watch::Receiver<()> {
        watch::channel(()).1
    }

    #[tokio::test]
    async fn work_ends_when_the_app_goes_to_the_background() {
        let (leaves, backgrounded) = watch::channel(());
        let work = async move {
            leaves.send_replace(());
            std::future::pending::<Result<(), ClientError>>().await
        };
        let error = AbandonedWork::default().run(backgrounded, work).await;
        assert_eq!(error.map_err(|error| error.code()), Err(super::super::ErrorCode::Backgrounded));
    }

    #[tokio::test]
    async fn abandoned_work_ends_before_the_next_begins() {
        let (abandoned, ended) = (AbandonedWork::default(), Arc::new(AtomicBool::new(false)));
        let (started, mut has_started) = watch::channel(false);
        let held = SignalOnDrop(Arc::clone(&ended));
        let endless = abandoned.run::<()>(staying(), async move {
            let _held = held;
            started.send_replace(true);
            std::future::pending().await
        });
        tokio::select! {
            _ = endless => unreachable!("it never ends by itself"),
            _ = has_started.changed() => {}
        }
        let seen = abandoned.run(staying(), async move { Ok(ended.load(Ordering::SeqCst)) }).await;
        assert_eq!(seen, Ok(true));
    }

    #[tokio::test]
    async fn a_panic_becomes_an_error() {
        let error = AbandonedWork::default().run::<()>(staying(), async { panic!("a fault") }).await;
        assert_eq!(error.map_err(|error| error.code()), Err(super::super::ErrorCode::Internal));
    }
}
