//! `sandboxd plan`.

use super::output::{refuse, say, say_json};
use super::typed::Plan;
use super::{NOT_SET_UP, load};
use sandboxd_plan::{Arrives, Confinement, Layer, Probe, Resource, Rlimit, Root, RootOp};
use sandboxd_profiles::why::rights;
use sandboxd_profiles::{Resolved, syscalls};

pub(crate) fn plan(arguments: &Plan) -> u8 {
    let name = load::name(&arguments.grants);
    match load::load(&arguments.grants).and_then(|loaded| load::resolved(&loaded)) {
        Ok(resolved) => {
            let said = if arguments.json {
                say_json(&resolved)
            } else if arguments.filter {
                say(&filters(&resolved))
            } else {
                say(&words(&resolved))
            };
            if said { 0 } else { NOT_SET_UP }
        }
        Err(error) => {
            refuse(&error, &name, arguments.json);
            error.exit_status()
        }
    }
}

/// The plan for people, stage by stage.
fn words(resolved: &Resolved) -> String {
    let plan = &resolved.plan;
    let mut text = format!("{} (uid {})\n", plan.id, plan.command.identity.uid);
    let mut line = |head: &str, rest: String| text.push_str(&format!("  {head:<11}{rest}\n"));
    let own: Vec<&str> = plan.namespaces.own.iter().map(|one| one.name()).collect();
    line("namespaces", own.join(" "));
    for rule in resolved.outside.egress.iter().flat_map(|egress| &egress.rules) {
        line("egress", rule.written.clone());
    }
    match &plan.root {
        Root::Host => line("root", String::from("the host's own, as it is")),
        Root::Own { ops, .. } => {
            ops.iter().filter_map(root_op).for_each(|words| line("root", words));
        }
    }
    for Rlimit { resource, value } in &plan.limits.rlimits {
        line("limits", format!("{} {}", resource_name(*resource), number(*value)));
    }
    match &resolved.outside.cgroup {
        Some(limits) => line(
            "cgroup",
            format!(
                "memory {} swap {} cpu {}/1000 processes {}",
                amount(limits.memory),
                amount(limits.swap),
                amount(limits.cpu_milli),
                amount(limits.processes),
            ),
        ),
        None => line("cgroup", String::from("none")),
    }
    confinement(&mut line, &plan.command);
    for probe in &plan.probes {
        line("self-test", probe_words(probe));
    }
    let argv: Vec<String> = plan.exec.argv.iter().map(ToString::to_string).collect();
    if !plan.exec.sockets.is_empty() {
        line("sockets", format!("{}, from descriptor 3 on", plan.exec.sockets.len()));
    }
    line("exec", format!("{} (in {})", argv.join(" "), plan.exec.cwd));
    for waived in &resolved.waived {
        line("waived", format!("{}: {}", waived.key, waived.what));
    }
    for absent in &resolved.absent {
        line("absent", format!("{}: {}", absent.layer, absent.what));
    }
    text
}

fn confinement(line: &mut impl FnMut(&str, String), to: &Confinement) {
    for Layer { of, rules } in &to.landlock {
        for rule in &rules.paths {
            line("landlock", format!("{of}: {} {}", rule.path, rights(rule.rights)));
        }
    }
    for Layer { of, rules } in &to.syscalls {
        let length = rules.instructions().len();
        line("seccomp", format!("{of}: {length} instructions (--filter prints them)"));
    }
}

/// Every filter, in the order in which they are put on.
fn filters(resolved: &Resolved) -> String {
    let mut text = String::new();
    for Layer { of, rules } in &resolved.plan.command.syscalls {
        text.push_str(&format!("; {of}\n{}", syscalls::disassemble(rules)));
    }
    text
}

/// A probe, with a system call by its name.
fn probe_words(probe: &Probe) -> String {
    if let Probe::Syscall { number, .. } = probe
        && let Some(name) = syscalls::name(*number)
    {
        return format!("system call {name}");
    }
    probe.name()
}

fn root_op(op: &RootOp) -> Option<String> {
    Some(match op {
        RootOp::Bind { from, to, mount, idmap, .. } => format!(
            "bind {from} on {to}{}{}{}",
            if mount.read_only { " read-only" } else { " writable" },
            if mount.no_exec { " noexec" } else { "" },
            if idmap.is_some() { " idmapped" } else { "" },
        ),
        RootOp::Tmpfs { to, size, .. } => format!("tmpfs on {to}, {size} bytes"),
        RootOp::Proc { to } => format!("proc on {to}"),
        RootOp::Devpts { to } => format!("devpts on {to}"),
        RootOp::Sysctl { path, value } => format!("write {value} into {path}"),
        RootOp::Hide { path, .. } => format!("hide {path}"),
        RootOp::Hold { path, mount, .. } => {
            format!("hold {path}{}", if mount.read_only { " read-only" } else { "" })
        }
        RootOp::Endpoint { path, arrives: Arrives::Calls } => {
            format!("listen on {path}, where calls go to the broker")
        }
        RootOp::Endpoint { path, arrives: Arrives::Words } => {
            format!("listen on {path}, for messages to the service manager")
        }
        RootOp::Endpoint { path, arrives: Arrives::Signatures } => {
            format!("listen on {path}, where an ssh-agent signs for named hosts")
        }
        RootOp::Remount { path, .. } => format!("remount {path}"),
        RootOp::Copy { path, .. } => format!("copy a credential to {path}, for the command alone"),
        RootOp::Symlink { path, target } => format!("link {path} to {target}"),
        RootOp::Directory { .. } | RootOp::File { .. } | RootOp::Device { .. } => return None,
    })
}

fn resource_name(resource: Resource) -> String {
    format!("{resource:?}").to_lowercase()
}

fn number(value: u64) -> String {
    if value == u64::MAX { String::from("unlimited") } else { value.to_string() }
}

fn amount(value: Option<u64>) -> String {
    value.map_or_else(|| String::from("unlimited"), |value| value.to_string())
}
