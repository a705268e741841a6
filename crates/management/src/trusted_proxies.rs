//! Where a request comes from: the peer of its connection, or the client that a trusted proxy names.

use std::net::IpAddr;

use crate::user_agent::summarize;

use ipnet::IpNet;

/// Headers that a proxy adds. Any of them shows that the peer of the connection is not the client.
const FORWARDING_HEADERS: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-scheme",
    "x-original-forwarded-for",
    "x-original-host",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "cf-connecting-ip",
    "cf-ray",
    "true-client-ip",
    "fastly-client-ip",
    "x-azure-clientip",
    "x-appengine-user-ip",
    "x-amzn-trace-id",
    "via",
];

/// What is known of a connection and its request's headers.
pub struct Connection<'a> {
    /// The address of the peer.
    pub peer: Option<IpAddr>,
    /// The `Host` header.
    pub host: Option<&'a str>,
    /// Whether the request is HTTP/1.0, which proxies speak and browsers do not.
    pub is_http_1_0: bool,
    /// Returns the values of a header, joined by commas; `None` when it is absent.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Connection<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).field("host", &self.host).finish_non_exhaustive()
    }
}

/// The client of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// Its address, as far as it is known. Limits, logs and the audit log use this one.
    pub address: Option<IpAddr>,
    /// Whether it is a program on this machine that connected without a proxy.
    pub is_local: bool,
    /// Whether it reaches the server over TLS.
    pub uses_tls: bool,
    /// What it says that it is, in few words: `Firefox, Linux`.
    pub program: String,
}

impl Client {
    /// Says what it is and where, as far as that is known.
    pub fn describe(&self) -> String {
        let parts = [self.program.clone(), self.address_text()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }

    /// Returns the address as text; empty when it is unknown.
    pub fn address_text(&self) -> String {
        self.address.map(|address| address.to_string()).unwrap_or_default()
    }
}

/// The proxies whose word about the client is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl TrustedProxies {
    /// Parses addresses and networks.
    ///
    /// # Errors
    /// [`InvalidNetwork`] names the first that is neither.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNetwork> {
        let parse = |text: &str| {
            let address = text.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| text.parse::<IpNet>()).map_err(|_| InvalidNetwork(text.to_owned()))
        };
        networks.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the client of a request. `public_url` is the address of this server, if it has one.
    pub(crate) fn client(&self, connection: &Connection<'_>, public_url: Option<&str>) -> Client {
        let peer = connection.peer.map(|peer| peer.to_canonical());
        let is_proxied = FORWARDING_HEADERS.iter().any(|name| (connection.header)(name).is_some());
        let is_local = peer.is_some_and(|peer| peer.is_loopback() && !self.contains(peer))
            && !is_proxied
            && !connection.is_http_1_0
            && connection.host.is_some_and(|host| is_own_host(host, public_url));
        let is_public_over_tls = public_url.is_some_and(|url| url.starts_with("https://"));
        let program = (connection.header)("user-agent").map(|text| summarize(&text)).unwrap_or_default();
        let Some(proxy) = peer.filter(|peer| self.contains(*peer)) else {
            return Client { address: peer, is_local, uses_tls: is_public_over_tls, program };
        };
        let hops = hops(connection.header);
        // The nearest hop is last. Those before the first one that is not trusted are only claimed.
        let client = hops.addresses.iter().rev().find(|address| !self.contains(**address)).copied();
        let address = client.or_else(|| hops.addresses.first().copied()).unwrap_or(proxy);
        Client { address: Some(address), is_local, uses_tls: is_public_over_tls || hops.uses_tls, program }
    }
}

struct Hops {
    addresses: Vec<IpAddr>,
    uses_tls: bool,
}

/// Reads `X-Forwarded-For` and `X-Forwarded-Proto`, or without the former `Forwarded` (RFC 7239). Most proxies write the
/// former and pass a `Forwarded` of the client on.
fn hops(header: &dyn Fn(&str) -> Option<String>) -> Hops {
    if let Some(addresses) = header("x-forwarded-for") {
        let protocol = header("x-forwarded-proto").unwrap_or_default();
        return Hops {
            addresses: known_hops(addresses.split(',')),
            uses_tls: protocol.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("https")),
        };
    }
    let forwarded = header("forwarded").unwrap_or_default();
    let parameter = |element: &str, wanted: &str| {
        let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        Some(value.trim().trim_matches('"').to_owned())
    };
    let clients: Vec<String> =
        forwarded.split(',').map(|element| parameter(element, "for").unwrap_or_default()).collect();
    let nearest = forwarded.rsplit(',').next().and_then(|element| parameter(element, "proto"));
    Hops {
        addresses: known_hops(clients.iter().map(String::as_str)),
        uses_tls: nearest.is_some_and(|protocol| protocol.eq_ignore_ascii_case("https")),
    }
}

/// Returns the addresses behind the last hop without one (`unknown`, or a name): who was before it is not known.
fn known_hops<'a>(hops: impl DoubleEndedIterator<Item = &'a str>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = hops.rev().map_while(node_address).collect();
    addresses.reverse();
    addresses
}

/// Parses `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:80`.
fn node_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Returns whether a `Host` names this machine or the server's public address. A page that had its own name resolve to
/// this machine would send that name. Of a public address with TLS nobody asks in clear text but a proxy.
fn is_own_host(host: &str, public_url: Option<&str>) -> bool {
    let public = public_url.and_then(|url| url.strip_prefix("http://")).and_then(|rest| rest.split('/').next());
    if public.is_some_and(|public| public.eq_ignore_ascii_case(host)) {
        return true;
    }
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, host: &str, headers: &[(&str, &str)]) -> Client {
        let header = |name: &str| {
            let values: Vec<&str> =
                headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| *value).collect();
            (!values.is_empty()).then(|| values.join(","))
        };
        let connection = Connection { peer: peer.parse().ok(), host: Some(host), is_http_1_0: false, header: &header };
        TrustedProxies::parse(trusted.iter().copied()).unwrap().client(&connection, Some("http://bot.example"))
    }

    #[test]
    fn fault_a1_only_a_program_on_this_machine_is_local() {
        assert!(client(&[], "127.0.0.1", "localhost:8080", &[]).is_local);
        assert!(client(&[], "::1", "[::1]:8080", &[]).is_local);
        assert!(client(&[], "127.0.0.1", "bot.example", &[]).is_local);
        assert!(!client(&[], "127.0.0.1", "rebound.example:8080", &[]).is_local, "a name that resolves to here");
        assert!(!client(&[], "127.0.0.1", "127.0.0.1.evil.example", &[]).is_local);
        assert!(!client(&[], "10.0.0.9", "localhost", &[]).is_local);
        assert!(!client(&["127.0.0.1"], "127.0.0.1", "localhost", &[]).is_local, "that is where the proxy is");
        assert!(!is_own_host("bot.example", Some("https://bot.example")), "TLS ends at a proxy");
        for header in FORWARDING_HEADERS {
            let proxied = client(&["127.0.0.1"], "127.0.0.1", "localhost:8080", &[(*header, "127.0.0.1")]);
            assert!(!proxied.is_local, "{header}");
        }
    }

    #[test]
    fn fault_a1_the_word_of_a_trusted_proxy_is_taken_and_of_no_other() {
        let stranger = [("x-forwarded-for", "203.0.113.9")];
        let address = |client: Client| client.address_text();
        assert_eq!(address(client(&[], "127.0.0.1", "x", &stranger)), "127.0.0.1");
        assert_eq!(address(client(&["127.0.0.0/8"], "127.0.0.1", "x", &stranger)), "203.0.113.9");
        let claimed = [("x-forwarded-for", "198.51.100.1, 203.0.113.9"), ("x-forwarded-for", "10.1.1.1")];
        assert_eq!(address(client(&["127.0.0.1", "10.0.0.0/8"], "127.0.0.1", "x", &claimed)), "203.0.113.9");
        let hidden = [("x-forwarded-for", "198.51.100.1, unknown"), ("forwarded", "for=1.2.3.4")];
        assert_eq!(address(client(&["127.0.0.1"], "127.0.0.1", "x", &hidden)), "127.0.0.1");
        let forwarded = [("forwarded", "for=198.51.100.7;proto=http, for=\"[2001:db8::5]:4711\";proto=https")];
        assert_eq!(address(client(&["::1"], "::1", "x", &forwarded)), "2001:db8::5");
        assert_eq!(address(client(&["127.0.0.1"], "127.0.0.1", "x", &[])), "127.0.0.1");
        assert!(TrustedProxies::parse(["10.0.0.0/8", "nginx"]).is_err());
    }
}
