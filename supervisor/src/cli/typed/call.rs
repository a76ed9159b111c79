//! `sandboxd call`, as it is typed.

use clap::Args;

/// Call one tool and print its answer.
///
/// Inside a sandbox: a tool that its profile lets it call. Outside, with -p: a tool that the agent of that
/// profile may call; the call is made from a sandbox like the agent's.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if the tool answered; 1 if it answered with an error, or the call was refused; 125 if there is no broker, or the sandbox could not be set up.\n\nExamples:\n  sandboxd call -p agent.toml fs           list what can be called\n  sandboxd call -p agent.toml fs read_text_file '{\"path\": \"/srv/a.md\"}'\n  sandboxd call -p agent.toml --method hub greet '{}'    a JSON-RPC method"
)]
pub struct Call {
    /// Outside a sandbox: the profile with whose rights to call.
    #[arg(short, long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Print the answer as received (JSON).
    #[arg(long)]
    pub json: bool,
    /// Call a JSON-RPC method of a callee that does not speak MCP ([serve] speaks = "json-rpc").
    #[arg(long, requires = "tool")]
    pub method: bool,
    /// The callee's name in the profile: [call.NAME].
    pub name: String,
    /// The tool or method. Without one, list what can be called.
    pub tool: Option<String>,
    /// Its arguments, as a JSON object.
    #[arg(default_value = "{}")]
    pub arguments: String,
}
