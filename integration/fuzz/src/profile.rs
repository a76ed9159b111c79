//! The profile parser: whatever the bytes, a profile or problems that each say what is wrong.
#![no_main]

use sandboxd_plan::HostPath;
use sandboxd_profiles::{Document, load};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let document = Document {
        name: "fuzz.toml".to_owned(),
        folder: HostPath::try_from("/fuzz").ok(),
        text: text.to_owned(),
    };
    let mut nothing_else = |_: &HostPath| Err("no such file or directory".to_owned());
    if let Err(problems) = load(document, &mut nothing_else) {
        assert!(!problems.is_empty(), "refused without a reason");
        for problem in problems {
            assert!(!problem.what.is_empty() && !problem.file.is_empty(), "{problem:?}");
        }
    }
});
