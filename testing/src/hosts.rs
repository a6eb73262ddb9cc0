//! Hosts of their own on one machine: network namespaces, each with a TUN device, joined by a [`Switch`]. Processes in them talk through the
//! kernel's own network stack. It takes root; there is no lasting trace of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use tun::Device;

use crate::switch::Switch;

/// How often a thread that waits looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Longest packet, as on Ethernet.
const MTU: u16 = 1500;
/// All hosts are in one network.
const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

/// Hosts under way. Dropping them takes their network away; processes in them go on.
pub struct Hosts {
    hosts: Vec<Host>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Host {
    address: Ipv4Addr,
    namespace: File,
    device: Arc<Device>,
}

struct Shared {
    switch: Mutex<Switch>,
    /// A packet arrives earlier than all others.
    earlier: Condvar,
    began: Instant,
    ends: AtomicBool,
}

impl Hosts {
    /// One host for each of these addresses, all in the same /24.
    ///
    /// # Errors
    /// This machine gives no namespaces or no devices, as a rule because we are not root. Then a test is skipped, aloud.
    pub fn new(addresses: &[Ipv4Addr], switch: Switch) -> io::Result<Self> {
        let made = addresses.iter().map(|address| Host::new(*address));
        let mut hosts = Self {
            hosts: made.collect::<io::Result<_>>()?,
            shared: Arc::new(Shared {
                switch: Mutex::new(switch),
                earlier: Condvar::new(),
                began: Instant::now(),
                ends: AtomicBool::new(false),
            }),
            threads: Vec::new(),
        };
        let out: Vec<_> = hosts.hosts.iter().map(Host::end).collect();
        for (address, device) in out.clone() {
            let shared = Arc::clone(&hosts.shared);
            let reader = move || shared.read(address, &device);
            hosts.threads.push(thread::spawn(reader));
        }
        let shared = Arc::clone(&hosts.shared);
        hosts
            .threads
            .push(thread::spawn(move || shared.write(&out)));
        Ok(hosts)
    }

    /// The switch, to change links while everything runs.
    pub fn switch(&self) -> MutexGuard<'_, Switch> {
        self.shared.switch.lock().unwrap()
    }

    /// Does something on a host: sockets that it opens are the host's, and processes that it starts run there.
    pub fn on<T: Send>(&self, address: Ipv4Addr, work: impl FnOnce() -> T + Send) -> T {
        let mut hosts = self.hosts.iter();
        let host = hosts.find(|host| host.address == address);
        let namespace = &host.expect("one of the hosts").namespace;
        let enter = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("a namespace that we made");
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join())
            .unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Host {
    fn new(address: Ipv4Addr) -> io::Result<Self> {
        // The thread ends, and the open file keeps its namespace.
        let make = move || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let mut config = tun::Configuration::default();
            config.address(address).netmask(NETMASK).mtu(MTU).up();
            Ok(Self {
                address,
                namespace: File::open("/proc/thread-self/ns/net")?,
                device: Arc::new(tun::create(&config).map_err(io::Error::other)?),
            })
        };
        thread::spawn(make)
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn end(&self) -> (Ipv4Addr, Arc<Device>) {
        (self.address, Arc::clone(&self.device))
    }
}

impl Shared {
    fn ends(&self) -> bool {
        self.ends.load(Ordering::SeqCst)
    }

    /// Hands what a host sends to the switch.
    fn read(&self, from: Ipv4Addr, device: &Device) {
        let mut packet = [0; MTU as usize];
        while !self.ends() {
            match device.recv_timeout(&mut packet, LOOK) {
                Ok(len) => {
                    let mut switch = self.switch.lock().unwrap();
                    let before = switch.next_arrival();
                    switch.send(self.began.elapsed(), from, packet[..len].to_vec());
                    if switch.next_arrival() != before {
                        self.earlier.notify_one();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => panic!("the device of {from}: {error}"),
            }
        }
    }

    /// Hands what arrives to its host.
    fn write(&self, hosts: &[(Ipv4Addr, Arc<Device>)]) {
        while !self.ends() {
            let mut switch = self.switch.lock().unwrap();
            let now = self.began.elapsed();
            let arrived: Vec<_> = std::iter::from_fn(|| switch.take(now)).collect();
            if arrived.is_empty() {
                let wait = switch
                    .next_arrival()
                    .map_or(LOOK, |at| (at - now).min(LOOK));
                drop(self.earlier.wait_timeout(switch, wait).unwrap());
                continue;
            }
            drop(switch);
            for (to, packet) in arrived {
                // A host that there is not, or one that cannot keep up, loses the packet.
                if let Some((_, device)) = hosts.iter().find(|(address, _)| *address == to) {
                    let _ = device.send(&packet);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
