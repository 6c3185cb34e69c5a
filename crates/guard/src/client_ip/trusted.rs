//! The proxies whose forwarding headers are believed.

use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderName;
use ipnet::IpNet;

/// Loopback, private and unique-local ranges (RFC 1918, 4193, 6890).
const PRIVATE: [&str; 7] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// <https://www.cloudflare.com/ips/>
const CLOUDFLARE: [&str; 22] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

/// Railway's edge reaches an application from the shared address space (RFC 6598).
const RAILWAY: [&str; 1] = ["100.64.0.0/10"];

/// A set of networks, read from a comma-separated list of CIDRs, addresses and the presets `none`,
/// `private`, `cloudflare`, `railway`. The last two also name the one header in which that edge
/// states the client.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    single_header: Option<HeaderName>,
}

/// An entry that is no CIDR, no address and no preset.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("trusted proxies: {0:?} is neither a CIDR nor one of none, private, cloudflare, railway")]
pub struct UnknownProxies(String);

impl TrustedProxies {
    /// Is the address one of the proxies?
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }

    /// The header in which the edge states the client, if a preset names one.
    #[must_use]
    pub fn single_header(&self) -> Option<&HeaderName> {
        self.single_header.as_ref()
    }
}

impl FromStr for TrustedProxies {
    type Err = UnknownProxies;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut proxies = Self::default();
        for entry in text.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()) {
            match entry {
                "none" => {}
                "private" => proxies.networks.extend(networks(&PRIVATE)),
                "cloudflare" => {
                    proxies.networks.extend(networks(&CLOUDFLARE));
                    proxies.single_header = Some(HeaderName::from_static("cf-connecting-ip"));
                }
                "railway" => {
                    proxies.networks.extend(networks(&RAILWAY));
                    proxies.single_header = Some(HeaderName::from_static("x-real-ip"));
                }
                entry => proxies
                    .networks
                    .push(network(entry).ok_or_else(|| UnknownProxies(entry.to_owned()))?),
            }
        }
        Ok(proxies)
    }
}

/// A CIDR or a single address.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn networks<'a>(texts: &'a [&'a str]) -> impl Iterator<Item = IpNet> + 'a {
    texts.iter().filter_map(|text| network(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_presets_are_read() {
        for (list, ip, expected) in [
            ("", "10.0.0.1", false),
            ("none", "127.0.0.1", false),
            ("private", "192.168.3.4", true),
            ("private", "fd00::1", true),
            ("private", "8.8.8.8", false),
            ("203.0.113.7, 2001:db8::/32", "203.0.113.7", true),
            ("203.0.113.7, 2001:db8::/32", "2001:db8:5::1", true),
            ("203.0.113.7, 2001:db8::/32", "203.0.113.8", false),
            ("cloudflare", "2606:4700::5", true),
        ] {
            let proxies: TrustedProxies = list.parse().unwrap();
            assert_eq!(proxies.contains(ip.parse().unwrap()), expected, "{list} {ip}");
        }
        assert_eq!(
            "10.0.0.0/8,nginx".parse::<TrustedProxies>().unwrap_err(),
            UnknownProxies("nginx".into())
        );
    }

    #[test]
    fn every_preset_entry_is_a_network() {
        assert_eq!(networks(&PRIVATE).count(), PRIVATE.len());
        assert_eq!(networks(&CLOUDFLARE).count(), CLOUDFLARE.len());
        assert_eq!(networks(&RAILWAY).count(), RAILWAY.len());
    }
}
