//! The words of records, each with its number.

use super::RecordError;
use crate::{Pattern, Reach};

macro_rules! words {
    ($(#[$doc:meta])+ $name:ident: $($(#[$one:meta])+ $word:ident = $number:literal, $text:literal;)+) => {
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$one])+ $word = $number,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$word,)+];

            pub(crate) const fn number(self) -> u8 {
                match self { $(Self::$word => $number,)+ }
            }

            pub(crate) fn from_number(number: u8) -> Result<Self, RecordError> {
                let found = Self::ALL.iter().find(|word| word.number() == number);
                found.copied().ok_or(RecordError(concat!("its ", stringify!($name), " is none")))
            }

            /// As it stands in the audit log.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }
        }
    };
}

words! {
    /// What decided that a call was refused, or ended one that was passed on.
    Rule:
    /// The method is none, or not this caller's.
    Method = 1, "method";
    /// The parameters are not what the method has.
    Params = 2, "params";
    /// The name is none, or not this caller's.
    Reach = 3, "reach";
    /// The arguments are not what they must be.
    Arguments = 4, "arguments";
    /// Called too often.
    Rate = 5, "rate";
    /// Too many calls waited already, or it waited too long.
    Busy = 6, "busy";
    /// The callee failed too often.
    Breaker = 7, "breaker";
    /// The caller was denied too often.
    Quarantine = 8, "quarantine";
    /// The same call was made too often.
    Repeats = 9, "repeats";
    /// The caller has no calls left.
    Budget = 10, "budget";
    /// The chain of calls is too long, or comes back to where it was.
    Chain = 11, "chain";
    /// Nobody approved it.
    Approval = 12, "approval";
    /// It could not be written down before.
    Record = 13, "record";
    /// No answer in time.
    Deadline = 14, "deadline";
    /// The callee was not there, or stopped before it answered.
    Gone = 15, "gone";
    /// The answer was none.
    Reply = 16, "reply";
    /// The callee asked something back that it may not.
    Reverse = 17, "reverse";
    /// The caller wants no answer any more.
    Cancelled = 18, "cancelled";
    /// A placeholder stood where no secret does.
    Secret = 19, "secret";
    /// The edge was taken back while the run goes on.
    Revoked = 20, "revoked";
}

words! {
    /// What a call asks for.
    Method:
    /// A method that the edge names.
    Named = 1, "";
    /// The handshake.
    Initialize = 2, "initialize";
    /// The handshake of the newer protocol.
    Discover = 3, "server/discover";
    /// Which tools there are.
    ToolsList = 4, "tools/list";
    /// Which resources.
    ResourcesList = 5, "resources/list";
    /// Which kinds of resources.
    TemplatesList = 6, "resources/templates/list";
    /// Which prompts.
    PromptsList = 7, "prompts/list";
    /// A tool.
    ToolsCall = 8, "tools/call";
    /// A resource.
    ResourcesRead = 9, "resources/read";
    /// To hear when a resource changes.
    ResourcesSubscribe = 10, "resources/subscribe";
    /// To hear that no more.
    ResourcesUnsubscribe = 11, "resources/unsubscribe";
    /// A prompt.
    PromptsGet = 12, "prompts/get";
    /// How a word may go on.
    Complete = 13, "completion/complete";
    /// To hear of what happens.
    Listen = 14, "subscriptions/listen";
    /// Whether the callee is there.
    Ping = 15, "ping";
    /// What the callee tells.
    SetLevel = 16, "logging/setLevel";
}

impl Method {
    /// The one that is written so in the protocol.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let found = Self::ALL.iter().find(|method| method.text() == text);
        found.copied().unwrap_or(Self::Named)
    }

    /// The names that are meant by it, of what an edge reaches; none where it has none.
    #[must_use]
    pub fn names(self, reach: &Reach) -> &[Pattern] {
        match self {
            Self::ToolsCall => &reach.tools,
            Self::ResourcesRead | Self::ResourcesSubscribe | Self::ResourcesUnsubscribe => {
                &reach.resources
            }
            Self::PromptsGet => &reach.prompts,
            Self::Named => &reach.methods,
            // What is completed may be either, and is no more than a word.
            Self::Complete
            | Self::Initialize
            | Self::Discover
            | Self::ToolsList
            | Self::ResourcesList
            | Self::TemplatesList
            | Self::PromptsList
            | Self::Listen
            | Self::Ping
            | Self::SetLevel => &[],
        }
    }

    /// Whether something is done by it, and not only looked at.
    #[must_use]
    pub const fn is_call(self) -> bool {
        matches!(
            self,
            Self::Named
                | Self::ToolsCall
                | Self::ResourcesRead
                | Self::ResourcesSubscribe
                | Self::ResourcesUnsubscribe
                | Self::PromptsGet
                | Self::Complete
        )
    }
}
