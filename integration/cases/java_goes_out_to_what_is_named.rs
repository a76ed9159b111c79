//! A Java program, unmodified and told of no proxy, fetches over TLS that is nobody's to end from the host that a
//! profile names, with its old client and with its new one; from another it fetches nothing, and it is said.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::Serving;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Need, Outside};
use std::net::Ipv4Addr;
use std::process::Command;

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const KEYTOOL: &str = "/usr/bin/keytool";

pub(crate) const CASE: Case = Case {
    rows: &["P22"],
    needs: &[
        Need::Program(IP),
        Need::Program("/usr/bin/openssl"),
        Need::Program("/usr/bin/java"),
        Need::Program("/usr/bin/javac"),
        Need::Program(KEYTOOL),
    ],
    seconds: 180,
    outside,
    ..Case::NEW
};

const ASK: &str = r#"
import java.net.*;
import java.net.http.*;
public class Ask {
    public static void main(String[] words) throws Exception {
        URI to = URI.create(words[0]);
        System.out.print("old " + new String(to.toURL().openStream().readAllBytes()));
        HttpResponse<String> answer = HttpClient.newHttpClient()
            .send(HttpRequest.newBuilder(to).build(), HttpResponse.BodyHandlers.ofString());
        System.out.print("new " + answer.body());
    }
}
"#;

fn outside(outside: &Outside) -> Result<()> {
    let _world =
        World::enter(outside, &["api.example", "evil.example"].map(|name| (name, SOMEWHERE)))?;
    let (folder, address) = (outside.dir().join("hosts"), SOMEWHERE.to_string());
    let _serving = Serving::begin("serve.py", &[folder.as_os_str(), address.as_ref()])?.ready()?;
    let workspace = outside.workspace()?;
    outside.file("ws/Ask.java", ASK)?;
    // Java has a list of its own of whom it trusts.
    let made = Command::new(KEYTOOL)
        .args(["-importcert", "-noprompt", "-alias", "case", "-storepass", "changeit"])
        .arg("-file")
        .arg(folder.join("ca.pem"))
        .arg("-keystore")
        .arg(outside.dir().join("trusted"))
        .output()
        .context(KEYTOOL)?;
    ensure!(made.status.success(), "keytool: {}", String::from_utf8_lossy(&made.stdout));
    let store = outside.dir().join("trusted");
    let profile = format!(
        "extends = [\"builtin:coding-agent\"]\n[files]\nread = [{store:?}]\n[network]\nmode = \"egress\"\n\
         egress = [{{ to = \"api.example:443\", within = [\"203.0.113.7/32\"] }}]\n"
    );
    let fetch = |host: &str| {
        let line = format!(
            "java -Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStorePassword=changeit Ask.java https://{host}/tidings",
            store.display()
        );
        outside.sandbox(&profile).cwd(&workspace).command(&["sh", "-c", &line]).run()
    };
    let run = fetch("api.example")?;
    run.exited(0)?;
    let wanted = "old tidings from api\nnew tidings from api\n";
    ensure!(run.stdout == wanted, "{:?}, {}", run.stdout, run.stderr);
    let run = fetch("evil.example")?;
    ensure!(!run.stdout.contains("tidings"), "it went elsewhere: {}", run.stdout);
    ensure!(run.stderr.contains("evil.example: no rule names it"), "{}", run.stderr);
    Ok(())
}
