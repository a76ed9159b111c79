//! What a profile of a graph relies on, and no other of it may rewrite or read.

use crate::support::*;
use sandboxd_plan::HostPath;
use sandboxd_profiles::{Document, Folders, Graph, Problem, graph};

fn document(name: &str, text: &str) -> Document {
    Document { name: name.into(), folder: Some(path("/p")), text: text.into() }
}

/// An agent with these words that calls a tool with these.
fn pair(agent: &str, edge: &str, tool: &str) -> Result<Graph, Vec<Problem>> {
    let agent = format!(
        "name = \"agent\"\ncommand.exec = [\"/usr/bin/agent\"]\n{agent}\n[call.tool]\nprofile = \"tool.toml\"\n\
         tools = [\"x\"]\ngrant.files.execute = [\"/usr\"]\n{edge}\n"
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
        "tool.toml:7:8: secrets.token.from: agent may write /w, and so say what is in /w/ws/get-token\n  \
         remedy  put it where agent cannot write"
    );
    assert_eq!(
        wrong(reads, "", &own("file:/w/token")),
        "tool.toml:7:8: secrets.token.from: agent is shown /w, so that it could read /w/token itself\n  \
         remedy  put it elsewhere, or name it in files.hide of agent.toml"
    );
    ok(reads, "", &own("exec:/w/ws/get-token"));
    ok(&format!("{reads}\nfiles.hide = [\"/w/token\"]"), "", &own("file:/w/token"));
    let bound = "files.bind = [{ from = \"/w\", to = \"/x\", access = \"write\" }]";
    for (from, says) in [
        ("file:/w/token", "shown /w, so that it could read /w/token"),
        ("exec:/w/get", "write /w, and so say what is in /w/get"),
        ("age:/w/sealed\"\nidentity = \"/k/key", "say what is in /w/sealed"),
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
    assert!(found.contains("tool may write /srv, and so say"), "{found}");
    // One for several is under its own profile alone.
    let serial = format!("serve.instances = \"serial\"\n{shares}");
    let found = wrong(&agent, "grant.files.write = [\"/srv/data\"]", &serial);
    assert!(found.contains("tool is shown /srv"), "{found}");
}
