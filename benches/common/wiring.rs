//! The floor's network: one server namespace, two client namespaces, a veth pair to each, every address and
//! every source port decided beforehand.

use crate::ip;
use std::fs;
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process;
use std::thread;

pub const CLIENT_NAMESPACES: u64 = 2;
pub const SERVER_PORTS: u64 = 100;
const FIRST_SERVER_PORT: u16 = 9900;
const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
const ADDRESSES_PER_CLIENT: u64 = 16;
const FIRST_CLIENT_PORT: u64 = 1024;
const PORTS_PER_ADDRESS: u64 = 65_536 - FIRST_CLIENT_PORT;

/// The most connections the plan has source tuples for.
pub const MOST_CONNECTIONS: u64 = CLIENT_NAMESPACES * ADDRESSES_PER_CLIENT * PORTS_PER_ADDRESS;

/// So many connections in a row go to the same server port. Taking the ports round robin instead means many
/// listeners with a connection or two each, and one more accept that answers EAGAIN for each of them.
const CONNECTIONS_PER_PORT_STRETCH: u64 = 200;

/// Both ends of the `index`th connection of a client namespace.
pub fn tuple(namespace: u64, index: u64) -> (SocketAddrV4, SocketAddrV4) {
    let host = 1 + index / PORTS_PER_ADDRESS;
    let source = Ipv4Addr::new(10, 1 + namespace as u8, 0, host as u8);
    let source_port = FIRST_CLIENT_PORT + index % PORTS_PER_ADDRESS;
    (SocketAddrV4::new(source, source_port as u16), server(index / CONNECTIONS_PER_PORT_STRETCH))
}

/// The server's `index`th listening address.
pub fn server(index: u64) -> SocketAddrV4 {
    SocketAddrV4::new(SERVER_ADDRESS, FIRST_SERVER_PORT + (index % SERVER_PORTS) as u16)
}

/// The names of the namespaces. A namespace lives for as long as a process is in it, so the names are only
/// needed until all processes have entered; dropping them leaves nothing behind, however the run ends.
pub struct Wiring {
    pub server: String,
    pub clients: Vec<String>,
}

impl Wiring {
    pub fn build(connections: u64) -> Result<Wiring> {
        let name = |role: String| format!("floor-{}-{role}", process::id());
        let clients = (0..CLIENT_NAMESPACES).map(|client| name(format!("client-{client}"))).collect();
        let wiring = Wiring { server: name("server".into()), clients };
        wiring.add_namespaces(connections)?;
        wiring.add_links()?;
        wiring.names().try_for_each(|name| let_orphans_go(name))?;
        Ok(wiring)
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.clients.iter().chain([&self.server])
    }

    fn add_namespaces(&self, connections: u64) -> Result<()> {
        let _raised = EstablishedTable::size_for(connections)?;
        let lines: String = self.names().map(|name| format!("netns add {name}\n")).collect();
        ip::batch(&lines)
    }

    fn add_links(&self) -> Result<()> {
        let server = &self.server;
        let mut links = String::new();
        let mut at_server = format!("address add {SERVER_ADDRESS}/32 dev lo\nlink set lo up\n");
        for (number, client) in (1..).zip(&self.clients) {
            // Both ends come into being inside their namespaces: nothing appears in the host's.
            links +=
                &format!("link add to-{number} netns {server} type veth peer name uplink netns {client}\n");
            at_server +=
                &format!("address add 10.{number}.0.254/24 dev to-{number}\nlink set to-{number} up\n");
        }
        ip::batch(&links)?;
        ip::batch_in(server, &at_server)?;
        for (number, client) in (1..).zip(&self.clients) {
            let mut at_client = String::from("link set lo up\nlink set uplink up\n");
            for host in 1..=ADDRESSES_PER_CLIENT {
                at_client += &format!("address add 10.{number}.0.{host}/24 dev uplink\n");
            }
            at_client += &format!("route add default via 10.{number}.0.254\n");
            ip::batch_in(client, &at_client)?;
        }
        Ok(())
    }
}

impl Drop for Wiring {
    fn drop(&mut self) {
        let present = self.names().filter(|name| fs::exists(format!("/run/netns/{name}")).unwrap_or(false));
        let lines: String = present.map(|name| format!("netns delete {name}\n")).collect();
        if let Err(error) = ip::batch(&lines) {
            eprintln!("floor: the namespaces floor-{}-* could not be removed: {error}", process::id());
        }
    }
}

/// If the run is killed, whichever namespace empties first takes the link with it, and what is still open in
/// the other would go on sending for minutes.
fn let_orphans_go(namespace: &str) -> Result<()> {
    let set = || ip::enter(namespace).and_then(|()| fs::write("/proc/sys/net/ipv4/tcp_orphan_retries", "1"));
    thread::scope(|scope| scope.spawn(set).join().expect("setting a value does not panic"))
}

/// A namespace gets an established table of its own size if the host's setting says so when it is made. The
/// host's setting is put back as soon as the namespaces exist.
struct EstablishedTable {
    before: String,
}

const ESTABLISHED_TABLE: &str = "/proc/sys/net/ipv4/tcp_child_ehash_entries";

impl EstablishedTable {
    fn size_for(connections: u64) -> Result<EstablishedTable> {
        let before = fs::read_to_string(ESTABLISHED_TABLE)?;
        fs::write(ESTABLISHED_TABLE, connections.next_power_of_two().to_string())?;
        Ok(EstablishedTable { before })
    }
}

impl Drop for EstablishedTable {
    fn drop(&mut self) {
        if let Err(error) = fs::write(ESTABLISHED_TABLE, &self.before) {
            eprintln!("floor: {ESTABLISHED_TABLE} was {} and could not be put back: {error}", self.before);
        }
    }
}
