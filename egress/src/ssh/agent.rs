//! Who gets a signature: whoever said first for which session it is, with what the session's host signed, and
//! asks for a login in that one, as a user that is named there. And texts of the namespaces that are named.
//!
//! A client of OpenSSH says so since 8.9 (`session-bind@openssh.com`, PROTOCOL.agent). The id of a session is
//! made of what both sides sent while it began, and is signed by the host, so that nobody can have the same
//! with another host.

use super::asked::{Asked, Login as Wanted, asked};
use super::message::{Answer, Bind, Request};
use super::private::Key;
use super::public::{algorithm, verifies};
use crate::secret::{NotTaken, SecretError, Secrets};
use sandboxd_egress_plan::{EgressPlan, Kept, Login, Signed, Signer, Signing, ssh};

/// Keys, and what they sign.
#[derive(Debug, Default)]
pub struct Agent(Vec<Held>);

#[derive(Debug)]
struct Held {
    key: Half,
    signer: Signer,
    name: String,
}

/// As much of a key as is here.
#[derive(Debug)]
enum Half {
    /// All of it.
    Both(Box<Key>),
    /// The public half: another agent keeps the private one.
    Public(Vec<u8>),
}

impl Half {
    fn public(&self) -> &[u8] {
        match self {
            Self::Both(key) => key.public(),
            Self::Public(key) => key,
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Turn {
    /// The answer, and what is to be told of it.
    Said(Answer, Option<Signing>),
    /// It is to be signed, by the agent that keeps the key.
    Asks(Ask),
}

/// A signature that another agent is to make: what it is asked for is decided, and is this alone.
#[derive(Debug)]
pub struct Ask {
    /// Which of the plan's secrets it is, by its place.
    pub secret: u32,
    /// The session that it is for, where there is one, so that the other agent can hold its own keys to it.
    pub bind: Option<Bind>,
    /// The public half of the key.
    pub key: Vec<u8>,
    /// What is to be signed.
    pub data: Vec<u8>,
    /// In which way.
    pub flags: u32,
    told: Signing,
}

impl Ask {
    /// The answer, where the other agent gave this one: its word is not taken for it.
    #[must_use]
    pub fn answered(&self, signature: Result<Vec<u8>, Signed>) -> (Answer, Signing) {
        let signature = signature.and_then(|signature| {
            let fits = verifies(&self.key, &self.data, &signature);
            if fits { Ok(signature) } else { Err(Signed::Wrong) }
        });
        match signature {
            Ok(signature) => (Answer::Signature(signature), self.told),
            Err(signed) => (Answer::Refused, Signing { leave: None, signed, ..self.told }),
        }
    }
}

/// What is known of whoever is at the other end of a connection. It is said once.
#[derive(Debug, Default)]
pub enum Session {
    /// Nothing.
    #[default]
    Unbound,
    /// It asks for this session.
    Bound(Bind),
    /// It said something that does not hold, and is believed nothing any more.
    Refused(Signed),
}

impl Agent {
    /// The keys of this plan.
    ///
    /// # Errors
    /// Where a secret is no key, or the same as another.
    pub fn new(plan: &EgressPlan, secrets: &Secrets) -> Result<Self, SecretError> {
        let held = |signer: &Signer| {
            let name = usize::try_from(signer.secret).ok().and_then(|at| plan.secrets.get(at));
            let name = name.cloned().unwrap_or_default();
            let secret = secrets.get(signer.secret).unwrap_or_default();
            let key = match signer.kept {
                Kept::Here => Key::read(secret)
                    .map(|key| Half::Both(Box::new(key)))
                    .map_err(|error| error.to_string()),
                Kept::Agent => public(secret).map(Half::Public).map_err(str::to_owned),
            };
            let key = key.map_err(|error| {
                SecretError::new(NotTaken::NoKey, format!("secret {name:?} {error}"))
            })?;
            Ok(Held { key, signer: signer.clone(), name })
        };
        let all = plan.agent.signers.iter().map(held).collect::<Result<Vec<_>, SecretError>>()?;
        for (place, one) in all.iter().enumerate() {
            let mut before = all.iter().take(place);
            if let Some(other) = before.find(|other| other.key.public() == one.key.public()) {
                // Of two, one would sign what the other is asked for.
                let what = format!("secrets {:?} and {:?} are the same key", other.name, one.name);
                return Err(SecretError::new(NotTaken::SameKey, what));
            }
        }
        Ok(Self(all))
    }

    /// What becomes of a request. `admits` says whether it is its turn, and is asked for what would be signed
    /// alone.
    pub fn answer(
        &self,
        session: &mut Session,
        request: Request,
        admits: impl FnOnce() -> bool,
    ) -> Turn {
        let told = |signed| Some(Signing { signer: None, leave: None, signed });
        match request {
            Request::Identities => Turn::Said(Answer::Identities(self.identities(session)), None),
            Request::Bind(bind) => {
                *session = self.bound(session, bind);
                match session {
                    Session::Refused(signed) => Turn::Said(Answer::NoExtension, told(*signed)),
                    Session::Bound(_) | Session::Unbound => Turn::Said(Answer::Done, None),
                }
            }
            Request::Sign { key, data, flags } => {
                let at = self.0.iter().position(|held| held.key.public() == key);
                let signer = at.and_then(|at| u32::try_from(at).ok());
                let held = at.and_then(|at| self.0.get(at)).ok_or(Signed::Key);
                let judged = held.and_then(|held| {
                    let (leave, signed) = held.leave(session, &data, flags)?;
                    let leave = u32::try_from(leave).map_err(|_| Signed::Malformed)?;
                    if !admits() {
                        return Err(Signed::Rate);
                    }
                    let told = Signing { signer, leave: Some(leave), signed };
                    held.sign(session, (key, data, flags), told)
                });
                judged.unwrap_or_else(|signed| {
                    Turn::Said(Answer::Refused, Some(Signing { signer, leave: None, signed }))
                })
            }
            Request::Other { extension: true } => {
                Turn::Said(Answer::NoExtension, told(Signed::Operation))
            }
            Request::Other { extension: false } => {
                Turn::Said(Answer::Refused, told(Signed::Operation))
            }
        }
    }

    /// Those that could sign.
    fn identities(&self, session: &Session) -> Vec<(Vec<u8>, String)> {
        let could = |held: &&Held| match session {
            Session::Unbound => true,
            Session::Bound(bind) => {
                held.signer.logins.iter().any(|login| is_known(login, &bind.host))
            }
            Session::Refused(_) => false,
        };
        let all = self.0.iter().filter(could);
        all.map(|held| (held.key.public().to_vec(), held.name.clone())).collect()
    }

    fn bound(&self, session: &Session, bind: Bind) -> Session {
        let mut logins = self.0.iter().flat_map(|held| &held.signer.logins);
        let known = logins.any(|login| is_known(login, &bind.host));
        match session {
            Session::Refused(signed) => Session::Refused(*signed),
            Session::Bound(_) => Session::Refused(Signed::Session),
            Session::Unbound if bind.forwarding => Session::Refused(Signed::Forwarded),
            Session::Unbound if !known => Session::Refused(Signed::Host),
            Session::Unbound if !verifies(&bind.host, &bind.session, &bind.signature) => {
                Session::Refused(Signed::Binding)
            }
            Session::Unbound => Session::Bound(bind),
        }
    }
}

impl Held {
    /// Signs, or says what the agent is to be asked that does.
    fn sign(
        &self,
        session: &Session,
        (key, data, flags): (Vec<u8>, Vec<u8>, u32),
        told: Signing,
    ) -> Result<Turn, Signed> {
        match &self.key {
            Half::Both(both) => {
                let signature = both.sign(&data, flags).ok_or(Signed::Algorithm)?;
                Ok(Turn::Said(Answer::Signature(signature), Some(told)))
            }
            Half::Public(_) => {
                let bind = match session {
                    Session::Bound(bind) => Some(bind.clone()),
                    Session::Unbound | Session::Refused(_) => None,
                };
                Ok(Turn::Asks(Ask { secret: self.signer.secret, bind, key, data, flags, told }))
            }
        }
    }

    /// By which leave this is signed.
    fn leave(&self, session: &Session, data: &[u8], flags: u32) -> Result<(usize, Signed), Signed> {
        let algorithm = algorithm(self.key.public(), flags).ok_or(Signed::Algorithm)?;
        match asked(data).ok_or(Signed::Malformed)? {
            Asked::Text { namespace } => {
                // Whoever is at the end of a forwarded agent, or of a session that does not hold, gets nothing.
                if let Session::Refused(signed) = session {
                    return Err(*signed);
                }
                let named = |text: &String| text.as_bytes() == namespace;
                let place = self.signer.texts.iter().position(named).ok_or(Signed::Namespace)?;
                Ok((place, Signed::Text))
            }
            Asked::Login(wanted) => {
                if wanted.key != self.key.public() || wanted.algorithm != algorithm.as_bytes() {
                    return Err(Signed::Algorithm);
                }
                Ok((self.login(session, &wanted)?, Signed::Login))
            }
        }
    }

    fn login(&self, session: &Session, wanted: &Wanted<'_>) -> Result<usize, Signed> {
        let bind = match session {
            Session::Unbound => return Err(Signed::Unbound),
            Session::Refused(signed) => return Err(*signed),
            Session::Bound(bind) => bind,
        };
        if wanted.session != bind.session || wanted.host.is_some_and(|host| host != bind.host) {
            return Err(Signed::Session);
        }
        let logins = self.signer.logins.iter().enumerate();
        let mut logins = logins.filter(|(_, login)| is_known(login, &bind.host));
        let first = logins.next().ok_or(Signed::Host)?;
        let mut all = std::iter::once(first).chain(logins);
        let named = all.find(|(_, login)| login.user.as_bytes() == wanted.user);
        named.map(|(place, _)| place).ok_or(Signed::User)
    }
}

/// The public half of a key that another agent keeps.
///
/// # Errors
/// Where it is none.
pub fn public(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "is not a public key")?;
    ssh::public(text, &ssh::SIGNING).map(|(_, blob)| blob).map_err(|error| error.0)
}

/// Whether the host of a login is known by this key.
fn is_known(login: &Login, host: &[u8]) -> bool {
    login.keys.iter().any(|key| key.blob() == host)
}

#[cfg(test)]
mod tests;
