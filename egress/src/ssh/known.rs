//! The keys of a host in a file as `~/.ssh/known_hosts`, sshd(8).

use ring::hmac;
use sandboxd_egress_plan::{HostKey, ssh::unbase64};

/// The keys of this host: its name, and with a port other than 22 `[NAME]:PORT`. Keys of a kind that is not
/// known here, those of authorities, and those that a line revokes are none.
#[must_use]
pub fn keys(text: &str, host: &str) -> Vec<HostKey> {
    let (mut keys, mut revoked) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let (marker, line) = match line.split_once([' ', '\t']) {
            Some((marker, rest)) if marker.starts_with('@') => (Some(marker), rest.trim_start()),
            Some(_) | None => (None, line),
        };
        let Some((names, key)) = line.split_once([' ', '\t']) else { continue };
        let Ok(key) = HostKey::read(key) else { continue };
        match marker {
            Some("@revoked") => revoked.push(key),
            None if is_meant(names, host) => keys.push(key),
            Some(_) | None => {}
        }
    }
    keys.retain(|key| !revoked.contains(key));
    keys.sort();
    keys.dedup();
    keys
}

fn is_meant(names: &str, host: &str) -> bool {
    if let Some(hashed) = names.strip_prefix("|1|") {
        return is_hashed(hashed, host).is_some();
    }
    let all = || names.split(',');
    let fits = |pattern: &str| fits(pattern.to_ascii_lowercase().as_bytes(), host.as_bytes());
    let denied = all().filter_map(|one| one.strip_prefix('!')).any(fits);
    !denied && all().any(fits)
}

/// The salt, and the HMAC of the name with it.
fn is_hashed(hashed: &str, host: &str) -> Option<()> {
    let (salt, hash) = hashed.split_once('|')?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &unbase64(salt)?);
    hmac::verify(&key, host.as_bytes(), &unbase64(hash)?).ok()
}

/// `*` is any letters, `?` is one.
fn fits(pattern: &[u8], host: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = host.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
            }
            Some(one) if *one == b'?' || one == letter => {
                at += 1;
                from += 1;
            }
            _ => match star {
                // The star has one letter more.
                Some((after, begun)) => {
                    star = Some((after, begun + 1));
                    (at, from) = (after, begun + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|letter| *letter == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINqpIRXohWcFDdwT0xKnC9/ptMU5ay8D4puxIhTkpcVt";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8xFUqVJ9zQ3TtXQ8yH4u9WwEJp8iQ7wQ3nHcQb2y8k";

    fn of(text: &str, host: &str) -> Vec<String> {
        keys(text, host).into_iter().map(String::from).collect()
    }

    #[test]
    fn a_host_has_the_keys_of_the_lines_that_name_it() {
        for (names, host, has) in [
            ("git.example", "git.example", true),
            ("git.example", "git.example.org", false),
            ("a.example,git.example,192.0.2.1", "git.example", true),
            ("Git.Example", "git.example", true),
            ("*.example", "git.example", true),
            ("*.example,!git.example", "git.example", false),
            ("*", "git.example", true),
            ("g?t.exam*le", "git.example", true),
            ("g?t.exam*x", "git.example", false),
            ("[git.example]:2222", "[git.example]:2222", true),
            ("[git.example]:2222", "git.example", false),
            ("git.example", "[git.example]:2222", false),
            ("@cert-authority *", "git.example", false),
            ("#git.example", "git.example", false),
        ] {
            let text = format!("# said\n\nother.example {OTHER}\n{names} {KEY} me@here\n");
            let wanted: &[&str] = if has { &[KEY] } else { &[] };
            assert_eq!(of(&text, host), wanted, "{names} {host}");
        }
        assert_eq!(of(&format!("git.example {KEY}\n@revoked * {KEY}\n"), "git.example"), [""; 0]);
        assert_eq!(of(&format!("git.example\t{KEY}\n* {OTHER}\n"), "git.example").len(), 2);
        assert_eq!(
            of("git.example ssh-dss AAAA\ngit.example\n@revoked\n|1|\n", "git.example").len(),
            0
        );
    }

    /// As `ssh-keygen -H` writes them.
    #[test]
    fn names_that_are_hashed_are_found() {
        let text = include_str!("vectors/known_hosts");
        for host in ["git.example", "[git.example]:2222"] {
            assert_eq!(of(text, host), [KEY], "{host}");
        }
        assert_eq!(of(text, "other.example").len(), 0);
    }
}
