//! A relay of datagrams between devices and a server. It counts the bytes in both directions, and can limit the rate,
//! add a delay, or cut all connections.

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
/// The size of each queue of datagrams. Further datagrams are lost, as in a router.
const QUEUE_MAX: usize = 64;

/// A relay, which stops on drop.
pub struct Relay {
    /// The address to which devices connect.
    pub address: SocketAddr,
    link: Arc<Link>,
    task: JoinHandle<()>,
}

/// The state shared by all paths through a relay.
struct Link {
    /// The rate limit; `None` for no limit.
    bits_per_s: Option<u64>,
    /// The least delay of each datagram.
    one_way: Duration,
    bytes: AtomicU64,
    /// The part of `bytes` towards the server.
    bytes_up: AtomicU64,
    /// The number of cuts so far. Paths from before the last cut are dead.
    cuts: AtomicU64,
    addresses: AtomicU64,
}

impl Relay {
    /// Starts a relay to a server.
    ///
    /// # Panics
    /// Panics if there is no free port.
    pub async fn to(server: SocketAddr) -> Self {
        Self::start(server, None, Duration::ZERO).await
    }

    /// Starts a relay that limits the rate, for each device and direction.
    ///
    /// # Panics
    /// Panics if there is no free port.
    pub async fn slow(server: SocketAddr, bits_per_s: u64) -> Self {
        Self::start(server, Some(bits_per_s), Duration::ZERO).await
    }

    /// Starts a relay that delays each datagram, in both directions.
    ///
    /// # Panics
    /// Panics if there is no free port.
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

    /// Returns the bytes of datagrams in both directions since the last call.
    pub fn take_bytes(&self) -> u64 {
        self.link.bytes.swap(0, Ordering::Relaxed)
    }

    /// Returns the bytes of datagrams towards the server since the last call, including lost ones.
    pub fn take_bytes_up(&self) -> u64 {
        self.link.bytes_up.swap(0, Ordering::Relaxed)
    }

    /// Returns the number of addresses from which devices have sent.
    pub fn addresses(&self) -> u64 {
        self.link.addresses.load(Ordering::SeqCst)
    }

    /// Cuts all existing connections: datagrams in flight and all later ones are lost, without a signal to either end.
    /// New connections pass.
    pub fn cut(&self) {
        self.link.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One device's path through the relay.
struct Way {
    /// The number of cuts when the device first sent.
    cuts: u64,
    onward: mpsc::Sender<Datagram>,
}

/// A datagram in a queue, with its arrival time.
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
    // Dropping the set ends the tasks together with the relay.
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
            // If the queue is full, the datagram is lost, which QUIC tolerates.
            let _queued = way.onward.try_send(Datagram::new(&buffer[..len])).is_ok();
        }
    }
}

/// Receives what the server sends to one device.
async fn receive(own: Arc<UdpSocket>, back: mpsc::Sender<Datagram>, link: Arc<Link>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok(len) = own.recv(&mut buffer).await {
        link.bytes.fetch_add(len as u64, Ordering::Relaxed);
        let _queued = back.try_send(Datagram::new(&buffer[..len])).is_ok();
    }
}

/// Forwards datagrams at the link's rate and delay, until the link is cut.
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
