//! What is said about profiles that are wrong.

use crate::support::*;
use sandboxd_profiles::{Document, Overrides, load};
use std::time::{Duration, Instant};

/// A text, and everything said about it.
const WRONG: &[(&str, &str)] = &[
    ("[files]\nreed = []", "p.toml:2:1: files.reed: unknown key\n  remedy  did you mean read?"),
    (
        "colour = 1",
        "p.toml:1:1: colour: unknown key\n  remedy  the keys here are name, extends, isolation, command, env, \
         files, syscalls, limits, network, require, call, serve, \
         budget, secrets",
    ),
    (
        "[files]\nread = []\nread = []",
        "p.toml:3:1: read: the key is written twice\n  remedy  keep one of the two",
    ),
    (
        "[files]\nread = [\"usr\"]",
        "p.toml:2:9: files.read[0]: usr is not absolute\n  remedy  write the path from / with no `..`",
    ),
    (
        "[files]\nread = [\"/usr/../etc\"]",
        "p.toml:2:9: files.read[0]: /usr/../etc has an empty, `.` or `..` component\n  \
         remedy  write the path from / with no `..`",
    ),
    (
        "[files]\nwrite = [\"/srv/*\"]",
        "p.toml:2:10: files.write[0]: /srv/* is a pattern\n  remedy  name the folder; patterns are not supported",
    ),
    (
        "[files]\nread = [\"~/x\"]",
        "p.toml:2:9: files.read[0]: ~/x begins with ~\n  remedy  write {home} for the home directory",
    ),
    (
        "[files]\nread = [\"/a\\u0000b\"]",
        "p.toml:2:9: files.read[0]: has a NUL byte\n  remedy  no path, name or argument can have one",
    ),
    (
        "[limits]\nmemory = -1",
        "p.toml:2:10: limits.memory: -1 is negative\n  remedy  write bytes as an integer, or \
         \"64K\", \"512M\", \"1G\", \"2T\"",
    ),
    (
        "[limits]\nmemory = 99999999999999999999999999",
        "p.toml:2:10: limits.memory: 99999999999999999999999999 is too large\n  remedy  write a smaller number, or \"unlimited\"",
    ),
    (
        "[limits]\nprocesses = 1.5",
        "p.toml:2:13: limits.processes: 1.5 is not a whole number\n  remedy  write an integer",
    ),
    (
        "[limits]\nmemory = 0",
        "p.toml:2:10: limits.memory: leaves no room for the command itself\n  remedy  write at least \
         1M",
    ),
    (
        "[limits]\nwall_time = 90",
        "p.toml:2:13: limits.wall_time: 90 has no unit\n  remedy  write \"500ms\", \"90s\", \"10m\" \
         or \"2h\"",
    ),
    (
        "[limits]\ncpus = nan",
        "p.toml:2:8: limits.cpus: nan is not a number with at most three decimals\n  remedy  write a \
         number of CPUs such as 0.5 or 2",
    ),
    (
        "[command]\nsockets = [\"a:b\"]",
        "p.toml:2:12: command.sockets[0]: \"a:b\" is not the name of a socket\n  remedy  write the value of FileDescriptorName=, or the name of the .socket unit",
    ),
    (
        "[command]\ncredentials = [\"../x\"]",
        "p.toml:2:16: command.credentials[0]: \"../x\" is not the name of a credential\n  remedy  write \
         what LoadCredential= has before the colon",
    ),
    (
        "[spawn]\ndepth = 1",
        "p.toml:1:2: spawn: is not supported in this version\n  remedy  remove it",
    ),
    (
        "[network]\negress = [\"api.example.com\"]",
        "p.toml:2:11: network.egress[0]: names no port\n  remedy  write api.example.com:443, or another \
         port",
    ),
    (
        "[network]\negress = [{ to = \"10.0.0.0/8:22\", within = [\"10.0.0.0/8\"] }]",
        "p.toml:2:44: network.egress[0].within: within applies only to a name\n  remedy  remove it: an address needs no within",
    ),
    (
        "[network]\negress = [{ to = \"a.example:443\", within = [\"0.0.0.0/0\", \"8.8.8.8/32\", \"10.0.0.0/8\"] }]",
        "p.toml:2:45: network.egress[0].within[0]: 0.0.0.0/0 has no effect: a name may lie at any public address without \
         it, and at others only by a network that is wholly not public\n  remedy  write [\"10.0.0.0/8\"], or remove it",
    ),
    (
        "[network]\negress = [{ connections = 4 }]",
        "p.toml:2:11: network.egress[0]: names no host\n  remedy  write { to = \
         \"api.example.com:443\", connections = 4 }",
    ),
    (
        "name = \"A b\"",
        "p.toml:1:8: name: \"A b\" is not a name\n  remedy  write 1 to 64 characters of a to z, 0 to 9 and -, not beginning with -",
    ),
    (
        "extends = [\"builtin:bas\"]",
        "p.toml:1:12: extends[0]: there is no builtin:bas\n  remedy  the builtin profiles are \
         builtin:base, builtin:untrusted, builtin:coding-agent, builtin:mcp-server, \
         builtin:python-tool, builtin:node-tool, builtin:ci-job, builtin:container",
    ),
    (
        "extends = [\"gone.toml\"]",
        "p.toml:1:12: extends[0]: /p/gone.toml cannot be read: there is no /p/gone.toml\n  \
         remedy  correct the path, or remove this entry",
    ),
    (
        "[env.set]\nAPI_TOKEN = \"x\"",
        "p.toml:2:13: env.set.API_TOKEN: looks like a secret, which does not belong in a profile\n  \
         remedy  keep it in a file and name that file in [secrets.NAME]: with inject the command never has it, with credential it reads its own copy",
    ),
    (
        "[env.set]\nX = \"a ghp_Ab3dEf6hIj9lMn2pQr5tUv8xYz1bCd4fGh7j\"",
        "p.toml:2:5: env.set.X: contains a key, which does not belong in a profile\n  remedy  keep it in a file and name that file in [secrets.NAME]: with inject the command never has it, with credential it reads its own copy",
    ),
    (
        "[command]\nexec = [\"tool\", \"--key=sk-proj-Ab3dEf6hIj9lMn2pQr5t\"]",
        "p.toml:2:17: command.exec[1]: contains a key, which does not belong in a profile\n  remedy  keep it in a file and name that file in [secrets.NAME]: with inject the command never has it, with credential it reads its own copy",
    ),
    (
        "[secrets.a]\nfrom = \"exec:/usr/bin/give\"\narguments = [\"AKIAABCDEFGHIJKLMNO7\"]\ncredential = true",
        "p.toml:3:14: secrets.a.arguments[0]: contains a key, which does not belong in a profile\n  remedy  \
         keep it in a file and name that file in [secrets.NAME]: with inject the command never has it, with credential it reads its own copy",
    ),
    (
        "[env]\npass = [\"LANG\", \"GITHUB_TOKEN\"]",
        "p.toml:2:17: env.pass[1]: looks like a secret, which every process of the command could read from it\n  remedy  keep it in a file and name that file in [secrets.NAME]: with inject the command never has it, with credential it reads its own copy; or write { name = \"GITHUB_TOKEN\", reason = \
         \"why\" }",
    ),
    (
        "[env]\npass = [{ name = \"PGPASSWORD\", reason = \" \" }]",
        "p.toml:2:41: env.pass[0].reason: is empty\n  remedy  write a reason, for whoever reviews this profile",
    ),
    (
        "[env]\npass = [{ reason = \"so\" }]",
        "p.toml:2:9: env.pass[0]: names no variable\n  remedy  write { name = \"NAME\", reason = \"why\" }",
    ),
    (
        "[env]\npass = [\"AWS_*\"]",
        "p.toml:2:9: env.pass[0]: \"AWS_*\" is not the name of a variable\n  remedy  write the exact name: letters, digits and _, no digit first; patterns are not supported",
    ),
    (
        "[files]\nread = \"/usr\"",
        "p.toml:2:8: files.read: a string; this is a list\n  remedy  put it in [ ]",
    ),
    (
        "[files]\nread = [{ optional = true }]",
        "p.toml:2:9: files.read[0]: names no path\n  remedy  write { path = \"/…\", optional = true }",
    ),
    (
        "[require]\ncgroup = \"maybe\"",
        "p.toml:2:10: require.cgroup: \"maybe\" is not a valid value\n  remedy  write always or \
         if-available",
    ),
    (
        "[files]\nread = [\"x\\u001b[2J\\ny\"]\n\"\\u0007\" = 1",
        "p.toml:2:9: files.read[0]: x\\u{1b}[2J\\ny is a pattern\n  remedy  name the folder; patterns are not supported\np.toml:3:1: files.\\u{7}: unknown key\n  remedy  the keys here are read, write, \
         execute, hide, protect, bind, tmp",
    ),
    (
        "[command]\nexec = []",
        "p.toml:2:8: command.exec: names no program\n  remedy  write [\"/usr/bin/program\", \
         \"argument\"]",
    ),
];

#[test]
fn every_wrong_text_has_its_problem() {
    for (text, wanted) in WRONG {
        let problems = read(text).expect_err(text);
        assert_eq!(shown(&problems), *wanted, "\n{text}");
    }
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_text() {
    let text = "nam = \"x\"\n[files]\nread = [\"usr\", \"/ok\", \"/a/../b\"]\nwrit = []\n\
                [limits]\nmemory = -1\nswap = \"x\"\n";
    let lines: Vec<usize> =
        read(text).unwrap_err().iter().map(|problem| problem.at.unwrap().0).collect();
    assert_eq!(lines, [1, 3, 3, 4, 6, 7]);
}

/// A text that must be refused, and quickly.
fn quickly(text: &str) -> String {
    let start = Instant::now();
    let problems = read(text).unwrap_err();
    // A profile that takes this long hangs; what it takes is a few milliseconds.
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(problems.len() <= 60, "{}", problems.len());
    shown(&problems)
}

#[test]
fn large_texts_are_refused_quickly() {
    let tables: String = (0..100_000).map(|index| format!("[t{index}]\n")).collect();
    assert!(quickly(&tables).contains("a profile has at most 262144"));
    let short: String = (0..20_000).map(|index| format!("[t{index}]\n")).collect();
    assert!(quickly(&short).contains("more than 10000 keys, values and tables"));
    assert!(quickly(&"[[a]]\n".repeat(40_000)).contains("more than 10000 keys"));
    assert!(quickly(&"a=1\n".repeat(60_000)).contains("more syntax errors"));
    assert!(quickly(&format!("a = {}", "[".repeat(200_000))).contains("p.toml:1:"));
    assert_eq!(
        quickly(&format!("a = {}{}", "[".repeat(5000), "]".repeat(5000))),
        "p.toml:1:85: nested too deeply\n  remedy  no table of a profile is nested more than a few \
         levels"
    );
    assert!(quickly(&format!("[{}a]", "a.".repeat(100_000))).contains("nested too deeply"));
    assert!(quickly(&format!("a = {}", "{a=".repeat(60_000))).contains("p.toml:1:"));
    assert!(quickly(&format!("{} = 1", "k".repeat(200_000))).contains("unknown key"));
    assert!(quickly(&"\0".repeat(1000)).contains("not TOML"));
}

#[test]
fn a_profile_that_extends_itself_is_refused() {
    let document = |name: &str, other: &str| Document {
        name: name.into(),
        folder: Some(path("/p")),
        text: format!("extends = [\"{other}\"]"),
    };
    let mut reads = 0;
    let mut fetch = |path: &sandboxd_plan::HostPath| {
        reads += 1;
        let other = if path.as_str() == "/p/a.toml" { "b.toml" } else { "a.toml" };
        Ok(document(path.as_str(), other))
    };
    let problems = load(document("/p/a.toml", "b.toml"), &mut fetch).unwrap_err();
    assert!(shown(&problems).contains("extends itself"), "{}", shown(&problems));
    assert!(reads <= 2);
    let mut next = 0;
    let mut endless = |path: &sandboxd_plan::HostPath| {
        next += 1;
        Ok(document(path.as_str(), &format!("{next}.toml\", \"x{next}.toml")))
    };
    let problems = load(document("/p/a.toml", "b.toml"), &mut endless).unwrap_err();
    assert!(shown(&problems).contains("more than 8 levels deep"));
}

#[test]
fn lists_are_appended_and_single_values_replaced() {
    let base = "[files]\nread = [\"/data\"]\n[limits]\nmemory = \"1G\"\nswap = \"1G\"\n\
                [require]\nlandlock.ioctl = \"if-available\"";
    let over = "extends = [\"base.toml\"]\n[files]\nread = [\"/w\"]\n[limits]\nmemory = \"2G\"\n\
                [require]\nlandlock = \"always\"";
    let document = |name: &str, text: &str| Document {
        name: name.into(),
        folder: Some(path("/p")),
        text: text.into(),
    };
    let profile = load(document("p.toml", over), &mut |_| Ok(document("base.toml", base))).unwrap();
    assert_eq!(
        profile.to_toml(),
        "[files]\nread = [\n    \"/data\",  # base.toml:2\n    \"/w\",  # p.toml:3\n]\n\n\
         [limits]\nmemory = 2147483648  # p.toml:5\nswap = 1073741824  # base.toml:5\n\n\
         [require]\nlandlock = \"always\"  # p.toml:7\n"
    );
}

#[test]
fn a_word_about_a_part_leaves_the_other_parts_as_they_were() {
    let base = "[require]\ncgroup = \"if-available\"";
    let over = "extends = [\"base.toml\"]\n[require]\ncgroup.memory = \"always\"";
    let document = |name: &str, text: &str| Document {
        name: name.into(),
        folder: Some(path("/p")),
        text: text.into(),
    };
    let profile = load(document("p.toml", over), &mut |_| Ok(document("base.toml", base))).unwrap();
    assert_eq!(
        profile.to_toml(),
        "[require]\ncgroup.cpu = \"if-available\"  # base.toml:2\n\
         cgroup.io = \"if-available\"  # base.toml:2\n\
         cgroup.memory = \"always\"  # p.toml:3\n\
         cgroup.pids = \"if-available\"  # base.toml:2\n"
    );
}

#[test]
fn what_is_shown_is_a_profile_that_says_the_same() {
    for builtin in sandboxd_profiles::builtin::list() {
        let profile = read(&format!("extends = [\"builtin:{}\"]", builtin.name)).unwrap();
        let shown_once = profile.to_toml();
        let again = read(&shown_once).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
        let plain = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
        };
        assert_eq!(plain(&shown_once), plain(&again.to_toml()), "{}", builtin.name);
        let told = profile.to_json();
        assert_eq!(told["profile"], again.to_json()["profile"], "{}", builtin.name);
        assert!(told["from"].as_object().is_some_and(|from| !from.is_empty()), "{told}");
    }
}

#[test]
fn a_secret_is_passed_on_with_a_reason_and_where_it_was_typed() {
    let text = "[env]\npass = [\n    { name = \"GITHUB_TOKEN\", reason = \"gh reads it there alone\" },\n]\n";
    let mut profile = read(text).unwrap();
    let plain = profile.to_toml().replace("  # p.toml:3", "");
    assert_eq!(plain, text);
    let typed = vec!["API_TOKEN".into(), "OTHER_TOKEN=x".into()];
    profile.apply(&Overrides { env: typed, ..overrides("true") }).unwrap();
    let names: Vec<&str> = profile.env.pass.iter().map(|one| one.name.value.as_str()).collect();
    assert_eq!(names, ["GITHUB_TOKEN", "API_TOKEN"]);
    let key = "sk-proj-Ab3dEf6hIj9lMn2pQr5t";
    let command = vec!["tool".try_into().unwrap(), key.try_into().unwrap()];
    profile.apply(&Overrides { command, ..overrides("true") }).unwrap();
    // What `--set` says is a line of a profile.
    let line = "env.pass=[\"API_TOKEN\"]".to_owned();
    let problems = profile.apply(&Overrides { set: vec![line], ..overrides("true") }).unwrap_err();
    assert!(shown(&problems).contains("or write { name"), "{}", shown(&problems));
}

#[test]
fn the_command_line_is_laid_over_the_profile() {
    let mut profile = read("[limits]\nmemory = \"1G\"").unwrap();
    let typed = Overrides {
        set: vec!["limits.memory=\"2G\"".into(), "files.protect={ off = \"why\" }".into()],
        bind: vec!["sub:/x:write".into()],
        env: vec!["A=b=c".into(), "LANG".into()],
        ..overrides("true")
    };
    profile.apply(&typed).unwrap();
    let text = profile.to_toml();
    for part in ["memory = 2147483648  # command line", "from = \"{cwd}/sub\"", "set.A = \"b=c\""] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let wrong = Overrides {
        set: vec!["limits.memori=1".into(), "x".into(), "name = \"a\"\n[files]".into()],
        read: vec!["../x".into(), "/ok/*".into()],
        bind: vec!["a".into()],
        env: vec!["1=2".into()],
        ..overrides("true")
    };
    let problems = read("").unwrap().apply(&wrong).unwrap_err();
    assert_eq!(problems.len(), 7, "{}", shown(&problems));
    assert_eq!(
        problems[0].to_string(),
        "command line: limits.memori: unknown key\n  remedy  did you mean memory?"
    );
    let bare = Overrides { set: vec!["limits.memory=2G".into()], ..overrides("true") };
    let problems = read("").unwrap().apply(&bare).unwrap_err();
    assert!(shown(&problems).contains("--set limits.memory='\"2G\"'"), "{}", shown(&problems));
}

#[test]
fn the_json_schema_is_json_and_knows_every_table() {
    let schema: serde_json::Value =
        serde_json::from_str(&sandboxd_profiles::schema::json::schema()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let tables =
        ["command", "env", "files", "syscalls", "limits", "network", "serve", "budget", "require"];
    for table in tables {
        assert_eq!(properties[table]["additionalProperties"], false, "{table}");
    }
    let call = &properties["call"]["additionalProperties"];
    assert_eq!(call["additionalProperties"], false);
    assert!(call["properties"]["grant"]["properties"]["files"].is_object());
    assert!(!properties.contains_key("spawn"));
    let client = &properties["serve"]["properties"]["client"]["properties"];
    assert!(client["deadline"].is_object() && client["tools"].is_null(), "{client}");
    let prices = &properties["budget"]["properties"]["prices"]["additionalProperties"];
    assert_eq!(prices["required"], serde_json::json!(["input", "output"]));
}
