//! Paths and URIs that are read in one way only. What a pattern with a star means is told by how a text begins: that says
//! nothing about where it leads, unless nobody who unescapes it or follows its dots takes it for another.

/// Whether a path, without its query, has one meaning: none that somebody who unescapes it or follows its
/// dots would take for another.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    const HIDDEN: [&str; 8] = ["%2e", "%2f", "%5c", "%25", "%00", "//", "\\", ";"];
    let lower = path.to_ascii_lowercase();
    let dots = path.split('/').any(|part| part == "." || part == "..");
    !dots && is_text(path) && !HIDDEN.iter().any(|text| lower.contains(text))
}

/// Whether each `%` begins an escape (RFC 3986, 2.1), and what all stand for is UTF-8: what is longer than it needs to be
/// (RFC 3629, 3) is read as a dot or a slash by some.
fn is_text(path: &str) -> bool {
    let mut pieces = path.split('%');
    let mut text = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).filter(|two| two.bytes().all(|it| it.is_ascii_hexdigit()));
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        let (Some(byte), Some(rest)) = (byte, piece.get(2..)) else { return false };
        text.push(byte);
        text.extend_from_slice(rest.as_bytes());
    }
    str::from_utf8(&text).is_ok()
}

/// The same of a URI (RFC 3986), its query and fragment too. Besides, it has nothing that is passed over where it is read
/// (WHATWG URL, 4.4): control characters, as they are or escaped, and spaces around it.
#[must_use]
pub fn is_plain_uri(uri: &str) -> bool {
    let passed_over = uri.contains(char::is_control) || uri.trim_matches(' ') != uri;
    let lower = uri.to_ascii_lowercase();
    let escaped = ["%0", "%1", "%7f"].iter().any(|text| lower.contains(text));
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    !passed_over && !escaped && is_plain(scheme) && rest.split(['?', '#', '&', '=']).all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_not_plain() {
        for path in ["/", "/a/b", "/..a/b..", "/a%20b", "/gr%C3%B6%C3%9Fe", "/%e0%a4%a4", "*"] {
            assert!(is_plain(path), "{path}");
        }
        let ambiguous =
            ["/a/../b", "/.", "/%2E%2e/b", "/a%2fb", "/a%5cb", "/%252e", "/a//b", "/a;/b"];
        let overlong = [
            "/%c0%ae%C0%AE/b",
            "/%c1%9cb",
            "/%e0%80%ae/b",
            "/%f0%80%80%af",
            "/%f8%80%80%80%ae",
            "/%ae",
            "/%%32e",
            "/%u002e/b",
            "/a%",
        ];
        for path in ambiguous.into_iter().chain(overlong) {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn a_uri_that_can_be_read_in_two_ways_is_not_plain() {
        let plain = [
            "file:///srv/public/a.txt",
            "file:///srv/public/größe ..x",
            "note://today?of=a/b#c",
            "urn:a:b",
            "name",
        ];
        for uri in plain {
            assert!(is_plain_uri(uri), "{uri}");
        }
        let ambiguous = [
            "file:///srv/public/../private",
            "file:///srv/public/..",
            "file:///srv/public/..?x",
            "file:///srv/public/..#x",
            "file:///srv/public/.",
            "file:///srv/public/%2e%2E/private",
            "file:///srv/public/.%2e/private",
            "file:///srv/public/..%2fprivate",
            "file:///srv/public/..%5Cprivate",
            "file:///srv/public/..\\private",
            "file:///srv/public/%252e%252e/private",
            "file:///srv/public/.\t./private",
            "file:///srv/public/.%09./private",
            "file:///srv/public/.\u{7f}",
            "file:///srv/public/.. ",
            "file:////etc/passwd",
            "note://today?of=../b",
            "note:../b",
            "../a:b",
        ];
        for uri in ambiguous {
            assert!(!is_plain_uri(uri), "{uri:?}");
        }
    }
}
