//! A relay of datagrams between devices and a server, which counts the bytes both ways. It can be slow, it can be far
//! away, and it can be cut.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// More than any datagram on a loopback.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// Datagrams that wait to be passed on, each way; what comes on top is lost, as in a router.
const QUEUE_MAX: usize = 64;

/// A relay; it ends when it is let go.
pub struct Relay {
    /// Where devices connect.
    pub address: SocketAddr,
    link: Arc<Link>,
    task: JoinHandle<()>,
}

/// What all ways through a relay have in common.
struct Link {
    /// `None` where datagrams pass at once.
    bits_per_s: Option<u64>,
    /// How long each datagram is on its way, at least.
    one_way: Duration,
    bytes: AtomicU64,
    /// Those towards the server alone.
    bytes_up: AtomicU64,
    /// How often it was cut. Connections from before the last cut are dead.
    cuts: AtomicU64,
    addresses: AtomicU64,
}

impl Relay {
    /// Starts a relay to a server.
    ///
    /// # Panics
    /// Where there is no free port.
    pub async fn to(server: SocketAddr) -> Self {
        Self::start(server, None, Duration::ZERO).await
    }

    /// The same over a link that carries so many bits a second, each way and each device.
    ///
    /// # Panics
    /// Where there is no free port.
    pub async fn slow(server: SocketAddr, bits_per_s: u64) -> Self {
        Self::start(server, Some(bits_per_s), Duration::ZERO).await
    }

    /// The same over a long way: each datagram takes so long, each way.
    ///
    /// # Panics
    /// Where there is no free port.
    pub async fn far(server: SocketAddr, one_way: Duration) -> Self {
        Self::start(server, None, one_way).await
    }

    async fn start(server: SocketAddr, bits_per_s: Option<u64>, one_way: Duration) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
        let address = socket.local_addr().expect("a bound address");
        let zero = || AtomicU64::new(0);
        let (bytes, bytes_up, cuts, addresses) = (zero(), zero(), zero(), zero());
        let link = Arc::new(Link { bits_per_s, one_way, bytes, bytes_up, cuts, addresses });
        let task = tokio::spawn(relay(socket, server, Arc::clone(&link)));
        Self { address, link, task }
    }

    /// Bytes of datagrams, both ways, since this was last asked.
    pub fn take_bytes(&self) -> u64 {
        self.link.bytes.swap(0, Ordering::Relaxed)
    }

    /// Bytes of datagrams towards the server since this was last asked, also of those that were lost.
    pub fn take_bytes_up(&self) -> u64 {
        self.link.bytes_up.swap(0, Ordering::Relaxed)
    }

    /// From how many addresses devices have come.
    pub fn addresses(&self) -> u64 {
        self.link.addresses.load(Ordering::SeqCst)
    }

    /// Loses what is on its way and all that ever follows of the connections that there are, without a word to either
    /// end. New connections pass.
    pub fn cut(&self) {
        self.link.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One device's way through the relay.
struct Way {
    /// How often the link was cut when the device first came.
    cuts: u64,
    onward: mpsc::Sender<Datagram>,
}

/// What waits to be passed on, and since when.
struct Datagram {
    came_at: Instant,
    bytes: Vec<u8>,
}

impl Datagram {
    fn new(bytes: &[u8]) -> Self {
        Self { came_at: Instant::now(), bytes: bytes.to_vec() }
    }
}

async fn relay(socket: Arc<UdpSocket>, server: SocketAddr, link: Arc<Link>) {
    let mut ways: HashMap<SocketAddr, Way> = HashMap::new();
    // They end with the relay.
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok((len, device)) = socket.recv_from(&mut buffer).await {
        link.bytes.fetch_add(len as u64, Ordering::Relaxed);
        link.bytes_up.fetch_add(len as u64, Ordering::Relaxed);
        let way = match ways.entry(device) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let Ok(own) = UdpSocket::bind("127.0.0.1:0").await else { continue };
                if own.connect(server).await.is_err() {
                    continue;
                }
                let (own, cuts) = (Arc::new(own), link.cuts.load(Ordering::SeqCst));
                let (onward, up) = mpsc::channel(QUEUE_MAX);
                let (back, down) = mpsc::channel(QUEUE_MAX);
                tasks.spawn(pass(up, Arc::clone(&own), None, Arc::clone(&link), cuts));
                tasks.spawn(receive(own, back, Arc::clone(&link)));
                tasks.spawn(pass(down, Arc::clone(&socket), Some(device), Arc::clone(&link), cuts));
                link.addresses.fetch_add(1, Ordering::SeqCst);
                new.insert(Way { cuts, onward })
            }
        };
        if way.cuts == link.cuts.load(Ordering::SeqCst) {
            // A datagram that finds no room is a datagram lost, which QUIC bears.
            let _queued = way.onward.try_send(Datagram::new(&buffer[..len])).is_ok();
        }
    }
}

/// Takes what the server sends to one device.
async fn receive(own: Arc<UdpSocket>, back: mpsc::Sender<Datagram>, link: Arc<Link>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok(len) = own.recv(&mut buffer).await {
        link.bytes.fetch_add(len as u64, Ordering::Relaxed);
        let _queued = back.try_send(Datagram::new(&buffer[..len])).is_ok();
    }
}

/// Passes datagrams on, as fast as the link is, until it is cut.
async fn pass(
    mut queue: mpsc::Receiver<Datagram>,
    socket: Arc<UdpSocket>,
    to: Option<SocketAddr>,
    link: Arc<Link>,
    cuts: u64,
) {
    let mut free_at = Instant::now();
    while let Some(Datagram { came_at, bytes }) = queue.recv().await {
        if let Some(bits_per_s) = link.bits_per_s {
            let takes = Duration::from_micros(bytes.len() as u64 * 8 * 1_000_000 / bits_per_s);
            free_at = free_at.max(Instant::now()) + takes;
            tokio::time::sleep_until(free_at).await;
        }
        if !link.one_way.is_zero() {
            tokio::time::sleep_until(came_at + link.one_way).await;
        }
        if cuts != link.cuts.load(Ordering::SeqCst) {
            return;
        }
        let _sent = match to {
            Some(device) => socket.send_to(&bytes, device).await.is_ok(),
            None => socket.send(&bytes).await.is_ok(),
        };
    }
}
