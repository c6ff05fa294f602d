//! A relay of datagrams between devices and a server, which counts the bytes both ways.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// More than any datagram on a loopback.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// A relay; it ends when it is let go.
pub struct Relay {
    /// Where devices connect.
    pub address: SocketAddr,
    bytes: Arc<AtomicU64>,
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
        let task = tokio::spawn(relay(socket, server, Arc::clone(&bytes)));
        Self { address, bytes, task }
    }

    /// Bytes of datagrams, both ways, since this was last asked.
    pub fn take_bytes(&self) -> u64 {
        self.bytes.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(socket: Arc<UdpSocket>, server: SocketAddr, bytes: Arc<AtomicU64>) {
    let mut onward: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok((len, device)) = socket.recv_from(&mut buffer).await {
        bytes.fetch_add(len as u64, Ordering::Relaxed);
        let own = match onward.entry(device) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => {
                let Ok(own) = UdpSocket::bind("127.0.0.1:0").await else { continue };
                if own.connect(server).await.is_err() {
                    continue;
                }
                let own = Arc::new(own);
                tokio::spawn(back(Arc::clone(&own), Arc::clone(&socket), device, Arc::clone(&bytes)));
                Arc::clone(new.insert(own))
            }
        };
        // A datagram that cannot be sent is a datagram lost, which QUIC bears.
        let _sent = own.send(&buffer[..len]).await.is_ok();
    }
}

async fn back(own: Arc<UdpSocket>, socket: Arc<UdpSocket>, device: SocketAddr, bytes: Arc<AtomicU64>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok(len) = own.recv(&mut buffer).await {
        bytes.fetch_add(len as u64, Ordering::Relaxed);
        let _sent = socket.send_to(&buffer[..len], device).await.is_ok();
    }
}
