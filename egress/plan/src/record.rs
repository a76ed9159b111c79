//! What the egress process tells the supervisor: messages of one fixed size, one for each connection
//! that ended and for each question or connection that was refused.
//!
//! The supervisor reads numbers and a name, and a name has only the letters of one: nothing that a
//! client wrote is in a record as it was written.

use crate::{HostName, Network, address};
use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sandboxd_broker_plan::fixed::Reader;

pub use sandboxd_broker_plan::fixed::RecordError;

/// The bytes of a record.
pub const SIZE: usize = 320;

/// Which rule, where none is meant.
const NO_RULE: u32 = u32::MAX;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What became of it.
    pub verdict: Verdict,
    /// How it came in.
    pub way: Way,
    /// The rule that it was under, by its number; nothing where none fits.
    pub rule: Option<u32>,
    /// The name that was meant; nothing where an address was, or what was said is no name.
    pub name: Option<HostName>,
    /// The address that was meant, or connected to; nothing where it did not come to that.
    pub address: Option<IpAddr>,
    /// The port; 0 where none was meant.
    pub port: u16,
    /// Bytes that left.
    pub up: u64,
    /// Bytes that came back.
    pub down: u64,
    /// How long it lasted, in milliseconds.
    pub millis: u64,
    /// Secrets that were put into its requests: a bit for each of the first 64, by its number.
    pub secrets: u64,
    /// Requests that something was put into.
    pub puts: u32,
}

/// How something came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Way {
    /// A question for a name.
    Dns = 1,
    /// A connection that was led here.
    Transparent = 2,
    /// A connection to the proxy.
    Proxy = 3,
}

macro_rules! verdicts {
    ($($(#[$doc:meta])+ $name:ident = $number:literal, $text:literal;)+) => {
        /// What became of a connection or question.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Verdict {
            $($(#[$doc])+ $name = $number,)+
        }

        impl Verdict {
            const ALL: &[(Self, u8)] = &[$((Self::$name, $number),)+];

            const fn number(self) -> u8 {
                match self { $(Self::$name => $number,)+ }
            }

            /// In words, for people: what follows a name and a port.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

verdicts! {
    /// It was carried, and ended.
    Carried = 1, "carried";
    /// No rule has the name, or the address, with this port.
    NoRule = 2, "no rule names it";
    /// What was said has no meaning, or two.
    Malformed = 3, "the client's request is malformed";
    /// The address is one of the sandbox's own that stands for no name.
    UnknownAddress = 4, "the address stands for no name";
    /// TLS was wanted and something else said.
    NotTls = 5, "the rule requires TLS, and the client spoke something else";
    /// TLS with no name in it.
    NoServerName = 6, "the client named no server in its TLS hello";
    /// TLS with another name in it.
    ServerName = 7, "the TLS hello names another server";
    /// TLS that hides which name it is for.
    EncryptedHello = 8, "the TLS hello is encrypted, so the server it names is not seen";
    /// HTTP was wanted and something else said.
    NotHttp = 9, "the rule requires HTTP, and the client spoke something else";
    /// A request to another host than the connection is for.
    HostHeader = 10, "the request's Host header names another host";
    /// A request of a method or path that no rule has.
    Request = 11, "no rule allows this method and path";
    /// The name has no address.
    Unresolved = 12, "the name does not resolve";
    /// All addresses of the name are of ranges that no rule names.
    PrivateAddress = 13, "it leads to an address that is not public";
    /// The upstream did not accept.
    Unreachable = 14, "no connection to it";
    /// The upstream failed too often and is left alone.
    Broken = 15, "it failed too often and is paused for a while";
    /// Too many connections are open.
    Connections = 16, "too many connections are open";
    /// Connections or requests come too often.
    Rate = 17, "rate limit exceeded";
    /// The bytes are used up.
    Spent = 18, "the byte limit is used up";
    /// The client did not say in time what it wants.
    Slow = 19, "the client did not send its request in time";
    /// Nothing was said for too long.
    Idle = 20, "it was idle for too long";
    /// It lasted too long.
    Total = 21, "it lasted too long";
    /// The connection broke.
    Broke = 22, "the connection broke";
    /// Too many connections have not said yet what they want.
    Pending = 23, "too many connections have sent no request yet";
    /// The run ended while it was open.
    Ended = 24, "the run ended";
    /// The upstream's certificate is not one to trust.
    Untrusted = 25, "this host does not trust its certificate, or not for that name";
    /// The client would not go on with the certificate that it was shown.
    Distrusted = 26, "the client does not trust the certificate that sandboxd presents for the server";
    /// The client wants to speak something else than HTTP/1 in TLS that is ended here.
    NotHttp1 = 27, "the client does not speak HTTP/1.1, as it must where requests are inspected";
    /// What a host answers that a secret is for is in a form in which the secret would not be seen.
    Encoded = 28, "that host gets a secret, and its answer is encoded, so it cannot be searched for the secret";
    /// It is a part of what was asked for, which the secret may not be in as a whole.
    Partial = 29, "that host gets a secret, and its answer is partial, so it cannot be searched for the secret";
    /// A budget is used up.
    Budget = 40, "the budget is used up";
    /// What is asked of a model API is nothing that can be counted.
    Uncounted = 41, "the request to the model API cannot be counted";
    /// What an upstream answered has no meaning, or two.
    Reply = 42, "its answer is malformed";
}

/// Fills a record from its beginning.
struct Writer {
    bytes: [u8; SIZE],
    at: usize,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.at..end) {
            place.copy_from_slice(bytes);
        }
        self.at = end;
    }
}

impl Record {
    /// The record as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SIZE] {
        let mut to = Writer { bytes: [0; SIZE], at: 0 };
        to.put(&[self.verdict.number(), self.way.number()]);
        to.put(&self.port.to_le_bytes());
        to.put(&self.rule.unwrap_or(NO_RULE).to_le_bytes());
        to.put(&self.puts.to_le_bytes());
        for number in [self.up, self.down, self.millis, self.secrets] {
            to.put(&number.to_le_bytes());
        }
        let address = match self.address {
            None => Ipv6Addr::UNSPECIFIED,
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
            Some(IpAddr::V6(address)) => address,
        };
        to.put(&address.octets());
        let name = self.name.as_ref().map_or("", HostName::as_str);
        to.put(&[u8::try_from(name.len()).unwrap_or(0)]);
        to.put(name.as_bytes());
        to.bytes
    }

    /// The record in these bytes.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8; SIZE]) -> Result<Self, RecordError> {
        let mut from = Reader(bytes);
        let [verdict, way] = from.take()?;
        let (verdict, way) = (Verdict::from_number(verdict)?, Way::from_number(way)?);
        let port = u16::from_le_bytes(from.take()?);
        let rule = Some(u32::from_le_bytes(from.take()?)).filter(|rule| *rule != NO_RULE);
        let puts = u32::from_le_bytes(from.take()?);
        let numbers = [from.take()?, from.take()?, from.take()?, from.take()?];
        let [up, down, millis, secrets] = numbers.map(u64::from_le_bytes);
        let address = Ipv6Addr::from(from.take::<16>()?);
        let address = match (address.is_unspecified(), address.to_ipv4_mapped()) {
            (true, _) => None,
            (false, Some(address)) => Some(IpAddr::V4(address)),
            (false, None) => Some(IpAddr::V6(address)),
        };
        let [length] = from.take()?.map(usize::from);
        let (name, rest) =
            from.0.split_at_checked(length).ok_or(RecordError("its name is too long"))?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(RecordError("there is something after its name"));
        }
        let name = match name {
            [] => None,
            name => Some(named(name)?),
        };
        Ok(Self { verdict, way, rule, name, address, port, up, down, millis, secrets, puts })
    }
}

impl Record {
    /// What to write where it shall be let out, in a profile or on a command line; nothing where nothing
    /// that is written there would help.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        let unnamed = matches!(self.verdict, Verdict::NoRule | Verdict::PrivateAddress);
        match self.address.filter(|_| unnamed && self.name.is_none()) {
            Some(address) if address.is_loopback() => {
                Some("--egress host.internal:PORT for the host's own loopback")
            }
            Some(address) if address::is_never(Network::one(address)) => None,
            Some(_) if self.verdict == Verdict::PrivateAddress => {
                Some("--egress tcp://HOST:PORT, or network.egress in the profile")
            }
            Some(_) | None => self.verdict.remedy(),
        }
    }
}

fn named(bytes: &[u8]) -> Result<HostName, RecordError> {
    let text = core::str::from_utf8(bytes).ok().map(String::from);
    let name = text.and_then(|text| HostName::try_from(text).ok());
    name.ok_or(RecordError("its name is invalid"))
}

impl Verdict {
    /// Whether somebody was kept from something, by a rule or a limit or whoever did not answer. A
    /// connection that was carried may end in other ways.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        !matches!(self, Self::Carried | Self::Broke | Self::Ended)
    }

    /// What lets out a name.
    const fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Self::NoRule => "--egress HOST:PORT, or network.egress in the profile",
            Self::UnknownAddress => "connect by name, or add the address",
            Self::NotTls => {
                "write http://HOST:PORT for plain HTTP, or tcp://HOST:PORT for any protocol"
            }
            Self::NotHttp => {
                "write HOST:PORT without a scheme for TLS, or tcp://HOST:PORT for any protocol"
            }
            Self::NoServerName => "write tcp://HOST:PORT, which allows any protocol there",
            Self::ServerName | Self::HostHeader => {
                "ask for the host by the name that was looked up"
            }
            Self::EncryptedHello => "disable Encrypted Client Hello in the client",
            Self::Request => {
                "write METHOD http://HOST:PORT/PATH, or http://HOST:PORT for all requests"
            }
            Self::Unresolved => "check the host's /etc/resolv.conf and /etc/hosts",
            Self::PrivateAddress => {
                "{ to = \"HOST:PORT\", within = [\"NETWORK\"] } in network.egress of the profile, if that is intended; sandboxd audit show has the address"
            }
            Self::Connections => "raise network.connections, or connections of the entry",
            Self::Rate => "raise network.rate, or rate of the entry",
            Self::Spent => "raise network.up and network.down, or up and down of the entry",
            Self::Untrusted => {
                "add its authority to those that the host trusts, or use the right name"
            }
            Self::Distrusted => {
                "name the bundle in $SSL_CERT_FILE in the client's own settings, too"
            }
            Self::NotHttp1 => "choose HTTP/1.1 in the client's settings",
            Self::Budget => "raise budget.tokens, budget.cost or budget.bytes",
            Self::Uncounted => {
                "ask for chat completions, responses, messages or embeddings, none in the background; an entry without model = true counts nothing"
            }
            Self::Idle => "raise idle of the entry",
            Self::Total => "raise total of the entry",
            Self::Carried
            | Self::Malformed
            | Self::Unreachable
            | Self::Broken
            | Self::Slow
            | Self::Broke
            | Self::Pending
            | Self::Encoded
            | Self::Partial
            | Self::Ended
            | Self::Reply => return None,
        })
    }

    fn from_number(number: u8) -> Result<Self, RecordError> {
        let found = Self::ALL.iter().find(|(_, other)| *other == number);
        found.map(|(verdict, _)| *verdict).ok_or(RecordError("its verdict is unknown"))
    }
}

impl Way {
    const fn number(self) -> u8 {
        match self {
            Self::Dns => 1,
            Self::Transparent => 2,
            Self::Proxy => 3,
        }
    }

    fn from_number(number: u8) -> Result<Self, RecordError> {
        let all = [Self::Dns, Self::Transparent, Self::Proxy];
        let found = all.into_iter().find(|way| way.number() == number);
        found.ok_or(RecordError("the way it came in is unknown"))
    }
}

/// An address as a record has it: one that is mapped is the one it is mapped from, and that of nobody
/// is none.
#[must_use]
pub fn address(address: IpAddr) -> Option<IpAddr> {
    let plain = address.to_canonical();
    let nobody = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
    Some(plain).filter(|plain| !nobody.contains(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        Record {
            verdict: Verdict::ServerName,
            way: Way::Transparent,
            rule: Some(3),
            name: Some(HostName::try_from("api.example.com").unwrap()),
            address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            port: 443,
            up: 517,
            down: 1 << 40,
            millis: 12,
            secrets: 5,
            puts: 7,
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let mut record = record();
        assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
        let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        record.name = Some(HostName::try_from(longest).unwrap());
        assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
        (record.rule, record.name, record.address) = (None, None, None);
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn an_address_that_is_refused_has_a_remedy_that_can_be_written() {
        let says = |verdict, name: Option<&str>, address: &str| {
            let name = name.map(|name| HostName::try_from(name).unwrap());
            let address = Some(address.parse().unwrap());
            Record { verdict, name, address, ..record() }.remedy().unwrap_or("nothing")
        };
        let (no_rule, private) = (Verdict::NoRule, Verdict::PrivateAddress);
        for (verdict, name, address, remedy) in [
            (private, Some("db.internal"), "10.9.0.2", "within = "),
            (private, None, "10.9.0.2", "tcp://HOST:PORT"),
            (private, None, "224.0.0.1", "nothing"),
            (no_rule, None, "10.9.0.2", "--egress HOST:PORT"),
            (no_rule, None, "127.0.0.1", "host.internal:PORT"),
            (private, None, "::1", "host.internal:PORT"),
            (no_rule, None, "255.255.255.255", "nothing"),
            (Verdict::Rate, None, "127.0.0.1", "network.rate"),
        ] {
            let says = says(verdict, name, address);
            assert!(says.contains(remedy), "{verdict:?} {address}: {says}");
        }
        assert!(!says(private, None, "10.9.0.2").contains("within"));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_record_that_is_written_otherwise(
            seed in proptest::collection::vec(any::<(usize, u8)>(), 0..8),
        ) {
            let mut bytes = record().encode();
            for (place, byte) in seed {
                bytes[place % SIZE] = byte;
            }
            if let Ok(read) = Record::decode(&bytes) {
                prop_assert_eq!(read.encode(), bytes);
            }
        }
    }
}
