//! Whether the command has a terminal, and what its three standard streams are.
//!
//! | `tty` | standard input | standard output | the command gets |
//! | --- | --- | --- | --- |
//! | `auto` | terminal | terminal | a terminal of its own, in the place of each stream that is one |
//! | `always` | one of the three is a terminal | | the same |
//! | other | terminal | terminal, file or device | a pipe with what is typed, a line at a time |
//! | other | terminal | pipe or socket | nothing to read: what reads the pipe may read the terminal too |
//! | other | anything else | | the caller's own |
//!
//! An output that is a terminal and not the command's own is a pipe, carried to the caller's. A
//! terminal of the host's is never given to a command: it could be read, and set, behind the back of
//! whatever else uses it.

use super::Deciding;
use super::view::fixed;
use crate::origin::Origin;
use crate::resolved::{Escape, Wire};
use crate::schema::Tty;
use sandboxd_plan::Terminal;

/// Where a terminal comes from: the sandbox's own devpts.
const MULTIPLEXER: &str = "/dev/pts/ptmx";
/// Without a view, the host's, of which devpts itself gives nobody any (`ptmxmode=000`) on many hosts.
const HOSTS_MULTIPLEXER: &str = "/dev/ptmx";

/// What one of the caller's standard streams is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stream {
    /// A terminal.
    Terminal,
    /// A pipe or a socket: somebody is at the other end.
    Pipe,
    /// A socket of the network's.
    Network,
    /// A file, a device, or nothing.
    #[default]
    Other,
}

/// The streams, decided.
pub(super) struct Decided {
    pub(super) plan: Option<Terminal>,
    pub(super) streams: [Wire; 3],
}

impl Deciding<'_> {
    pub(super) fn terminal(&mut self, callers: [Stream; 3]) -> Decided {
        let [input, output, _] = callers;
        let tty = self.profile.command.tty.as_ref();
        let own = match tty.map_or(Tty::Auto, |tty| tty.value) {
            Tty::Auto => input == Stream::Terminal && output == Stream::Terminal,
            Tty::Never => false,
            Tty::Always => self.some_terminal(callers),
        };
        let multiplexer = if self.is_bare() { HOSTS_MULTIPLEXER } else { MULTIPLEXER };
        let multiplexer = fixed(multiplexer).filter(|_| own);
        let Some(multiplexer) = multiplexer else {
            return Decided { plan: None, streams: without(callers) };
        };
        let streams = callers.map(|caller| caller == Stream::Terminal);
        let wires = streams.map(|is_it| if is_it { Wire::Terminal } else { Wire::Pass });
        Decided { plan: Some(Terminal { multiplexer, streams }), streams: wires }
    }

    fn some_terminal(&mut self, callers: [Stream; 3]) -> bool {
        let some = callers.contains(&Stream::Terminal);
        if !some {
            let origin = self.profile.command.tty.as_ref().map(|tty| tty.origin.clone());
            self.refuse(
                &origin.unwrap_or_else(|| Origin::named("this profile", "command.tty")),
                "is \"always\", but none of standard input, output and error is a terminal",
                "run it from a terminal, or write \"auto\"",
            );
        }
        some
    }

    /// What the command may make the caller's terminal do, once each.
    pub(super) fn escapes(&self) -> Vec<Escape> {
        let mut escapes: Vec<Escape> =
            self.profile.command.escapes.iter().map(|escape| escape.value).collect();
        escapes.sort_unstable();
        escapes.dedup();
        escapes
    }
}

fn without([input, output, error]: [Stream; 3]) -> [Wire; 3] {
    let carried = |stream| if stream == Stream::Terminal { Wire::Carried } else { Wire::Pass };
    let read = match (input, output) {
        (Stream::Terminal, Stream::Pipe | Stream::Network) => Wire::Nothing,
        _ => carried(input),
    };
    [read, carried(output), carried(error)]
}
