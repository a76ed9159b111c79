//! A place for groups from systemd, for root and for an ordinary user: a process of its own, because
//! it is moved.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests {
    use sandboxd::cgroup::{Group, Placement, Room, Tree};
    use sandboxd_profiles::host::{CgroupFacts, Controller};
    use sandboxd_profiles::resolved::CgroupLimits;
    use std::path::Path;

    #[test]
    fn systemd_gives_whoever_asks_a_place_to_limit_in() {
        let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        if !sandboxd::systemd::is_booted() || !v2 {
            println!("not run: needs systemd and cgroup v2");
            return;
        }
        let tree = Tree::settle(&Placement::Own).unwrap();
        let CgroupFacts::V2 { controllers } = tree.facts() else { panic!("{tree:?}") };
        assert!(controllers.contains(&Controller::Memory), "{tree:?}");
        assert!(controllers.contains(&Controller::Pids), "{tree:?}");
        let limits = CgroupLimits {
            memory: Some(32 << 20),
            swap: Some(0),
            processes: Some(7),
            ..CgroupLimits::default()
        };
        let group = Group::create(&tree, "a", &limits, Room::None).unwrap();
        let dir = Path::new(group.paths()[0]).to_owned();
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read("memory.max").trim(), (32 << 20).to_string());
        assert_eq!(read("pids.max").trim(), "8");
        group.remove().unwrap();
        assert!(!dir.exists());
        // A second one finds the place that the first one left.
        let again = Tree::settle(&Placement::Own).unwrap();
        assert_eq!(again.placed(), tree.placed());
        Group::create(&again, "b", &limits, Room::None).unwrap().remove().unwrap();
    }
}
