//! The `[[listener]]` tables: which keys go with which kind.

use std::net::SocketAddr;

use ipnet::IpNet;
use toml::de::DeTable;

use super::read::{Place, Reader, Section};
use super::value::{FdName, Networks};
use super::{ClientTls, ListenOn, ListenerConfig, defaults};
use crate::intercept::Via;

/// All of them, or the default ones where the file has none.
pub(super) fn read<'t>(reader: &mut Reader<'t>, top: &DeTable<'t>) -> Vec<ListenerConfig> {
    let given = top
        .get("listener")
        .map(|value| reader.tables(value, "listener"));
    match given {
        Some(tables) => {
            let mut listeners: Vec<ListenerConfig> = Vec::new();
            for table in tables {
                let listener = read_one(reader, table, &listeners, top);
                listeners.push(listener);
            }
            listeners
        }
        None => defaults::listeners()
            .into_iter()
            .enumerate()
            .map(|(index, default)| {
                let place = Place::array("listener", index);
                take_default(Section::new(reader, None, place), default)
            })
            .collect(),
    }
}

fn read_one<'t>(
    reader: &mut Reader<'t>,
    table: &DeTable<'t>,
    before: &[ListenerConfig],
    top: &DeTable<'t>,
) -> ListenerConfig {
    let place = Place::array("listener", before.len());
    let mut section = Section::new(reader, Some(table), place);
    let [default, _] = defaults::listeners();
    let kind = section.required("kind", default.kind);
    let socket = read_socket(&mut section, table, default.socket);
    let allow_remote = section.read("allow_remote", false);
    let trusted = read_trusted(&mut section, kind);
    let client_tls = section.read("client_tls", default.client_tls);
    if client_tls == ClientTls::Offer && !names_ca(top) {
        section.contradiction(
            "client_tls",
            "\"auto\" or \"never\", or a CA under [client_tls]",
        );
    }
    let address = socket.address();
    let open = address.is_some_and(|address| !address.ip().to_canonical().is_loopback());
    if kind == Via::Socks5 && open && !allow_remote {
        section.contradiction("address", "a loopback address, or allow_remote = true");
    }
    let is_taken = before.iter().any(|one| one.socket == socket);
    match socket {
        ListenOn::Address(address) if is_taken && address.port() != 0 => {
            section.contradiction("address", "an address that no other listener has");
        }
        ListenOn::Fd(_) if is_taken => {
            section.contradiction("fd", "a name that no other listener has");
        }
        ListenOn::Address(_) | ListenOn::Fd(_) => {}
    }
    section.finish();
    ListenerConfig {
        kind,
        socket,
        allow_remote,
        trusted,
        client_tls,
    }
}

/// An address to bind, or the name of a socket that is bound already: one of them.
fn read_socket(section: &mut Section<'_, '_>, table: &DeTable<'_>, stand_in: ListenOn) -> ListenOn {
    const ADDRESS: &str = "an address with a port, as \"127.0.0.1:10225\", or fd";
    let address = section.optional::<SocketAddr>("address");
    let fd = section.optional::<FdName>("fd");
    match (table.contains_key("address"), table.contains_key("fd")) {
        (false, false) => section.contradiction("address", ADDRESS),
        (true, true) => section.contradiction("fd", "nothing beside address"),
        (true, false) | (false, true) => {}
    }
    match (address, fd) {
        (Some(address), _) => ListenOn::Address(address),
        (None, Some(FdName(name))) => ListenOn::Fd(name),
        // Which has been noted.
        (None, None) => stand_in,
    }
}

/// Whoever may send a PROXY header says where mail comes from and goes to: they are named, and never everybody.
fn read_trusted(section: &mut Section<'_, '_>, kind: Via) -> Vec<IpNet> {
    const EXPECTED: &str = "the networks whose PROXY headers are believed, as [\"192.0.2.7\", \"2001:db8::/64\"], and not all there are";
    let trusted = section.read("trusted", Networks(Vec::new())).0;
    let is_anybody = trusted.iter().any(|network| network.prefix_len() == 0);
    match kind {
        Via::ProxyProtocol if trusted.is_empty() || is_anybody => {
            section.contradiction("trusted", EXPECTED);
        }
        Via::Redirect | Via::Tproxy | Via::Socks5 if !trusted.is_empty() => {
            section.contradiction("trusted", "nothing, or kind = \"proxy-protocol\"");
        }
        Via::Redirect | Via::Tproxy | Via::ProxyProtocol | Via::Socks5 => {}
    }
    trusted
}

fn names_ca(top: &DeTable<'_>) -> bool {
    let table = top.get("client_tls");
    let table = table.and_then(|value| value.get_ref().as_table());
    table.is_some_and(|table| table.contains_key("ca_cert"))
}

/// The table that stands for a default listener when it is shown.
fn take_default(mut section: Section<'_, '_>, default: ListenerConfig) -> ListenerConfig {
    section.read("kind", default.kind);
    if let Some(address) = default.socket.address() {
        section.read("address", address);
    }
    section.optional::<FdName>("fd");
    section.read("allow_remote", default.allow_remote);
    section.read("trusted", Networks(default.trusted.clone()));
    section.read("client_tls", default.client_tls);
    section.finish();
    default
}
