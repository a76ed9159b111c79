//! What the sandboxes that are killed are run by, and what each has beside its command.

use crate::Outside;
use anyhow::Result;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// What a sandbox has beside its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Has {
    Nothing,
    /// A broker, a socket where calls are approved, a tool that it calls, and a call that waits.
    Calls,
    /// An egress process, and a socket where the secret that this puts in is renewed.
    WayOut,
    /// A terminal, and the process that filters it.
    Terminal,
}

impl Has {
    pub(super) const ALL: [Self; 4] = [Self::Nothing, Self::Calls, Self::WayOut, Self::Terminal];

    /// As the probe is told.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Calls => "calls",
            Self::WayOut => "way out",
            Self::Terminal => "terminal",
        }
    }

    /// How many sandboxes there are at most, with the command's own. Of each of two edges one is called, and one
    /// is kept ready.
    pub(super) fn sandboxes(self) -> usize {
        match self {
            Self::Nothing => 1,
            Self::Calls => 6,
            Self::WayOut | Self::Terminal => 2,
        }
    }
}

/// What all of them share.
pub(super) struct Profiles {
    pub(super) ws: PathBuf,
    calls: String,
    way_out: String,
}

impl Profiles {
    pub(super) fn make(outside: &Outside) -> Result<Self> {
        let tool = outside.tool("tool", &[], "")?;
        let named = "tools = [\"sh\"]\n";
        let asks = outside.call("asks", &tool, &[])?;
        let asks = asks.replacen(named, &format!("{named}approval = \"ask\"\n"), 1);
        let key = outside.dir().join("key");
        fs::write(&key, "sk-0123456789")?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            ws: outside.workspace()?,
            calls: outside.call("tool", &tool, &[])? + &asks,
            way_out: format!(
                "[network]\nmode = \"egress\"\negress = [\"http://host.internal:9\"]\n\
                 [secrets.model]\nfrom = \"file:{}\"\n\
                 inject = {{ host = \"host.internal\", port = 9, header = \"x-api-key\" }}\n",
                key.display()
            ),
        })
    }

    pub(super) fn text(&self, index: usize, has: Has) -> String {
        let more = match has {
            Has::Nothing | Has::Terminal => "",
            Has::Calls => &self.calls,
            Has::WayOut => &self.way_out,
        };
        format!(
            "name = \"k{index}\"\nextends = [\"builtin:base\"]\n[files]\nwrite = [{:?}]\n\
             [limits]\nprocesses = 48\n{more}",
            self.ws
        )
    }
}
