//! `[secrets.NAME]` as text again.

use super::{Text, string};
use crate::schema::{Profile, Secret, Source};

impl Profile {
    pub(super) fn secret_tables(&self, text: &mut Text) {
        for (name, secret) in &self.secrets {
            text.table(&format!("secrets.{name}"));
            keys(&secret.value, text);
        }
    }
}

fn keys(secret: &Secret, text: &mut Text) {
    text.value("from", secret.from.as_ref(), |from| string(&shown(from)));
    if let Some(written) = &secret.from {
        match &written.value {
            Source::Program(_, arguments) if !arguments.is_empty() => {
                let arguments: Vec<String> = arguments.iter().map(|one| string(one)).collect();
                text.value("arguments", Some(written), |_| format!("[{}]", arguments.join(", ")));
            }
            Source::Age { identity, .. } => {
                text.value("identity", Some(written), |_| string(&identity.to_string()));
            }
            Source::File(_) | Source::Passed(_) | Source::Variable(_) | Source::Program(..) => {}
        }
    }
    text.value("credential", secret.credential.as_ref(), |name| string(name));
}

fn shown(from: &Source) -> String {
    match from {
        Source::File(place) => format!("file:{place}"),
        Source::Passed(name) => format!("systemd:{name}"),
        Source::Variable(name) => format!("env:{name}"),
        Source::Program(place, _) => format!("exec:{place}"),
        Source::Age { file, .. } => format!("age:{file}"),
    }
}
