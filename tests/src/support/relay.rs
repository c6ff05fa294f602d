//! A relay of datagrams between devices and a server, which counts the bytes both ways, and can lose a device's
//! address as a network does that it has left.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// More than any datagram on a loopback.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// A relay; it ends when it is let go.
pub struct Relay {
    /// Where devices connect.
    pub address: SocketAddr,
    bytes: Arc<AtomicU64>,
    lost: Arc<Lost>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay to a server.
    ///
    /// # Panics
    /// Where there is no free port.
    pub async fn to(server: SocketAddr) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
        let address = socket.local_addr().expect("a bound address");
        let bytes = Arc::new(AtomicU64::new(0));
        let lost = Arc::new(Lost::default());
        let task = tokio::spawn(relay(socket, server, Arc::clone(&bytes), Arc::clone(&lost)));
        Self { address, bytes, lost, task }
    }

    /// Bytes of datagrams, both ways, since this was last asked.
    pub fn take_bytes(&self) -> u64 {
        self.bytes.swap(0, Ordering::Relaxed)
    }
}

impl Relay {
    /// From here on nothing is relayed from or to any address that a device has had until now.
    pub fn lose_addresses(&self) {
        let mut addresses = self.lost.addresses();
        let seen = std::mem::take(&mut addresses.seen);
        addresses.lost.extend(seen);
    }

    /// From how many addresses devices have come, those that were lost among them.
    pub fn addresses(&self) -> usize {
        let addresses = self.lost.addresses();
        addresses.seen.len() + addresses.lost.len()
    }
}

/// The addresses of devices.
#[derive(Default)]
struct Lost(Mutex<Addresses>);

#[derive(Default)]
struct Addresses {
    seen: HashSet<SocketAddr>,
    lost: HashSet<SocketAddr>,
}

impl Lost {
    fn addresses(&self) -> std::sync::MutexGuard<'_, Addresses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether datagrams of this device still pass.
    fn passes(&self, device: SocketAddr) -> bool {
        let mut addresses = self.addresses();
        let passes = !addresses.lost.contains(&device);
        if passes {
            addresses.seen.insert(device);
        }
        passes
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(socket: Arc<UdpSocket>, server: SocketAddr, bytes: Arc<AtomicU64>, lost: Arc<Lost>) {
    let mut onward: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok((len, device)) = socket.recv_from(&mut buffer).await {
        if !lost.passes(device) {
            continue;
        }
        bytes.fetch_add(len as u64, Ordering::Relaxed);
        let own = match onward.entry(device) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => {
                let Ok(own) = UdpSocket::bind("127.0.0.1:0").await else { continue };
                if own.connect(server).await.is_err() {
                    continue;
                }
                let own = Arc::new(own);
                let onward = (Arc::clone(&own), Arc::clone(&socket));
                tokio::spawn(back(onward, device, Arc::clone(&bytes), Arc::clone(&lost)));
                Arc::clone(new.insert(own))
            }
        };
        // A datagram that cannot be sent is a datagram lost, which QUIC bears.
        let _sent = own.send(&buffer[..len]).await.is_ok();
    }
}

async fn back(
    (own, socket): (Arc<UdpSocket>, Arc<UdpSocket>),
    device: SocketAddr,
    bytes: Arc<AtomicU64>,
    lost: Arc<Lost>,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok(len) = own.recv(&mut buffer).await {
        if !lost.passes(device) {
            return;
        }
        bytes.fetch_add(len as u64, Ordering::Relaxed);
        let _sent = socket.send_to(&buffer[..len], device).await.is_ok();
    }
}
