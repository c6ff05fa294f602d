//! Acceptance: what was acknowledged is there after `kill -9`, on devices and on the server.

mod device;
mod photos;
mod server;
