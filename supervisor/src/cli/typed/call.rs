//! `sandboxd call`, as it is typed.

use clap::Args;

/// Call one tool, and print its answer.
///
/// Inside a sandbox that is what its profile lets it call. Outside, with -p, it is what the agent of that
/// profile may call: a sandbox is made as for the agent, and the call comes from there.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where the tool answered; 1 where it answered with an error, or the call was refused; 125\nwhere there is no broker, or the sandbox could not be set up.\n\nExamples:\n  sandboxd call -p agent.toml fs read_text_file '{\"path\": \"/srv/notes/today.md\"}'\n  sandboxd call -p agent.toml fs                what there is to call\n  sandboxd call -p agent.toml --method hub greet '{}'    a method of what speaks JSON-RPC"
)]
pub struct Call {
    /// Outside of a sandbox: the profile of whose agent's right it is called.
    #[arg(short, long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Print the answer as it came, JSON.
    #[arg(long)]
    pub json: bool,
    /// Call a method of JSON-RPC, of what serves without MCP ([serve] speaks = "json-rpc").
    #[arg(long, requires = "tool")]
    pub method: bool,
    /// What the profile calls it: [call.NAME].
    pub name: String,
    /// The tool, or the method; without one, what there is to call is listed.
    pub tool: Option<String>,
    /// Its arguments, a JSON object.
    #[arg(default_value = "{}")]
    pub arguments: String,
}
