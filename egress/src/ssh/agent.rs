//! Who gets a signature: whoever said first for which session it is, with what the session's host signed, and
//! asks for a login in that one, as a user that is named there. And texts of the namespaces that are named.
//!
//! A client of OpenSSH says so since 8.9 (`session-bind@openssh.com`, PROTOCOL.agent). The id of a session is
//! made of what both sides sent while it began, and is signed by the host, so that nobody can have the same
//! with another host.

use super::asked::{Asked, Login as Wanted, asked};
use super::message::{Answer, Bind, Request};
use super::private::Key;
use super::public::verifies;
use crate::secret::{NotTaken, SecretError, Secrets};
use sandboxd_egress_plan::{EgressPlan, Login, Signed, Signer, Signing};

/// Keys, and what they sign.
#[derive(Debug, Default)]
pub struct Agent(Vec<Held>);

#[derive(Debug)]
struct Held {
    key: Key,
    signer: Signer,
    name: String,
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
            let none =
                |error| SecretError::new(NotTaken::NoKey, format!("secret {name:?} {error}"));
            let key = Key::read(secret).map_err(none)?;
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

    /// The answer to a request, and what is to be told of it. `admits` says whether it is its turn, and is
    /// asked for what would be signed alone.
    pub fn answer(
        &self,
        session: &mut Session,
        request: Request,
        admits: impl FnOnce() -> bool,
    ) -> (Answer, Option<Signing>) {
        let told = |signed| Some(Signing { signer: None, leave: None, signed });
        match request {
            Request::Identities => (Answer::Identities(self.identities(session)), None),
            Request::Bind(bind) => {
                *session = self.bound(session, bind);
                match session {
                    Session::Refused(signed) => (Answer::NoExtension, told(*signed)),
                    Session::Bound(_) | Session::Unbound => (Answer::Done, None),
                }
            }
            Request::Sign { key, data, flags } => {
                let at = self.0.iter().position(|held| held.key.public() == key);
                let judged = at.and_then(|at| self.0.get(at)).ok_or(Signed::Key);
                let signer = at.and_then(|at| u32::try_from(at).ok());
                let judged = judged.and_then(|held| {
                    let (leave, signed) = held.leave(session, &data, flags)?;
                    let leave = u32::try_from(leave).map_err(|_| Signed::Malformed)?;
                    if !admits() {
                        return Err(Signed::Rate);
                    }
                    let signature = held.key.sign(&data, flags).ok_or(Signed::Algorithm)?;
                    Ok((signature, Signing { signer, leave: Some(leave), signed }))
                });
                match judged {
                    Ok((signature, told)) => (Answer::Signature(signature), Some(told)),
                    Err(signed) => (Answer::Refused, Some(Signing { signer, leave: None, signed })),
                }
            }
            Request::Other { extension: true } => (Answer::NoExtension, told(Signed::Operation)),
            Request::Other { extension: false } => (Answer::Refused, told(Signed::Operation)),
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
    /// By which leave this is signed.
    fn leave(&self, session: &Session, data: &[u8], flags: u32) -> Result<(usize, Signed), Signed> {
        let algorithm = self.key.algorithm(flags).ok_or(Signed::Algorithm)?;
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

/// Whether the host of a login is known by this key.
fn is_known(login: &Login, host: &[u8]) -> bool {
    login.keys.iter().any(|key| key.blob() == host)
}

#[cfg(test)]
mod tests;
