//! What looks like a secret, by its name or by itself. A profile is a file that is copied, shown and checked in, and
//! what is in an argument or a variable every process of the same user can read: neither is a place for one.

use crate::origin::Written;
use crate::reader::{Node, Reader};

/// What to write instead, whatever the command does with it.
pub(super) const NAME_IT: &str = "keep it in a file and name that file in [secrets.NAME]: with inject the command never has it, with credential it reads its own copy";

/// How the keys of well-known services begin, and of how many letters the rest is at least. These are the beginnings
/// that their makers document, so that leaked ones are found.
const KEYS: &[(&str, usize)] = &[
    ("ghp_", 36),
    ("gho_", 36),
    ("ghu_", 36),
    ("ghs_", 36),
    ("ghr_", 36),
    ("github_pat_", 22),
    ("glpat-", 20),
    ("sk-", 20),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 35),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("npm_", 36),
    ("pypi-", 50),
    ("hf_", 30),
];

/// Whether the name of a variable says that its value is a secret. One that says where a secret lies holds none.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let places = ["_FILE", "_PATH", "_DIR", "_DIRECTORY"];
    if places.iter().any(|place| name.ends_with(place)) {
        return false;
    }
    let words = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE"];
    let ends = |part: &str| words.iter().any(|word| part.ends_with(word));
    name.split('_').any(|part| ends(part) || matches!(part, "CREDENTIALS" | "PAT"))
        || ["API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY"].iter().any(|key| name.contains(key))
}

/// Whether a key of a well-known service is in a text, or a private key.
#[must_use]
pub fn holds_key(text: &str) -> bool {
    let of_a_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    text.contains("PRIVATE KEY-----")
        || text.split(|letter| !of_a_word(letter)).any(|word| {
            KEYS.iter().any(|(begin, least)| {
                word.strip_prefix(begin).is_some_and(|rest| rest.len() >= *least && is_random(rest))
            })
        })
}

/// Keys are made at random, and so have digits and capitals; names of algorithms and of folders that begin like one
/// (`sk-ecdsa-sha2-nistp256-cert-v01`) have not both.
fn is_random(rest: &str) -> bool {
    rest.bytes().any(|byte| byte.is_ascii_digit())
        && rest.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A text that stays what it is in arguments and variables, and so has no key in it.
pub(super) fn text<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<String>> {
    let text = reader.text(node)?;
    if holds_key(&text.value) {
        reader.refuse(node, "contains a key, which does not belong in a profile", NAME_IT);
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_secret_are_known() {
        for name in [
            "GITHUB_TOKEN",
            "ANTHROPIC_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "CLIENT_SECRET",
            "PGPASSWORD",
            "db_password",
            "GH_PAT",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PATH",
            "LANG",
            "MONKEY",
            "TOKENIZERS_PARALLELISM",
            "MAX_TOKENS",
            "DB_PASSWORD_FILE",
            "CREDENTIALS_DIRECTORY",
            "SSH_AUTH_SOCK",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn keys_of_well_known_services_are_known_and_words_that_begin_alike_are_not() {
        let mixed = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1bCd4fGh7jKl0nOp";
        let of = |begin: &str, letters: usize| format!("{begin}{}", &mixed[..letters]);
        for key in [
            of("ghp_", 36),
            of("github_pat_", 30),
            of("glpat-", 20),
            of("sk-proj-", 30),
            of("sk-ant-api03-", 30),
            format!("Authorization: Bearer {}", of("sk-", 20)),
            format!("https://x:{}@github.com/me/p.git", of("ghp_", 36)),
            format!("--key=AKIA{}", "ABCDEFGHIJKLMNO7"),
            of("AIza", 35),
            of("xoxb-", 20),
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl".to_owned(),
        ] {
            assert!(holds_key(&key), "{key}");
        }
        for word in [
            "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
            "HostKeyAlgorithms=sk-ssh-ed25519@openssh.com",
            "desk-of-a-very-long-name-2026-A",
            "ghp_",
            "npm_config_cache",
            "AKIA",
            "hf_hub_download_of_everything_there_is",
            "/srv/sk-learn/data",
        ] {
            assert!(!holds_key(word), "{word}");
        }
    }
}
