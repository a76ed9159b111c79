//! Keys that sign for OpenSSH: for which sessions, and which texts.

use crate::HostName;
use alloc::{string::String, vec::Vec};
use base64ct::{Base64, Base64Unpadded, Encoding as _};
use sandboxd_broker_plan::{
    Millis, Rate,
    fixed::{Reader, RecordError},
};
use serde::{Deserialize, Serialize};

/// What answers where a program in the sandbox asks an ssh-agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The keys that it has. Without any, nothing answers.
    pub signers: Vec<Signer>,
    /// Connections that are open at the same time.
    pub connections: u32,
    /// How often all keys together sign.
    pub rate: Rate,
    /// How long another agent may take that keeps a key: somebody may have to touch a token, or to say yes.
    pub patience: Millis,
}

/// A key that signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// Which of the plan's secrets, by its place.
    pub secret: u32,
    /// Who has it.
    pub kept: Kept,
    /// Whom it logs in, and where.
    pub logins: Vec<Login>,
    /// The namespaces of texts that it signs, as `ssh-keygen -Y sign -n` has them.
    pub texts: Vec<String>,
}

/// Who has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// The egress process.
    Here,
    /// Another ssh-agent, which is asked for each signature: what is handed over is the public half.
    Agent,
}

/// Whom a key logs in, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The user of the host.
    pub user: String,
    /// The host, for messages and records: which one it is, its key says.
    pub host: HostName,
    /// On this port.
    pub port: u16,
    /// The keys that the host may have.
    pub keys: Vec<HostKey>,
}

/// The most letters of a user's or namespace's name.
const MOST: usize = 64;

/// Whether a text can be the name of a user or a namespace.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic();
    (1..=MOST).contains(&text.len()) && text.bytes().all(fits)
}

/// The kinds of keys that a host may have here.
pub const KINDS: [&str; 4] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa"];

/// The kinds of keys that another agent signs with: those, and those that lie on a token.
pub const SIGNING: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The public key of a host, as a line of `known_hosts` has it: `ssh-ed25519 AAAA…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostKey {
    text: String,
    blob: Vec<u8>,
}

/// A text is not the public key of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostKeyError(pub &'static str);

impl core::fmt::Display for HostKeyError {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        to.write_str(self.0)
    }
}

impl core::error::Error for HostKeyError {}

impl HostKey {
    /// What stands on a line: the kind and the key. Whatever is said after them is left away.
    ///
    /// # Errors
    /// Where there is none, or none of a known kind.
    pub fn read(line: &str) -> Result<Self, HostKeyError> {
        let (text, blob) = public(line, &KINDS)?;
        Ok(Self { text, blob })
    }

    /// As a line has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As it is said in the protocol.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }
}

impl TryFrom<String> for HostKey {
    type Error = HostKeyError;

    fn try_from(text: String) -> Result<Self, HostKeyError> {
        Self::read(&text)
    }
}

impl From<HostKey> for String {
    fn from(key: HostKey) -> Self {
        key.text
    }
}

/// The public key on a line, of one of these kinds: as a line has it, and as it is said in the protocol.
///
/// # Errors
/// Where there is none.
pub fn public(line: &str, kinds: &[&str]) -> Result<(String, Vec<u8>), HostKeyError> {
    let mut words = line.split_ascii_whitespace();
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return Err(HostKeyError("a key has its kind and then itself, as in ssh-ed25519 AAAA…"));
    };
    if !kinds.contains(&kind) {
        return Err(HostKeyError(
            "is of no known kind: ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384 or ssh-rsa",
        ));
    }
    let blob = unbase64(key).ok_or(HostKeyError("what follows its kind is not base64"))?;
    let length = u32::try_from(kind.len()).unwrap_or(u32::MAX).to_be_bytes();
    let begins = blob.strip_prefix(&length).and_then(|rest| rest.strip_prefix(kind.as_bytes()));
    if begins.is_none_or(<[u8]>::is_empty) {
        return Err(HostKeyError("is cut short, or of another kind than it says"));
    }
    Ok(([kind, key].join(" "), blob))
}

/// A public key as a line has it.
#[must_use]
pub fn line(kind: &str, blob: &[u8]) -> String {
    [kind, &Base64::encode_string(blob)].join(" ")
}

/// What a public key is known by, as `ssh-add -l` says it: `SHA256:…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub [u8; 32]);

/// What begins one.
const SHA256: &str = "SHA256:";

impl TryFrom<String> for Fingerprint {
    type Error = HostKeyError;

    fn try_from(text: String) -> Result<Self, HostKeyError> {
        let digest = text.strip_prefix(SHA256).and_then(|rest| {
            let bytes = Base64Unpadded::decode_vec(rest).ok()?;
            bytes.try_into().ok().map(Self)
        });
        digest.ok_or(HostKeyError("is no fingerprint: SHA256: and then 43 letters"))
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        [SHA256, &Base64Unpadded::encode_string(&fingerprint.0)].concat()
    }
}

impl core::fmt::Display for Fingerprint {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        to.write_str(&String::from(*self))
    }
}

/// RFC 4648, section 4: with all of its padding, and nothing else.
#[must_use]
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok().filter(|bytes| !bytes.is_empty())
}

/// What the agent was asked for, and did or did not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signing {
    /// The key, by its place in the plan; nothing where none was meant that there is.
    pub signer: Option<u32>,
    /// By which of its logins, or of the texts that it signs; nothing where it did not.
    pub leave: Option<u32>,
    /// What became of it.
    pub signed: Signed,
}

macro_rules! signed {
    ($($(#[$doc:meta])+ $name:ident = $number:literal, $text:literal, $remedy:expr;)+) => {
        /// What became of what an agent was asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Signed {
            $($(#[$doc])+ $name = $number,)+
        }

        impl Signed {
            const ALL: &'static [(Self, u8)] = &[$((Self::$name, $number),)+];

            const fn number(self) -> u8 {
                match self { $(Self::$name => $number,)+ }
            }

            /// What it is, in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What to do where it shall be done; nothing where nothing would help.
            #[must_use]
            pub const fn remedy(self) -> Option<&'static str> {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

signed! {
    /// It signed for a session.
    Login = 1, "signed for a session", None;
    /// It signed a text.
    Text = 2, "signed a text", None;
    /// There is no such key.
    Key = 3, "there is no such key", None;
    /// The session that it is for was not named before, with what its host signed.
    Unbound = 4, "the client did not say for which session",
        Some("use OpenSSH 8.9 or newer, which says so: for git, core.sshCommand = ssh; for cargo, net.git-fetch-with-cli = true");
    /// The session is not that which was named before.
    Session = 5, "it is for another session than the client had named", None;
    /// The session was named with something that its host did not sign.
    Binding = 6, "the session was named without its host's signature", None;
    /// The session is with a host that no rule names.
    Host = 7, "it is for a session with a host whose key is not known for it",
        Some("add the host to ssh.hosts, and its key to ssh.host_keys or ssh.known_hosts");
    /// The session is for a user that no rule names.
    User = 8, "it is for a session of a user that is not named for that host",
        Some("add USER@HOST to ssh.hosts");
    /// The agent was forwarded to a host.
    Forwarded = 9, "the agent is not forwarded to a host", Some("set ForwardAgent no, or leave out -A");
    /// It is neither for a session nor a text of a kind that is known.
    Malformed = 10, "it is neither for a session nor for a text", None;
    /// It is a text, and of a namespace that is not named.
    Namespace = 11, "it is a text of a namespace that is not named",
        Some("add its namespace to ssh.sign, as in sign = [\"git\"]");
    /// It is in an algorithm that the key has not, or nobody should use any more.
    Algorithm = 12, "the key does not sign with that algorithm", None;
    /// It is something else than a signature.
    Operation = 13, "the agent only signs", None;
    /// It comes too often.
    Rate = 14, "too many requests", None;
    /// The agent that keeps the key is not there.
    Gone = 15, "the ssh-agent that keeps the key cannot be reached any more",
        Some("start an ssh-agent at the same place, with the key in it: ssh-add -l");
    /// The agent that keeps the key would not.
    Keeper = 16, "the ssh-agent that keeps the key did not sign",
        Some("check with ssh-add -l that the key is there, the agent is not locked, and the key may be used for this (ssh-add -h, -c)");
    /// The agent that keeps the key did not answer in time.
    Late = 17, "the ssh-agent that keeps the key did not answer in time",
        Some("touch the token, or confirm, when it asks");
    /// What the agent answered is no signature of the key's.
    Wrong = 18, "the ssh-agent that keeps the key answered with an invalid signature", None;
    /// Whoever asked did not wait for it.
    Left = 19, "the client did not wait for it", None;
}

impl Signed {
    /// Whether it was not done.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        !matches!(self, Self::Login | Self::Text)
    }
}

/// A place, where none is meant.
const NONE: u32 = u32::MAX;

impl Signing {
    /// The bytes of it as a message.
    pub const SIZE: usize = 9;

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let numbers = [self.signer, self.leave].map(|place| place.unwrap_or(NONE).to_le_bytes());
        let all = [self.signed.number()].into_iter().chain(numbers.into_iter().flatten());
        bytes.iter_mut().zip(all).for_each(|(place, byte)| *place = byte);
        bytes
    }

    /// The one in these bytes.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<Self, RecordError> {
        let mut from = Reader(bytes);
        let [number] = from.take()?;
        let found = Signed::ALL.iter().find(|(_, other)| *other == number);
        let signed = found.map(|(signed, _)| *signed);
        let signed = signed.ok_or(RecordError("what became of a signature is nothing known"))?;
        let [signer, leave] = [from.take()?, from.take()?].map(|bytes| {
            let place = u32::from_le_bytes(bytes);
            (place != NONE).then_some(place)
        });
        let whole =
            if signed.is_refusal() { leave.is_none() } else { leave.is_some() && signer.is_some() };
        if !whole {
            return Err(RecordError("a signature that was made, and no other, has a leave"));
        }
        Ok(Self { signer, leave, signed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8xFUqVJ9zQ3TtXQ8yH4u9WwEJp8iQ7wQ3nHcQb2y8k";

    #[test]
    fn the_key_of_a_host_is_read_as_known_hosts_has_it() {
        let key = HostKey::read(&[KEY, " somebody@somewhere"].concat()).unwrap();
        assert_eq!(key.as_str(), KEY);
        assert!(key.blob().starts_with(b"\0\0\0\x0bssh-ed25519"));
        assert_eq!(HostKey::try_from(String::from(key.clone())), Ok(key));
        for (wrong, why) in [
            ("", "its kind and then itself"),
            ("ssh-ed25519", "its kind and then itself"),
            ("ssh-dss AAAA", "no known kind"),
            ("ssh-ed25519 AAA", "not base64"),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "cut short"),
            ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJ8x", "another kind"),
        ] {
            assert!(HostKey::read(wrong).unwrap_err().to_string().contains(why), "{wrong}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_ssh_add_prints_it() {
        let text = "SHA256:ygYlZPxFPA9Qgp8qXVvdVqkDhuGcJUHDbn8vTBhiDH0";
        let read = Fingerprint::try_from(String::from(text)).unwrap();
        assert_eq!(read.to_string(), text);
        for wrong in [
            "",
            "SHA256:",
            &text[..49],
            &[text, "A"].concat(),
            &[text, "="].concat(),
            &text.replace("SHA256", "SHA512"),
            "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
        ] {
            assert!(Fingerprint::try_from(String::from(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_key_of_a_token_is_none_of_a_hosts() {
        let kind = "sk-ssh-ed25519@openssh.com";
        let blob = [&[0, 0, 0, 26][..], kind.as_bytes(), b"rest"].concat();
        let line = line(kind, &blob);
        assert_eq!(public(&line, &SIGNING).unwrap(), (line.clone(), blob));
        assert!(HostKey::read(&line).is_err());
    }

    #[test]
    fn base64_is_read_in_one_spelling() {
        for (text, bytes) in [("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("+/+/", "")] {
            let read = unbase64(text).unwrap();
            assert!(read == bytes.as_bytes() || bytes.is_empty() && read == [0xfb, 0xff, 0xbf]);
        }
        for wrong in ["", "Z", "Zg", "Zg=", "Zg===", "=", "====", "Zh==", "Zm9=", "Zm\n=", "Z=g="] {
            assert_eq!(unbase64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_told_of_a_signature_is_heard() {
        for (signed, _) in Signed::ALL {
            let leave = (!signed.is_refusal()).then_some(1);
            let told = Signing { signer: Some(2), leave, signed: *signed };
            assert_eq!(Signing::decode(&told.encode()), Ok(told));
        }
        for (signer, leave, signed) in [
            (None, Some(1), Signed::Login),
            (Some(1), None, Signed::Text),
            (Some(1), Some(1), Signed::Host),
        ] {
            assert!(Signing::decode(&Signing { signer, leave, signed }.encode()).is_err());
        }
        assert!(Signing::decode(&[0; Signing::SIZE]).is_err());
    }
}
