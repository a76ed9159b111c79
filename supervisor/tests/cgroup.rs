//! Groups on the real kernel: limits hold, the end is complete, and nothing is left over.
//!
//! Every test has a directory of its own in the root of each hierarchy, `sandboxd-test-<pid>-…`, and
//! removes it. What the tests need is root and cgroups that can be written with memory, pids and cpu;
//! without them each says `not run`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests {
    use cgroups_rs::fs::{Cgroup, MaxValue, hierarchies};
    use cgroups_rs::fs::{cpu::CpuController, memory::MemController, pid::PidController};
    use sandboxd::cgroup::{Group, Placement, Room, Tree, sweep};
    use sandboxd_profiles::host::{CgroupFacts, Controller};
    use sandboxd_profiles::resolved::CgroupLimits;
    use std::collections::BTreeSet;
    use std::io::{BufRead, BufReader};
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    /// A place for one test's groups, removed at its end.
    struct Place {
        name: String,
        tree: Tree,
    }

    impl Place {
        fn new(name: &str) -> Option<Self> {
            let name = format!("sandboxd-test-{}-{name}", std::process::id());
            if !rustix::process::geteuid().is_root() {
                println!("not run: needs root");
                return None;
            }
            let tree = Tree::find(&Placement::Below(name.clone())).unwrap();
            if tree.facts().controllers().len() < 3 {
                println!("not run: needs memory, pids and cpu; missing {:?}", tree.missing());
                return None;
            }
            Some(Self { name, tree })
        }

        fn create(&self, id: &str, limits: &CgroupLimits) -> Group {
            Group::create(&self.tree, id, limits, Room::None).unwrap()
        }

        /// Another process, which has made a group called `theirs-2`.
        fn supervisor(&self) -> Child {
            let mut supervisor = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "tests::supervises_until_killed", "--nocapture"])
                .env("SANDBOXD_TEST_PARENT", &self.name)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
            assert!(lines.map(Result::unwrap).any(|line| line == "supervising"));
            supervisor
        }

        fn limits(&self) -> CgroupLimits {
            let v1 = match self.tree.facts() {
                CgroupFacts::V1 { .. } => {
                    vec![Controller::Memory, Controller::Pids, Controller::Cpu]
                }
                CgroupFacts::V2 { .. } | CgroupFacts::None => Vec::new(),
            };
            CgroupLimits { v1, ..CgroupLimits::default() }
        }

        /// The directories of this place, one per hierarchy.
        fn dirs(&self) -> Vec<PathBuf> {
            mounted()
                .into_iter()
                .map(|dir| dir.join(&self.name))
                .filter(|dir| dir.exists())
                .collect()
        }

        fn groups(&self) -> usize {
            let below = |dir: PathBuf| {
                let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
                entries.filter(|entry| entry.file_type().unwrap().is_dir()).count()
            };
            self.dirs().into_iter().map(below).sum()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            for dir in self.dirs() {
                std::fs::remove_dir(dir).unwrap();
            }
        }
    }

    fn mounted() -> Vec<PathBuf> {
        let mut roots = vec![PathBuf::from("/sys/fs/cgroup")];
        roots.extend(["memory", "pids", "cpu", "unified"].map(|one| roots[0].join(one)));
        roots.into_iter().filter(|root| root.join("cgroup.procs").exists()).collect()
    }

    /// Runs a script in the group: into the v2 directory by name, into v1 as the shim does it,
    /// through the `tasks` descriptors, which a child of this test can have as 0, 1 and 2.
    fn inside(group: &Group, script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        let join = group
            .into_fd()
            .map(|_| format!("echo 0 > {}/cgroup.procs\n", group.paths()[0]))
            .unwrap_or_default();
        command.args(["-c", &format!("echo 0 >&0; echo 0 >&1; echo 0 >&2\n{join}exec </dev/null >/dev/null 2>&1\n{script}")]);
        let mut fds = group.tasks().iter().map(|fd| Stdio::from(fd.try_clone().unwrap()));
        command.stdin(fds.next().unwrap_or_else(Stdio::null));
        command.stdout(fds.next().unwrap_or_else(Stdio::null));
        command.stderr(fds.next().unwrap_or_else(Stdio::null));
        command.spawn().unwrap()
    }

    fn soon(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn an_independent_reader_finds_the_limits_that_were_asked_for() {
        let Some(place) = Place::new("oracle") else { return };
        let limits = CgroupLimits {
            memory: Some(100_000_001),
            swap: Some(0),
            cpu_milli: Some(1500),
            processes: Some(128),
            ..place.limits()
        };
        let group = place.create("a", &limits);
        let seen = Cgroup::load(hierarchies::auto(), format!("{}/sandboxd.a", place.name));
        let memory: &MemController = seen.controller_of().unwrap();
        assert_eq!(memory.memory_stat().limit_in_bytes, 100_000_001 / 4096 * 4096);
        let pids: &PidController = seen.controller_of().unwrap();
        assert_eq!(pids.get_pid_max().unwrap(), MaxValue::Value(129));
        let cpu: &CpuController = seen.controller_of().unwrap();
        assert_eq!((cpu.cfs_quota().unwrap(), cpu.cfs_period().unwrap()), (150_000, 100_000));
        group.remove().unwrap();
        assert_eq!(place.groups(), 0);
    }

    #[test]
    fn unlimited_leaves_the_kernels_own_value() {
        let Some(place) = Place::new("unlimited") else { return };
        let group = place.create("a", &place.limits());
        let seen = Cgroup::load(hierarchies::auto(), format!("{}/sandboxd.a", place.name));
        let pids: &PidController = seen.controller_of().unwrap();
        assert_eq!(pids.get_pid_max().unwrap(), MaxValue::Max);
        group.remove().unwrap();
    }

    #[test]
    fn a_limit_the_kernel_does_not_keep_stops_the_launch_and_leaves_nothing() {
        let Some(place) = Place::new("refused") else { return };
        let refused = |limits: CgroupLimits, call: &str| {
            let error = Group::create(&place.tree, "a", &limits, Room::None).unwrap_err();
            assert_eq!(error.call, call, "{error}");
            assert_eq!(place.groups(), 0, "{error}");
        };
        refused(CgroupLimits { cpu_milli: Some(0), ..place.limits() }, "write");
        // The kernel takes it and keeps less.
        refused(CgroupLimits { memory: Some(u64::MAX), ..place.limits() }, "compare");
        refused(CgroupLimits { processes: Some(1 << 40), ..place.limits() }, "write");
    }

    #[test]
    fn a_plan_for_another_host_is_refused() {
        let Some(place) = Place::new("foreign") else { return };
        let mut limits = CgroupLimits { memory: Some(1 << 24), ..place.limits() };
        limits.v1 = if limits.v1.is_empty() { vec![Controller::Memory] } else { Vec::new() };
        assert_eq!(Group::create(&place.tree, "a", &limits, Room::None).unwrap_err().call, "limit");
        assert_eq!(place.groups(), 0);
    }

    #[test]
    fn forks_beyond_the_limit_fail_and_are_counted() {
        let Some(place) = Place::new("forks") else { return };
        let group = place.create("a", &CgroupLimits { processes: Some(8), ..place.limits() });
        let mut child = inside(&group, "while :; do sleep 60 & done");
        soon("a fork is refused", || group.usage().processes_refused > Some(0));
        let peak = group.usage().processes_peak;
        assert!(peak.is_none_or(|peak| peak == 9), "{peak:?}");
        group.kill().unwrap();
        child.wait().unwrap();
        assert!(group.wait_empty(Instant::now() + Duration::from_secs(10)).unwrap());
        group.remove().unwrap();
        assert_eq!(place.groups(), 0);
    }

    #[test]
    fn memory_beyond_the_limit_ends_inside_and_is_told() {
        let Some(place) = Place::new("memory") else { return };
        let limits = CgroupLimits { memory: Some(32 << 20), swap: Some(0), ..place.limits() };
        let group = place.create("a", &limits);
        let status = inside(&group, "exec tail /dev/zero").wait().unwrap();
        assert!(!status.success());
        let usage = group.usage();
        assert!(usage.oom_kills > Some(0), "{usage:?}");
        assert!(
            usage.memory_peak.is_none_or(|peak| peak <= 32 << 20 && peak > 16 << 20),
            "{usage:?}"
        );
        group.remove().unwrap();
    }

    #[test]
    fn a_share_of_a_cpu_holds_back_and_is_counted() {
        let Some(place) = Place::new("cpu") else { return };
        let group = place.create("a", &CgroupLimits { cpu_milli: Some(100), ..place.limits() });
        let mut child = inside(&group, "while :; do :; done");
        soon("the loop is held back", || group.usage().throttled_us > Some(0));
        assert!(group.usage().cpu_us > Some(0));
        group.kill().unwrap();
        child.wait().unwrap();
        group.remove().unwrap();
    }

    #[test]
    fn removal_ends_daemons_fork_storms_and_nested_groups() {
        let Some(place) = Place::new("storm") else { return };
        let group = place.create("a", &CgroupLimits { processes: Some(60), ..place.limits() });
        let nested = Path::new(group.paths()[0]).join("inner");
        // Not even root makes groups below, unless it says so first.
        let most = Path::new(group.paths()[0]).join("cgroup.max.descendants");
        if most.exists() {
            assert!(std::fs::create_dir(&nested).is_err());
            std::fs::write(most, "1").unwrap();
        }
        std::fs::create_dir(&nested).unwrap();
        let mut child = inside(
            &group,
            "setsid -f sleep 600; f() { while :; do ( ( f ) & ) ; done; }; f & f & wait",
        );
        soon("the storm is on", || group.usage().processes_refused > Some(0));
        assert!(!group.is_empty().unwrap());
        group.remove().unwrap();
        child.wait().unwrap();
        assert_eq!(place.groups(), 0);
    }

    #[test]
    fn a_process_only_in_a_v1_directory_is_ended_too() {
        let Some(place) = Place::new("v1only") else { return };
        let group = place.create("a", &place.limits());
        let Some(tasks) = group.tasks().get(1) else {
            println!("not run: needs cgroup v1");
            return;
        };
        let mut child = Command::new("/bin/sh")
            .args(["-c", "echo 0; exec sleep 600 >/dev/null"])
            .stdout(Stdio::from(tasks.try_clone().unwrap()))
            .spawn()
            .unwrap();
        soon("it joined", || !group.is_empty().unwrap());
        let pid = i32::try_from(child.id()).unwrap();
        assert!(!group.contains(pid).unwrap());
        group.remove().unwrap();
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn the_group_knows_its_members_and_its_id() {
        let Some(place) = Place::new("members") else { return };
        let group = place.create("a", &place.limits());
        let mut child = inside(&group, "exec sleep 600");
        let pid = i32::try_from(child.id()).unwrap();
        soon("it joined everywhere", || group.contains(pid).unwrap());
        assert!(!group.contains(1).unwrap());
        if let Some(fd) = group.into_fd() {
            let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
            assert_eq!(std::fs::metadata(link).unwrap().ino(), group.id().unwrap());
        }
        assert!(!group.wait_empty(Instant::now() + Duration::from_millis(20)).unwrap());
        group.kill().unwrap();
        child.wait().unwrap();
        assert!(group.wait_empty(Instant::now() + Duration::from_secs(10)).unwrap());
        group.remove().unwrap();
    }

    #[test]
    fn of_eight_starts_with_one_id_one_wins() {
        let Some(place) = Place::new("race") else { return };
        let limits = CgroupLimits { processes: Some(4), ..place.limits() };
        let won: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Group::create(&place.tree, "same", &limits, Room::None)))
                .collect();
            starts.into_iter().filter_map(|start| start.join().unwrap().ok()).collect()
        });
        assert_eq!(won.len(), 1);
        drop(won);
        assert_eq!(place.groups(), 0);
    }

    #[test]
    fn a_sweep_takes_what_a_killed_supervisor_left_and_nothing_else() {
        let Some(place) = Place::new("sweep") else { return };
        let mine = place.create("mine-1", &place.limits());
        let mut supervisor = place.supervisor();
        // What an operator may call a directory of their own.
        let others: Vec<_> = place.dirs().iter().map(|dir| dir.join("sandboxd-test-1")).collect();
        others.iter().for_each(|other| std::fs::create_dir(other).unwrap());
        let both = BTreeSet::from(["mine-1".to_owned(), "theirs-2".to_owned()]);
        let before = sweep(&place.tree);
        assert_eq!((&before.living, before.removed.len(), before.failed.len()), (&both, 0, 0));

        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        let after = sweep(&place.tree);
        others.iter().for_each(|other| std::fs::remove_dir(other).unwrap());
        assert_eq!(after.failed, []);
        assert_eq!(after.removed, BTreeSet::from(["theirs-2".to_owned()]));
        assert_eq!(after.living, BTreeSet::from(["mine-1".to_owned()]));
        mine.remove().unwrap();
        assert_eq!(place.groups(), 0);
    }

    #[test]
    fn behind_many_that_live_what_is_left_is_found_by_one_of_the_next() {
        let Some(place) = Place::new("many") else { return };
        let limits = CgroupLimits { processes: Some(4), ..place.limits() };
        let many: Vec<_> =
            (1..=100).map(|number| place.create(&format!("mine-{number}"), &limits)).collect();
        let mut supervisor = place.supervisor();
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        // Of as many sweeps one in sixteen looks at all: that none does has no chance to be seen.
        let sweeps: Vec<_> = (0..1000).map(|_| sweep(&place.tree)).collect();
        assert!(sweeps.iter().all(|swept| swept.failed.is_empty()));
        let removed: Vec<_> = sweeps.iter().flat_map(|swept| &swept.removed).collect();
        assert_eq!(removed, ["theirs-2"]);
        let few = sweeps.iter().filter(|swept| swept.living.len() < 100).count();
        assert!((800..1000).contains(&few), "{few} of 1000 looked at few");
        many.into_iter().for_each(|group| group.remove().unwrap());
        assert_eq!(place.groups(), 0);
    }

    /// Only in a process that is alone in a delegated v2 cgroup, as under
    /// `systemd-run --scope -p Delegate=yes`: everywhere else this would touch groups of the host's.
    #[test]
    fn a_supervisor_alone_in_its_node_moves_to_a_leaf_and_finds_its_node_again() {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.trim().strip_prefix("0::/").filter(|own| own.ends_with(".scope"));
        let tree = Tree::find(&Placement::Own).unwrap();
        let (Some(own), 3..) = (own, tree.facts().controllers().len()) else {
            println!("not run: needs a v2 scope of its own; missing {:?}", tree.missing());
            return;
        };
        let limits = CgroupLimits {
            memory: Some(32 << 20),
            swap: Some(0),
            cpu_milli: Some(5),
            processes: Some(8),
            ..CgroupLimits::default()
        };
        let first = Group::create(&tree, "first", &limits, Room::None).unwrap();
        assert!(first.paths()[0].ends_with(&format!("{own}/sandboxd.first")));
        let now = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        assert_eq!(now.trim(), format!("0::/{own}/supervisor"));
        let again = Tree::find(&Placement::Own).unwrap();
        assert_eq!(again.facts(), tree.facts());
        let second = Group::create(&again, "second", &limits, Room::None).unwrap();
        assert!(second.paths()[0].ends_with(&format!("{own}/sandboxd.second")));
        first.remove().unwrap();
        second.remove().unwrap();
    }

    /// The other process of the sweep's test; by itself it has nothing to do.
    #[test]
    fn supervises_until_killed() {
        if let Ok(parent) = std::env::var("SANDBOXD_TEST_PARENT") {
            let tree = Tree::find(&Placement::Below(parent)).unwrap();
            let place = Place { name: "none".to_owned(), tree };
            let group = place.create("theirs-2", &place.limits());
            // It outlives its supervisor: killed, not told.
            let mut child = inside(&group, "exec sleep 600");
            let pid = i32::try_from(child.id()).unwrap();
            soon("it joined", || group.contains(pid).unwrap());
            println!("\nsupervising");
            child.wait().unwrap();
        }
    }
}
