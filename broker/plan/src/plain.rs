//! Paths and URIs that are read in one way only. What a pattern with a star means is told by how a text begins: that says
//! nothing about where it leads, unless nobody who unescapes it or follows its dots takes it for another.

/// Whether a path, without its query, has one meaning: none that somebody who unescapes it or follows its
/// dots would take for another.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    // The last line is of what is no UTF-8 (RFC 3629, 3: too long for what it says) or no escape (RFC 3986, 2.1), and is
    // read as a dot or a slash by some.
    const HIDDEN: [&str; 14] = [
        "%2e", "%2f", "%5c", "%25", "%00", "//", "\\", ";", "%c0", "%c1", "%e0%8", "%e0%9",
        "%f0%8", "%u",
    ];
    let lower = path.to_ascii_lowercase();
    let dots = path.split('/').any(|part| part == "." || part == "..");
    !dots && !HIDDEN.iter().any(|text| lower.contains(text))
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
        let overlong =
            ["/%c0%ae%C0%AE/b", "/%c1%9cb", "/%e0%80%ae/b", "/%f0%80%80%af", "/%u002e/b"];
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
