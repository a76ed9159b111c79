//! A Go program, built and run unmodified and told of no proxy, fetches over TLS from the host that a profile names,
//! by the resolver that Go has of its own and by that of the C library; from another it fetches nothing.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::Serving;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Need, Outside};
use std::net::Ipv4Addr;

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

pub(crate) const CASE: Case = Case {
    rows: &["P22"],
    needs: &[Need::Program(IP), Need::Program("/usr/bin/openssl"), Need::Program("/usr/bin/go")],
    seconds: 240,
    outside,
    ..Case::NEW
};

const ASK: &str = r#"package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	answer, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	said, err := io.ReadAll(answer.Body)
	fmt.Print(string(said), err)
}
"#;

fn outside(outside: &Outside) -> Result<()> {
    let _world =
        World::enter(outside, &["api.example", "evil.example"].map(|name| (name, SOMEWHERE)))?;
    let (folder, address) = (outside.dir().join("hosts"), SOMEWHERE.to_string());
    let _serving = Serving::begin("serve.py", &[folder.as_os_str(), address.as_ref()])?.ready()?;
    let authority =
        outside.file("authority/ca.pem", &std::fs::read_to_string(folder.join("ca.pem"))?)?;
    let workspace = outside.workspace()?;
    outside.file("ws/ask.go", ASK)?;
    let profile = format!(
        "extends = [\"builtin:coding-agent\"]\n[env]\nset = {{ SSL_CERT_FILE = {authority:?} }}\n\
         [files]\nread = [{authority:?}]\n[network]\nmode = \"egress\"\n\
         egress = [{{ to = \"api.example:443\", within = [\"203.0.113.7/32\"] }}]\n"
    );
    let run =
        |line: &str| outside.sandbox(&profile).cwd(&workspace).command(&["sh", "-c", line]).run();
    run("CGO_ENABLED=1 GO111MODULE=off GOTMPDIR=$PWD GOCACHE=$PWD/cache go build -o ask ask.go")?
        .exited(0)
        .context("it is not built")?;
    for resolver in ["go", "cgo"] {
        let fetched = run(&format!("GODEBUG=netdns={resolver} ./ask https://api.example/tidings"))?;
        fetched.exited(0).context(resolver)?;
        ensure!(fetched.stdout.contains("from api"), "{resolver}: {:?}", fetched.stdout);
        let elsewhere =
            run(&format!("GODEBUG=netdns={resolver} ./ask https://evil.example/tidings"))?;
        ensure!(!elsewhere.stdout.contains("tidings"), "it went elsewhere");
        let told = elsewhere.stderr.contains("evil.example: no rule names it");
        ensure!(told, "{resolver}: {}", elsewhere.stderr);
    }
    Ok(())
}
