//! A Java program, compiled from its source and run, whose requests have a key put in trusts the certificate that
//! it is shown for that, with its old client and with its new one, and knows the proxy where that is the way; its
//! own options stay. It is one store of all that the host trusts: the host's own authority is in it too.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::Serving;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Need, Outside};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const KEY: &str = "sk-hunter2-0123456789/abcdefgh";

pub(crate) const CASE: Case = Case {
    rows: &["N17", "P22"],
    needs: &[
        Need::Program(IP),
        Need::Program("/usr/bin/openssl"),
        Need::Program("/usr/bin/javac"),
        Need::Program("/usr/bin/java"),
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
        for (String to : words) {
            URL url = URI.create(to).toURL();
            System.out.println("old " + new String(url.openStream().readAllBytes()));
            HttpRequest request = HttpRequest.newBuilder(URI.create(to)).build();
            HttpResponse<String> answer =
                HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println("new " + answer.body());
        }
        System.out.println("own " + System.getProperty("own"));
    }
}
"#;

fn outside(outside: &Outside) -> Result<()> {
    let names = ["keyed.example", "plain.example"];
    let mut world = World::enter(outside, &names.map(|name| (name, SOMEWHERE)))?;
    let (folder, address) = (outside.dir().join("hosts"), SOMEWHERE.to_string());
    let own = [folder.as_os_str(), address.as_ref(), KEY.as_ref()];
    let words: Vec<_> = own.into_iter().chain(names.iter().map(AsRef::as_ref)).collect();
    let _serving = Serving::begin("wants_a_key.py", &words)?.ready()?;
    world.trust(outside, &folder.join("ca.pem"))?;
    let workspace = outside.workspace()?;
    outside.file("ws/Ask.java", ASK)?;
    let key = outside.dir().join("key");
    fs::write(&key, KEY)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400))?;
    for way in ["transparent", "proxy"] {
        let near =
            names.map(|name| format!("{{ to = \"{name}:443\", within = [\"203.0.113.0/24\"] }}"));
        let profile = format!(
            "extends = [\"builtin:coding-agent\"]\n[env]\nset = {{ JAVA_TOOL_OPTIONS = \"-Down=kept\" }}\n\
             [network]\nmode = \"egress\"\nway = \"{way}\"\negress = [{}]\n\
             [secrets.model]\nfrom = \"file:{}\"\n\
             inject = {{ host = \"keyed.example\", header = \"Authorization\", format = \"Bearer {{}}\" }}\n",
            near.join(", "),
            key.display(),
        );
        // The second answers 401 to whoever has no key, which its clients take for a failure of theirs.
        let line = "java Ask.java https://keyed.example/v1/tidings";
        let run = outside.sandbox(&profile).cwd(&workspace).command(&["sh", "-c", line]).run()?;
        run.exited(0).context(way)?;
        let welcome = run.stdout.matches("welcome").count();
        ensure!(
            welcome == 2 && run.stdout.matches("Bearer ****").count() == 2,
            "{way}: {}",
            run.stdout
        );
        ensure!(run.stdout.contains("own kept"), "{way}: its own options are gone: {}", run.stdout);
        ensure!(!run.stdout.contains(KEY), "{way}: it was told: {}", run.stdout);
        let line = "java Ask.java https://plain.example/v1/tidings";
        let run = outside.sandbox(&profile).cwd(&workspace).command(&["sh", "-c", line]).run()?;
        let trusts = run.stderr.contains("401") && !run.stderr.contains("PKIX");
        ensure!(trusts, "{way}: it does not trust whom the host trusts: {}", run.stderr);
    }
    Ok(())
}
