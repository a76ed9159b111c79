//! What is written down of an ssh-agent: each signature that a key made or was asked for, in the supervisor's
//! words, which are those of the profile.

use super::decisions::Decisions;
use sandboxd_audit::{Kind, Record};
use sandboxd_egress_plan::{EgressPlan, Login, Signed, Signing};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

/// Where SSH listens.
const PORT: u16 = 22;

/// The keys of a plan, by their names, and what each signs, in words.
#[derive(Default)]
pub(super) struct Signers(Vec<(String, Leaves)>);

struct Leaves {
    logins: Vec<String>,
    texts: Vec<String>,
}

/// What a key signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// The secret that it is.
    pub key: String,
    /// The user and host, or the namespace.
    pub leave: String,
    /// How often.
    pub times: u64,
}

/// What all keys of a run signed.
#[derive(Debug, Default)]
pub(super) struct Signatures(BTreeMap<(String, String), u64>);

/// What was asked for, as a profile says it.
pub(super) struct Said {
    /// The secret that the key is; nothing where there is none.
    pub(super) key: Option<String>,
    /// The user and host, or the namespace; nothing where it was not done.
    pub(super) leave: Option<String>,
}

impl Signers {
    pub(super) fn of(plan: &EgressPlan) -> Self {
        let signers = plan.agent.signers.iter().map(|signer| {
            let name = usize::try_from(signer.secret).ok().and_then(|at| plan.secrets.get(at));
            let logins = signer.logins.iter().map(login).collect();
            let texts = signer.texts.iter().map(|text| format!("sign {text}")).collect();
            (name.cloned().unwrap_or_default(), Leaves { logins, texts })
        });
        Self(signers.collect())
    }

    /// What this is; nothing where it cannot be.
    pub(super) fn said(&self, told: &Signing) -> Option<Said> {
        let at = |place: u32| usize::try_from(place).ok();
        let signer = match told.signer {
            Some(place) => Some(self.0.get(at(place)?)?),
            None => None,
        };
        let leave = match (signer, told.leave) {
            (_, None) => None,
            (None, Some(_)) => return None,
            (Some((_, leaves)), Some(place)) => {
                let all = if told.signed == Signed::Login { &leaves.logins } else { &leaves.texts };
                Some(all.get(at(place)?)?.clone())
            }
        };
        Some(Said { key: signer.map(|(name, _)| name.clone()), leave })
    }
}

fn login(Login { user, host, port, .. }: &Login) -> String {
    let port = if *port == PORT { String::new() } else { format!(":{port}") };
    format!("{user}@{host}{port}")
}

impl Signatures {
    pub(super) fn count(&mut self, said: &Said) {
        if let Said { key: Some(key), leave: Some(leave) } = said {
            let times = self.0.entry((key.clone(), leave.clone())).or_default();
            *times = times.saturating_add(1);
        }
    }

    pub(super) fn told(self) -> Vec<Signature> {
        let all = self.0.into_iter();
        all.map(|((key, leave), times)| Signature { key, leave, times }).collect()
    }
}

impl Decisions {
    /// Writes down what was asked for, and whether it was signed.
    pub(super) fn signed(&mut self, said: &Said, signed: Signed) {
        let admits = self.of_signatures(signed.is_refusal()).admits(Instant::now());
        let mut record = Record::of(Kind::Signature);
        record.decision = Some(if signed.is_refusal() { "refused" } else { "allowed" });
        record.rule.clone_from(&said.leave);
        record.result = json!({ "verdict": signed.text(), "key": said.key });
        self.keep(record, admits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_key_must_be_one_of_its_own() {
        let leaves = |login: &str, text: &str| Leaves {
            logins: vec![login.to_owned()],
            texts: vec![text.to_owned()],
        };
        let signers = Signers(vec![
            ("deploy".into(), leaves("git@git.example", "sign git")),
            ("other".into(), Leaves { logins: vec![], texts: vec![] }),
        ]);
        let told = |signer, leave, signed| signers.said(&Signing { signer, leave, signed });
        let login = told(Some(0), Some(0), Signed::Login).unwrap();
        assert_eq!(login.leave.as_deref(), Some("git@git.example"));
        assert_eq!(login.key.as_deref(), Some("deploy"));
        let text = told(Some(0), Some(0), Signed::Text).unwrap();
        assert_eq!(text.leave.as_deref(), Some("sign git"));
        let refused = told(None, None, Signed::Operation).unwrap();
        assert_eq!((refused.key, refused.leave), (None, None));
        for (signer, leave) in [(2, 0), (1, 0), (0, 1)] {
            assert!(told(Some(signer), Some(leave), Signed::Login).is_none());
        }
        let mut signatures = Signatures::default();
        for said in [&login, &text, &login] {
            signatures.count(said);
        }
        let told = signatures.told();
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].leave.as_str(), told[0].times), ("git@git.example", 2));
    }
}
