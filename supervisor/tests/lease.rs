//! Uids are leased to one sandbox at a time, on the real file system and the real `/proc`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests {
    use sandboxd::lease::{Pool, RunDir, Settings, Uids};
    use std::collections::BTreeSet;
    use std::fs::Permissions;
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::process::CommandExt;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};

    /// A directory of this test's own, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("sandboxd-test-{}-{name}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            Self(path)
        }

        fn pool(&self, first: u32, count: u32) -> Pool {
            pool(&self.0, first, count)
        }

        fn lease(&self, uid: u32) -> PathBuf {
            self.0.join("run/uids").join(uid.to_string())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn pool(dir: &Path, first: u32, count: u32) -> Pool {
        Pool::open(Uids { first, count }, &RunDir::at(dir, "run").unwrap()).unwrap()
    }

    /// A process that a test started, ended with it.
    struct Started(Child);

    impl Drop for Started {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    fn root() -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            println!("not run: needs root, to start a process under another uid");
        }
        root
    }

    #[test]
    fn two_hundred_starts_at_once_get_two_hundred_uids() {
        let scratch = Scratch::new("many");
        let uids: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..200)
                .map(|_| scope.spawn(|| scratch.pool(710_000, 1000).acquire().unwrap()))
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let distinct: BTreeSet<u32> = uids.iter().map(|held| held.uid).collect();
        assert_eq!(distinct.len(), 200);
        assert!(uids.iter().all(|held| held.init_uid == 710_000 && held.uid > 710_000));
    }

    #[test]
    fn the_first_uid_is_inits_and_an_empty_pool_says_so() {
        let scratch = Scratch::new("empty");
        let pool = scratch.pool(720_000, 3);
        let (one, two) = (pool.acquire().unwrap(), pool.acquire().unwrap());
        assert_eq!((one.uid, two.uid), (720_001, 720_002));
        let error = pool.acquire().unwrap_err();
        assert!(error.remedy.contains("[uids].count"), "{error}");
        one.release().unwrap();
        assert_eq!(pool.acquire().unwrap().uid, 720_001);
    }

    #[test]
    fn a_released_uid_comes_back_only_after_all_others() {
        let scratch = Scratch::new("late");
        let pool = scratch.pool(730_000, 5);
        let mut order = Vec::new();
        for _ in 0..5 {
            let held = pool.acquire().unwrap();
            order.push(held.uid);
            held.release().unwrap();
        }
        assert_eq!(order, [730_001, 730_002, 730_003, 730_004, 730_001]);
    }

    #[test]
    fn a_uid_is_busy_until_it_is_released() {
        let scratch = Scratch::new("busy");
        let pool = scratch.pool(740_000, 10);
        let held = pool.acquire().unwrap();
        let file = scratch.lease(held.uid);
        assert_eq!(std::fs::read(&file).unwrap(), b"busy\n");
        drop(held);
        assert_eq!(std::fs::read(&file).unwrap(), b"busy\n");
        let again = scratch.pool(740_000, 2).acquire().unwrap();
        again.release().unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"free\n");
    }

    #[test]
    fn a_uid_whose_supervisor_died_waits_for_its_last_process() {
        if !root() {
            return;
        }
        let scratch = Scratch::new("stale");
        let pool = scratch.pool(750_000, 3);
        drop(pool.acquire().unwrap());
        let left = Command::new("/bin/sleep").arg("600").uid(750_001).gid(750_001).spawn().unwrap();
        let left = Started(left);
        let two = pool.acquire().unwrap();
        assert_eq!(two.uid, 750_002);
        let error = pool.acquire().unwrap_err();
        assert!(error.subject.contains("1 of them held by processes"), "{error}");
        drop(left);
        assert_eq!(pool.acquire().unwrap().uid, 750_001);
    }

    #[test]
    fn the_lock_of_a_killed_supervisor_is_gone_and_its_uid_can_be_had() {
        let scratch = Scratch::new("killed");
        let mut supervisor = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::holds_a_uid_until_killed", "--nocapture"])
            .env("SANDBOXD_TEST_DIR", &scratch.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
        let held = lines.map(Result::unwrap).any(|line| line.ends_with("held 760001"));
        assert!(held);
        let pool = scratch.pool(760_000, 2);
        assert!(pool.acquire().is_err());
        drop(Started(supervisor));
        assert_eq!(pool.acquire().unwrap().uid, 760_001);
    }

    /// The other process of the test above; by itself it has nothing to do.
    #[test]
    fn holds_a_uid_until_killed() {
        if let Some(dir) = std::env::var_os("SANDBOXD_TEST_DIR") {
            let held = pool(Path::new(&dir), 760_000, 2).acquire().unwrap();
            println!("\nheld {}", held.uid);
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
    }

    #[test]
    fn a_planted_link_is_refused_and_its_target_untouched() {
        let scratch = Scratch::new("link");
        let pool = scratch.pool(770_000, 2);
        let target = scratch.0.join("target");
        std::fs::write(&target, "mine").unwrap();
        symlink(&target, scratch.lease(770_001)).unwrap();
        let error = pool.acquire().unwrap_err();
        assert_eq!(error.errno, rustix::io::Errno::LOOP.raw_os_error(), "{error}");
        assert_eq!(std::fs::read(&target).unwrap(), b"mine");
    }

    #[test]
    fn a_run_directory_that_others_may_enter_or_that_is_a_link_is_refused() {
        let scratch = Scratch::new("dir");
        let open = |name: &str| RunDir::at(&scratch.0, name);
        open("a").unwrap();
        open("a").unwrap();
        std::fs::set_permissions(scratch.0.join("a"), Permissions::from_mode(0o711)).unwrap();
        assert!(open("a").unwrap_err().subject.contains("0711"));
        std::fs::create_dir(scratch.0.join("real")).unwrap();
        symlink("real", scratch.0.join("link")).unwrap();
        assert!(open("link").unwrap_err().remedy.contains("not a link"));
        std::fs::write(scratch.0.join("file"), "").unwrap();
        assert!(open("file").is_err());
        std::fs::set_permissions(&scratch.0, Permissions::from_mode(0o777)).unwrap();
        assert!(open("b").is_err());
    }

    #[test]
    fn settings_that_others_can_write_or_that_are_not_understood_are_refused() {
        if !root() {
            return;
        }
        let scratch = Scratch::new("settings");
        let path = scratch.0.join("config.toml");
        assert_eq!(Settings::at(&path).unwrap(), Settings::default());
        std::fs::write(&path, "[uids]\nfirst = 80000\ncount = 10\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Settings::at(&path).unwrap().uids, Uids { first: 80_000, count: 10 });
        for mode in [0o664, 0o646] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(Settings::at(&path).is_err(), "{mode:o}");
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::chown(&path, Some(750_009), None).unwrap();
        assert!(Settings::at(&path).is_err());
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        for text in ["[uids]\nfirst = 1\n", "[uids]\nfrist = 80000\n", "x", &"#".repeat(70_000)] {
            std::fs::write(&path, text).unwrap();
            assert!(Settings::at(&path).is_err(), "{text:.20}");
        }
        std::fs::remove_file(&path).unwrap();
        symlink("/dev/null", &path).unwrap();
        assert!(Settings::at(&path).is_err());
    }
}
