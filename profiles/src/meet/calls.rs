//! System calls: of two verdicts the more severe one, as the kernel decides between two filters.

use crate::syscalls::Verdict;

/// What becomes of a call under a filter and another one on top. Where both refuse, the errno is the
/// one of the upper filter, seccomp(2).
pub(crate) fn meet(under: &Verdict, over: &Verdict) -> Verdict {
    match (under, over) {
        (Verdict::Kill, _) | (_, Verdict::Kill) => Verdict::Kill,
        (_, Verdict::Errno(errno)) | (Verdict::Errno(errno), _) => Verdict::Errno(*errno),
        (Verdict::Allow, verdict) | (verdict, Verdict::Allow) => verdict.clone(),
        (Verdict::Conditional(under), Verdict::Conditional(over)) => {
            let mut checks = over.clone();
            checks.extend(under.iter().filter(|check| !over.contains(check)));
            Verdict::Conditional(checks)
        }
    }
}

/// The same for every call there is.
pub(crate) fn meet_all(under: &[Verdict], over: &[Verdict]) -> Vec<Verdict> {
    under.iter().zip(over).map(|(under, over)| meet(under, over)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How severe a verdict is.
    fn severity(verdict: &Verdict) -> usize {
        match verdict {
            Verdict::Allow => 0,
            Verdict::Conditional(checks) => checks.len(),
            Verdict::Errno(_) => 100,
            Verdict::Kill => 101,
        }
    }

    #[test]
    fn the_more_severe_verdict_counts_in_either_order() {
        let all = [Verdict::Allow, Verdict::Errno(1), Verdict::Errno(38), Verdict::Kill];
        for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
            let met = severity(&meet(a, b));
            assert_eq!(met, severity(a).max(severity(b)), "{a} {b}");
            assert_eq!(met, severity(&meet(b, a)), "{a} {b}");
            assert_eq!(meet(a, a), *a);
        }
        assert_eq!(meet(&Verdict::Errno(1), &Verdict::Errno(38)), Verdict::Errno(38));
    }
}
