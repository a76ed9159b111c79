//! A host that never says the key says back what it is told: in what pieces that comes does not depend on whether the key
//! begins so. Whoever is inside would find it out otherwise, one guess for each byte.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, patience};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

pub(crate) const CASE: Case =
    Case { rows: &["N17"], outside, probes: &[("ask", ask)], by: By::Anybody, ..Case::NEW };

const SECRET: &str = "sk-hunter2-0123456789";
/// Of as many bytes each: how it begins, what is right but for its last byte, and what is wrong from the first.
const GUESSES: [&str; 3] = ["sk-hunter2-0", "sk-hunter2-1", "............"];

fn outside(outside: &Outside) -> Result<()> {
    let host = TcpListener::bind("127.0.0.1:0")?;
    let port = host.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in host.incoming().flatten() {
            std::thread::spawn(move || says_back(&stream));
        }
    });
    let key = outside.dir().join("key");
    fs::write(&key, SECRET)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[network]\nmode = \"egress\"\n\
         egress = [\"http://host.internal:{port}\"]\n[secrets.model]\nfrom = \"file:{}\"\n\
         inject = {{ host = \"host.internal\", port = {port}, header = \"x-api-key\" }}\n",
        key.display()
    );
    let run = outside.sandbox(&profile).probe("ask", &[&port.to_string()]).run()?;
    run.exited(0)?;
    let sizes = GUESSES.map(|guess| run.fact(guess));
    let sizes = sizes.into_iter().collect::<Result<BTreeSet<_>>>()?;
    ensure!(sizes.len() == 1, "what comes when tells which of them are right: {sizes:?}");
    Ok(())
}

/// Says the path of the request, and after a while the end of its line.
fn says_back(stream: &TcpStream) -> Result<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let asked = lines.next().context("no request")?;
    let path = asked.split(['/', ' ']).nth(2).context("no path")?.to_owned();
    lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
    let mut to = stream;
    write!(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n\n{path}\r\n")?;
    std::thread::sleep(patience(Duration::from_millis(300)));
    write!(to, "1\r\n\n\r\n0\r\n\r\n")?;
    Ok(())
}

fn ask(inside: &Inside) -> Result<()> {
    let port = inside.argument(0)?;
    for guess in GUESSES {
        let mut stream = TcpStream::connect(format!("host.internal:{port}"))?;
        write!(stream, "GET /{guess} HTTP/1.1\r\nHost: host.internal:{port}\r\n\r\n")?;
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            ensure!(answer.read_line(&mut line)? > 0, "no answer");
        }
        let (mut sizes, mut body) = (Vec::new(), Vec::new());
        while sizes.last() != Some(&0) {
            let mut line = String::new();
            answer.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim(), 16)?;
            sizes.push(size);
            answer.by_ref().take(size).read_to_end(&mut body)?;
            answer.read_line(&mut line)?;
        }
        ensure!(body == format!("\n{guess}\n").as_bytes(), "{guess} came as {body:?}");
        inside.fact(guess, &format!("{sizes:?}"));
    }
    Ok(())
}
