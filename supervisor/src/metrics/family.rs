//! What is counted: each family with its name, its labels and what it means.

/// A family of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    Started,
    NotStarted,
    Ended,
    Running,
    KernelFeature,
    Connections,
    Calls,
    Answers,
    InFlight,
    QueueDepth,
    BreakerState,
    Denials,
    LimiterDenied,
    BreakerOpened,
    Notices,
    PinChanges,
    Approvals,
    ApprovalsPending,
    Egress,
    EgressBytes,
    SecretsUses,
    AuditLost,
}

/// What Prometheus is told of a family.
pub(super) struct Family {
    pub(super) of: Of,
    pub(super) name: &'static str,
    /// `counter` or `gauge`.
    pub(super) kind: &'static str,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// All of them, in the order in which they are written.
pub(super) const ALL: &[Family] = &[
    Family {
        of: Of::Started,
        name: "sandboxd_sandboxes_started_total",
        kind: COUNTER,
        labels: &["profile"],
        help: "Sandboxes whose command was started, including callees and sandboxd's own services.",
    },
    Family {
        of: Of::NotStarted,
        name: "sandboxd_sandboxes_refused_total",
        kind: COUNTER,
        labels: &["profile", "stage"],
        help: "Commands that were not run, by the stage that failed.",
    },
    Family {
        of: Of::Ended,
        name: "sandboxd_sandboxes_ended_total",
        kind: COUNTER,
        labels: &["profile", "outcome"],
        help: "Commands that ended: success, failure, signal, timeout, cpu_limit or oom.",
    },
    Family {
        of: Of::Running,
        name: "sandboxd_sandboxes",
        kind: GAUGE,
        labels: &["profile"],
        help: "Sandboxes whose command is running.",
    },
    Family {
        of: Of::KernelFeature,
        name: "sandboxd_kernel_feature",
        kind: GAUGE,
        labels: &["name"],
        help: "1 if the layer was enforced in the sandbox that was started last.",
    },
    Family {
        of: Of::Connections,
        name: "sandboxd_connections_total",
        kind: COUNTER,
        labels: &["caller", "decision"],
        help: "Connections to the broker, accepted or not.",
    },
    Family {
        of: Of::Calls,
        name: "sandboxd_calls_total",
        kind: COUNTER,
        labels: &["caller", "callee", "method", "tool", "decision"],
        help: "Calls that were decided; the tool as the profile writes it.",
    },
    Family {
        of: Of::Answers,
        name: "sandboxd_calls_ended_total",
        kind: COUNTER,
        labels: &["caller", "callee", "status"],
        help: "Calls that were forwarded and ended: answered, error, or the rule that ended them.",
    },
    Family {
        of: Of::InFlight,
        name: "sandboxd_calls_in_flight",
        kind: GAUGE,
        labels: &["caller", "callee"],
        help: "Calls that were forwarded and have not ended.",
    },
    Family {
        of: Of::QueueDepth,
        name: "sandboxd_queue_depth",
        kind: GAUGE,
        labels: &["callee"],
        help: "Calls that wait for their turn.",
    },
    Family {
        of: Of::BreakerState,
        name: "sandboxd_breaker_state",
        kind: GAUGE,
        labels: &["callee"],
        help: "0 if calls pass (closed), 1 if one call tests whether it works again (half-open), 2 if none pass (open).",
    },
    Family {
        of: Of::Denials,
        name: "sandboxd_denials_total",
        kind: COUNTER,
        labels: &["caller", "callee", "rule"],
        help: "Calls that were denied, by rule.",
    },
    Family {
        of: Of::LimiterDenied,
        name: "sandboxd_limiter_denied_total",
        kind: COUNTER,
        labels: &["caller", "bucket"],
        help: "Calls that a limit denied: rate, busy, breaker, quarantine, repeats or budget.",
    },
    Family {
        of: Of::BreakerOpened,
        name: "sandboxd_breaker_opened_total",
        kind: COUNTER,
        labels: &["callee"],
        help: "How often the breaker of a failing callee opened.",
    },
    Family {
        of: Of::Notices,
        name: "sandboxd_notices_total",
        kind: COUNTER,
        labels: &["caller", "what"],
        help: "Other events worth knowing about calls: malformed, struck, no_edge and so on.",
    },
    Family {
        of: Of::PinChanges,
        name: "sandboxd_tool_pin_changes_total",
        kind: COUNTER,
        labels: &["callee"],
        help: "Tools that were hidden because their definition changed.",
    },
    Family {
        of: Of::Approvals,
        name: "sandboxd_approvals_total",
        kind: COUNTER,
        labels: &["caller", "callee", "decision"],
        help: "Calls that a person approved or denied.",
    },
    Family {
        of: Of::ApprovalsPending,
        name: "sandboxd_approvals_pending",
        kind: GAUGE,
        labels: &[],
        help: "Calls that wait for approval.",
    },
    Family {
        of: Of::Egress,
        name: "sandboxd_egress_connections_total",
        kind: COUNTER,
        labels: &["profile", "decision"],
        help: "Outgoing connections of commands that ended, allowed or not.",
    },
    Family {
        of: Of::EgressBytes,
        name: "sandboxd_egress_bytes_total",
        kind: COUNTER,
        labels: &["profile", "entry", "direction"],
        help: "Bytes of commands that ended, up (out) or down (back), by the entry that allowed them.",
    },
    Family {
        of: Of::SecretsUses,
        name: "sandboxd_secrets_uses_total",
        kind: COUNTER,
        labels: &["profile", "secret"],
        help: "Connections and calls that a secret was put into, and signatures.",
    },
    Family {
        of: Of::AuditLost,
        name: "sandboxd_audit_lost_total",
        kind: COUNTER,
        labels: &[],
        help: "Records that could not be written to the audit log.",
    },
];
