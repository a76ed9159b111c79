//! What a profile of a graph relies on, and no other of it may rewrite or read.

use crate::support::*;
use sandboxd_plan::HostPath;
use sandboxd_profiles::graph::{self, Here, Lies};
use sandboxd_profiles::{Document, Folders, Graph, Problem};

fn document(name: &str, text: &str) -> Document {
    Document { name: name.into(), folder: Some(path("/p")), text: text.into() }
}

/// An agent with these words that calls a tool with these.
fn pair(agent: &str, edge: &str, tool: &str) -> Result<Graph, Vec<Problem>> {
    // What acts by its own right is granted nothing.
    let own = tool.contains("own = ");
    let grant = if own { "" } else { "grant.files.execute = [\"/usr\"]" };
    let agent = format!(
        "name = \"agent\"\ncommand.exec = [\"/usr/bin/agent\"]\n{agent}\n[call.tool]\nprofile = \"tool.toml\"\n\
         tools = [\"x\"]\n{grant}\n{edge}\n"
    );
    let tool =
        format!("name = \"tool\"\nserve.tools = [\"x\"]\nfiles.execute = [\"/usr\"]\n{tool}");
    let mut read = |path: &HostPath| match path.as_str() {
        "/p/tool.toml" => Ok(document("tool.toml", &tool)),
        _ => Err(format!("there is no {path}")),
    };
    graph::load(vec![document("agent.toml", &agent)], &Folders::default(), &mut read)
}

fn ok(agent: &str, edge: &str, tool: &str) -> Graph {
    pair(agent, edge, tool).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

fn wrong(agent: &str, edge: &str, tool: &str) -> String {
    match pair(agent, edge, tool) {
        Ok(_) => panic!("it is let be:\n{agent}\n{edge}\n{tool}"),
        Err(problems) => shown(&problems),
    }
}

const SERVES: &str = "command.exec = [\"/usr/bin/tool\"]\n";

fn secret(from: &str) -> String {
    format!("[secrets.token]\ncredential = true\nfrom = \"{from}\"\n")
}

#[test]
fn what_a_secret_is_read_from_is_kept_from_all_that_are_in_the_graph() {
    let own = |from: &str| format!("{SERVES}{}", secret(from));
    let writes = "files.write = [\"/w\"]";
    let reads = "files.read = [\"/w\"]";
    assert_eq!(
        wrong(writes, "", &own("exec:/w/ws/get-token")),
        "tool.toml:7:8: secrets.token.from: agent may write /w, and so replace /w/ws/get-token\n  \
         remedy  move it to where agent cannot write"
    );
    assert_eq!(
        wrong(reads, "", &own("file:/w/token")),
        "tool.toml:7:8: secrets.token.from: agent is shown /w, so it could read /w/token itself\n  \
         remedy  move it elsewhere, or add it to files.hide of agent.toml"
    );
    ok(reads, "", &own("exec:/w/ws/get-token"));
    ok(&format!("{reads}\nfiles.hide = [\"/w/token\"]"), "", &own("file:/w/token"));
    let bound = "files.bind = [{ from = \"/w\", to = \"/x\", access = \"write\" }]";
    for (from, says) in [
        ("file:/w/token", "shown /w, so it could read /w/token"),
        ("exec:/w/get", "write /w, and so replace /w/get"),
        ("age:/w/sealed\"\nidentity = \"/k/key", "replace /w/sealed"),
        ("age:/k/sealed\"\nidentity = \"/w/key", "could read /w/key itself"),
        (&format!("{AGENTS}\"\nsocket = \"/w/agent"), "could ask /w/agent itself"),
    ] {
        for agent in [writes, bound] {
            let found = wrong(agent, "", &own(from));
            assert!(found.contains(says), "{from}: {found}");
        }
    }
    let known = "file:/k/deploy\"\nssh = { hosts = [\"git@git.example\"], known_hosts = \"/w/known\" }\n#\"";
    let found = wrong(writes, "", &own(known));
    assert!(found.contains("ssh.known_hosts: agent may write /w"), "{found}");
}

const AGENTS: &str = "agent:SHA256:ygYlZPxFPA9Qgp8qXVvdVqkDhuGcJUHDbn8vTBhiDH0";

#[test]
fn a_caller_has_its_secrets_to_itself_where_its_edge_grants_what_they_are_read_from() {
    let shares = format!("{SERVES}files.write = [\"/srv\"]\n");
    let agent = secret("file:/srv/keys/token");
    // It may do no more for this caller than the edge says, whatever it may by itself.
    ok(&agent, "grant.files.write = [\"/srv/data\"]", &shares);
    for grant in ["write", "read"] {
        let found = wrong(&agent, &format!("grant.files.{grant} = [\"/srv\"]"), &shares);
        assert!(
            found.contains("agent.toml:5:8: secrets.token.from: tool is shown /srv"),
            "{found}"
        );
    }
    let program = secret("exec:/srv/keys/get");
    ok(&program, "grant.files.read = [\"/srv\"]", &shares);
    let found = wrong(&program, "grant.files.write = [\"/srv\"]", &shares);
    assert!(found.contains("tool may write /srv, and so replace"), "{found}");
    // One for several is under its own profile alone.
    let serial = format!("serve.instances = \"serial\"\n{shares}");
    let found = wrong(&agent, "grant.files.write = [\"/srv/data\"]", &serial);
    assert!(found.contains("tool is shown /srv"), "{found}");
}

/// What is said of the pair on a host with these files and folders, where the caller has an ssh-agent.
fn here(agent: &str, edge: &str, tool: &str) -> String {
    let lies = |at: &HostPath| match at.as_str() {
        "/w/ws" | "/w/ws/data" => Lies::Folder,
        "/w/ws/server.py" | "/w/ws/bin/srv" | "/usr/bin/srv" => Lies::File,
        _ => Lies::Nothing,
    };
    let ssh_agent = path("/w/agent.sock");
    let here = Here { ssh_agent: Some(&ssh_agent), lies: &lies };
    let held = ok(agent, edge, tool).holds_here(&here);
    held.err().map(|problems| shown(&problems)).unwrap_or_default()
}

const WRITES: &str = "files.write = [\"/w/ws\"]";

fn runs(exec: &str, words: &str) -> String {
    format!("command.exec = [{exec}]\nfiles.read = [\"/w/ws\"]\n{words}")
}

#[test]
fn what_acts_by_more_than_its_caller_is_nothing_that_another_rewrites() {
    let serial = "serve.instances = \"serial\"";
    let script = "\"/usr/bin/python3\", \"/w/ws/server.py\"";
    assert_eq!(
        here(WRITES, "", &runs(script, serial)),
        "tool.toml:4:16: command.exec: agent may write /w/ws, and so /w/ws/server.py, which tool executes; and tool \
         is limited only by its own profile\n  remedy  move it to where agent cannot write"
    );
    let digest = format!("command.sha256 = \"{}\"\n{serial}", "0".repeat(64));
    let pinned = "or pin it with sha256 = \"…\"";
    for (exec, words, says) in [
        (script, "serve.instances = { own = \"why\" }", "acts with its own rights"),
        (script, "serve.instances = \"attenuate\"", "is limited only by its own profile"),
        (script, "secrets.s = { from = \"env:S\", credential = true }", "has its own secrets"),
        (script, &digest, "/w/ws/server.py, which"),
        ("\"/w/ws/server.py\"", serial, pinned),
        ("\"/usr/bin/python3\", \"/w/ws/missing.py\"", serial, "/w/ws/missing.py, which"),
        (
            "\"/usr/bin/python3\", \"server.py\"",
            &format!("command.cwd = \"/w/ws\"\n{serial}"),
            "/w/ws/server.py",
        ),
        ("\"./server.py\"", &format!("command.cwd = \"/w/ws\"\n{serial}"), pinned),
        (
            "\"srv\"",
            &format!("env.set.PATH = \"/usr/lib:/w/ws/bin:/usr/bin\"\n{serial}"),
            "/w/ws/bin/srv",
        ),
        (
            "\"/usr/bin/python3\", \"/srv/server.py\"",
            &format!("files.bind = [{{ from = \"/w/ws\", to = \"/srv\" }}]\n{serial}"),
            "/w/ws/server.py",
        ),
    ] {
        let found = here(WRITES, "", &runs(exec, words));
        assert!(found.contains(says), "{exec}, {words}: {found}");
    }
}

#[test]
fn what_is_no_program_or_is_run_for_its_caller_alone_is_let_be() {
    let serial = "serve.instances = \"serial\"";
    let digest = format!("command.sha256 = \"{}\"\n{serial}", "0".repeat(64));
    let script = "\"/usr/bin/python3\", \"/w/ws/server.py\"";
    let fine = |agent: &str, exec: &str, words: &str| {
        assert_eq!(here(agent, "", &runs(exec, words)), "", "{exec}, {words}");
    };
    fine(WRITES, script, "");
    fine("files.read = [\"/w/ws\"]", script, serial);
    fine(
        WRITES,
        "\"/usr/bin/fs\", \"/w/ws\", \"/w/ws/data\", \"--at\", \"/tmp/x\", \"new.py\"",
        serial,
    );
    fine(WRITES, "\"/w/ws/server.py\"", &digest);
    fine(WRITES, "\"srv\"", &format!("env.set.PATH = \"/usr/bin:/w/ws/bin\"\n{serial}"));
    fine(WRITES, "\"srv\"", serial);
    // What it writes itself is its own.
    fine("", script, &format!("files.write = [\"/w/ws\"]\n{serial}"));
}

#[test]
fn the_callers_ssh_agent_is_asked_by_nobody_in_the_graph() {
    let login = "[secrets.deploy]\nfrom = \"agent:SHA256:ygYlZPxFPA9Qgp8qXVvdVqkDhuGcJUHDbn8vTBhiDH0\"\n\
        ssh = { sign = [\"git\"] }";
    let found = here("files.read = [\"/w\"]", "", &format!("{SERVES}{login}"));
    let says = "secrets.deploy.from: agent is shown /w, so it could ask /w/agent.sock itself";
    assert!(found.contains(says), "{found}");
    assert_eq!(here(WRITES, "", &format!("{SERVES}{login}")), "");
}
