//! Logs on a real file system, written, damaged and read again.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests {
    use sandboxd_audit::chain::Hash;
    use sandboxd_audit::line::Line;
    use sandboxd_audit::log::{Log, Measures};
    use sandboxd_audit::note::Note;
    use sandboxd_audit::read::{self, Piece, Pieces};
    use sandboxd_audit::record::Actor;
    use sandboxd_audit::time::Stamp;
    use sandboxd_audit::verify::{self, Report, What};
    use sandboxd_audit::{AuditError, Durability, Folder, Kind, Record, Writer, recover};
    use std::fs;
    use std::io::BufReader;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    /// A folder of this test's own, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("sandboxd-audit-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn folder(&self) -> Folder {
            Folder::at(&self.0).unwrap()
        }

        fn verify(&self) -> Report {
            verify::folder(&self.folder(), &[], Stamp::now()).unwrap()
        }

        /// The only segment.
        fn segment(&self) -> PathBuf {
            let places = read::places(&self.folder()).unwrap();
            assert_eq!(places.len(), 1, "{places:?}");
            self.0.join(places[0].path())
        }

        fn index(&self) -> PathBuf {
            let name = fs::read_dir(&self.0)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .find(|path| path.extension().is_some_and(|end| end == "jsonl"));
            name.unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn record(number: u64) -> Record {
        let mut record = Record::of(Kind::Started);
        record.actor = Some(Actor { agent: format!("agent-{number}"), ..Actor::default() });
        record
    }

    fn write(folder: Folder, records: u64) -> Log {
        let mut log = Log::begin(folder, Measures::default()).unwrap();
        (0..records).for_each(|number| log.append(&record(number)).unwrap());
        log
    }

    /// Offsets behind each line.
    fn ends(bytes: &[u8]) -> Vec<usize> {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.map(|(at, _)| at + 1).collect()
    }

    fn whole(report: &Report) {
        assert_eq!(report.troubles, vec![], "{report:?}");
    }

    fn alone(path: &Path, bytes: &[u8]) -> Report {
        let name = path.file_name().unwrap().to_str().unwrap();
        verify::file(name, BufReader::new(bytes), &[]).unwrap()
    }

    #[test]
    fn a_log_that_was_closed_is_whole_and_signed_to_its_end() {
        let scratch = Scratch::new("whole");
        write(scratch.folder(), 5).close().unwrap();
        let report = scratch.verify();
        whole(&report);
        // Header, five, closed and checkpoint; in the index its beginning, opened and closed.
        assert_eq!((report.logs, report.records, report.signed), (1, 8 + 3, 7));
        assert_eq!((report.live.len(), report.unfinished.len()), (0, 0));
    }

    #[test]
    fn when_records_were_signed_last_is_known() {
        let scratch = Scratch::new("signed");
        let mut log = write(scratch.folder(), 1);
        assert_eq!(log.signed(), None, "no checkpoint was made yet");
        let before = Stamp::now();
        log.checkpoint().unwrap();
        assert!(log.signed().is_some_and(|signed| before <= signed && signed <= Stamp::now()));
    }

    #[test]
    fn a_log_in_segments_is_whole_and_each_key_vouches_for_the_next() {
        let scratch = Scratch::new("segments");
        let measures = Measures { bytes: 2000, unsigned: 3, ..Measures::default() };
        let mut log = Log::begin(scratch.folder(), measures).unwrap();
        (0..40).for_each(|number| log.append(&record(number)).unwrap());
        let living = scratch.verify();
        whole(&living);
        assert_eq!(living.live.len(), 1);
        log.close().unwrap();
        let report = scratch.verify();
        whole(&report);
        let places = read::places(&scratch.folder()).unwrap();
        assert!(places.len() > 3, "{places:?}");
        // Without the second segment its records are lost, and it is named.
        fs::remove_file(scratch.0.join(places[1].path())).unwrap();
        let report = scratch.verify();
        let what: Vec<&What> = report.troubles.iter().map(|trouble| &trouble.what).collect();
        assert!(what.contains(&&What::Missing { segment: 1 }), "{what:?}");
        assert!(
            what.iter().any(|what| matches!(what, What::Lost { last: Some(_), .. })),
            "{what:?}"
        );
    }

    #[test]
    fn records_that_are_written_together_are_those_that_are_written_one_by_one() {
        let measures = Measures { bytes: 4000, unsigned: 5, ..Measures::default() };
        let records: Vec<Record> = (0..40).map(record).collect();
        let kinds = |name: &str, together: usize| {
            let scratch = Scratch::new(name);
            let mut log = Log::begin(scratch.folder(), measures).unwrap();
            records.chunks(together).for_each(|some| log.append_all(some).unwrap());
            log.append_all(&[]).unwrap();
            log.close().unwrap();
            let report = scratch.verify();
            whole(&report);
            let places = read::places(&scratch.folder()).unwrap();
            assert!(places.len() > 2, "{places:?}");
            let bytes: Vec<u8> = places
                .iter()
                .flat_map(|place| fs::read(scratch.0.join(place.path())).unwrap())
                .collect();
            let lines = bytes.split(|byte| *byte == b'\n').filter_map(Line::read);
            let agents = |line: &Line| line.text_at("/actor/agent").map(str::to_owned);
            let lines: Vec<_> = lines.map(|line| (line.kind.clone(), agents(&line))).collect();
            let started = lines.iter().filter(|(kind, _)| kind == "started").cloned();
            (started.collect::<Vec<_>>(), report.records)
        };
        let one = kinds("one", 1);
        for together in [2, 7, 40] {
            let some = kinds("together", together);
            assert_eq!(some.0, one.0, "{together}");
            // A segment is full after what was written together, so there may be one less.
            assert!(some.1 <= one.1, "{} and {}", some.1, one.1);
        }
    }

    #[test]
    fn cut_off_at_any_byte_exactly_what_is_missing_is_told() {
        let scratch = Scratch::new("cut");
        write(scratch.folder(), 6).close().unwrap();
        let path = scratch.segment();
        let bytes = fs::read(&path).unwrap();
        let ends = ends(&bytes);
        let records = u64::try_from(ends.len()).unwrap();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let report = scratch.verify();
            let good = ends.iter().filter(|end| **end <= length).count();
            let offset = if good == 0 { 0 } else { ends[good - 1] };
            let lost = What::Lost {
                first: u64::try_from(good).unwrap(),
                last: Some(records - 1),
                file: path.strip_prefix(&scratch.0).unwrap().display().to_string(),
                offset: u64::try_from(offset).unwrap(),
                bytes: u64::try_from(length - offset).unwrap(),
            };
            let what: Vec<_> = report.troubles.into_iter().map(|trouble| trouble.what).collect();
            assert_eq!(what, [lost], "{length} bytes");
        }
        fs::write(&path, &bytes).unwrap();
        whole(&scratch.verify());
    }

    #[test]
    fn of_a_flipped_bit_exactly_the_record_is_told_that_it_is_in() {
        let scratch = Scratch::new("flip");
        write(scratch.folder(), 6).close().unwrap();
        let path = scratch.segment();
        let bytes = fs::read(&path).unwrap();
        let ends = ends(&bytes);
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..3000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = usize::try_from(random % u64::try_from(bytes.len() * 8).unwrap()).unwrap();
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let report = alone(&path, &flipped);
            let hit = ends.iter().filter(|end| **end <= at / 8).count();
            // Where a line end is hit, the next record stands in the same line.
            let two = bytes[at / 8] == b'\n' && hit + 1 < ends.len();
            let troubles = &report.troubles;
            assert_eq!(troubles.len(), 1, "bit {at}: {troubles:?}");
            let What::Lost { first, last, .. } = &troubles[0].what else {
                panic!("bit {at}: {troubles:?}")
            };
            let expected = u64::try_from(hit).unwrap();
            let end = expected + u64::from(two);
            let tail = usize::try_from(end).unwrap() + 1 == ends.len();
            assert_eq!((*first, *last), (expected, (!tail).then_some(end)), "bit {at}");
        }
    }

    #[test]
    fn what_a_killed_supervisor_left_torn_is_moved_aside_and_counted() {
        let scratch = Scratch::new("torn");
        let log = write(scratch.folder(), 6);
        let live = scratch.segment();
        let bytes = fs::read(&live).unwrap();
        // Nobody sweeps up what is being written.
        assert_eq!(recover::recover(&scratch.folder()).unwrap(), Vec::<String>::new());
        drop(log);
        let index = fs::read(scratch.index()).unwrap();
        let ends = ends(&bytes);
        let near = |at: usize| ends.iter().any(|end| end.abs_diff(at) <= 2);
        for length in (0..=bytes.len()).filter(|at| near(*at) || at % 97 == 0) {
            fs::write(scratch.index(), &index).unwrap();
            fs::write(&live, &bytes[..length]).unwrap();
            let good = ends.iter().filter(|end| **end <= length).copied().max().unwrap_or(0);
            let cut = u64::try_from(length - good).unwrap();
            assert_eq!(recover::recover(&scratch.folder()).unwrap().len(), 1, "{length}");
            let report = scratch.verify();
            whole(&report);
            assert_eq!(report.recovered[0].1, cut, "{length} bytes");
            let day = live.parent().unwrap().with_file_name(Stamp::now().day());
            let kept = day.join(live.file_name().unwrap());
            assert_eq!(fs::read(&kept).unwrap(), bytes[..good], "{length} bytes");
            let aside = fs::read_dir(&day).unwrap().map(|entry| entry.unwrap().path());
            let aside: Vec<_> = aside.filter(|path| path.extension().unwrap() == "tail").collect();
            assert_eq!(aside.len(), usize::from(cut > 0), "{length} bytes");
            if let Some(aside) = aside.first() {
                assert_eq!(fs::read(aside).unwrap(), bytes[good..length]);
            }
            fs::remove_dir_all(day).unwrap();
        }
    }

    #[test]
    fn a_torn_index_goes_on_after_its_last_good_entry() {
        let scratch = Scratch::new("index");
        write(scratch.folder(), 1).close().unwrap();
        let bytes = fs::read(scratch.index()).unwrap();
        fs::write(scratch.index(), [bytes.as_slice(), b"{\"v\":1,\"seq\":"].concat()).unwrap();
        assert_eq!(scratch.verify().troubles.len(), 1);
        write(scratch.folder(), 1).close().unwrap();
        let report = scratch.verify();
        whole(&report);
        assert_eq!(report.logs, 2);
        // An entry that is lost is noticed in the chain, and by the log that it named.
        let bytes = fs::read(scratch.index()).unwrap();
        let ends = ends(&bytes);
        fs::write(scratch.index(), [&bytes[..ends[0]], &bytes[ends[1]..]].concat()).unwrap();
        let report = scratch.verify();
        assert!(report.troubles.iter().any(|trouble| trouble.log == "index"), "{report:?}");
    }

    #[test]
    fn a_log_that_is_taken_away_or_put_there_is_noticed() {
        let scratch = Scratch::new("away");
        write(scratch.folder(), 2).close().unwrap();
        let path = scratch.segment();
        let other = Scratch::new("other");
        write(other.folder(), 2).close().unwrap();
        let foreign = other.segment();
        fs::copy(&foreign, path.with_file_name(foreign.file_name().unwrap())).unwrap();
        let report = scratch.verify();
        let what: Vec<_> = report.troubles.iter().map(|trouble| &trouble.what).collect();
        assert_eq!(what, [&What::Unknown]);
        fs::remove_file(path.with_file_name(foreign.file_name().unwrap())).unwrap();
        fs::remove_file(&path).unwrap();
        let report = scratch.verify();
        let what: Vec<_> = report.troubles.iter().map(|trouble| &trouble.what).collect();
        assert_eq!(what, [&What::Gone { records: Some(5) }]);
        // One log under the name of another has another key, another beginning and another end.
        fs::copy(&foreign, &path).unwrap();
        let report = scratch.verify();
        assert!(
            report.troubles.iter().any(|trouble| matches!(trouble.what, What::Exchanged { .. })),
            "{report:?}"
        );
    }

    #[test]
    fn a_record_that_is_left_out_replaced_or_repeated_is_told_by_its_number() {
        let scratch = Scratch::new("replaced");
        write(scratch.folder(), 6).close().unwrap();
        let path = scratch.segment();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let told = |lines: &[&str]| -> Vec<What> {
            let report = alone(&path, lines.concat().as_bytes());
            report.troubles.into_iter().map(|trouble| trouble.what).collect()
        };
        let without = [&lines[..3], &lines[4..]].concat();
        assert!(matches!(told(&without)[..], [What::Lost { first: 3, last: Some(3), .. }]));
        let twice = [&lines[..4], &lines[3..]].concat();
        assert!(matches!(told(&twice)[..], [What::OutOfOrder { seq: 3, .. }]));
        // The same record of another log fits its own hash, and not the next record.
        let other = Scratch::new("replacing");
        write(other.folder(), 6).close().unwrap();
        let foreign = fs::read_to_string(other.segment()).unwrap();
        let foreign: Vec<&str> = foreign.split_inclusive('\n').collect();
        let replaced = [&lines[..3], &foreign[3..4], &lines[4..]].concat();
        let told = told(&replaced);
        assert!(
            matches!(
                told[..],
                [What::Unlinked { seq: 3 }, What::Unlinked { seq: 4 }, What::Unproven { .. }]
            ),
            "{told:?}"
        );
    }

    /// The last checkpoint of a segment.
    fn note(path: &Path) -> Note {
        let bytes = fs::read(path).unwrap();
        let notes = Pieces::new(bytes.as_slice()).filter_map(|piece| match piece.unwrap() {
            Piece::Record(line) => Note::parse(line.text_at("/detail/note")?),
            Piece::Bad { .. } => None,
        });
        notes.last().unwrap()
    }

    #[test]
    fn whoever_writes_a_log_anew_is_found_out_by_a_checkpoint_kept_elsewhere() {
        let scratch = Scratch::new("kept");
        write(scratch.folder(), 3).close().unwrap();
        let kept = [note(&scratch.segment())];
        let report = verify::folder(&scratch.folder(), &kept, Stamp::now()).unwrap();
        whole(&report);
        assert_eq!(report.borne_out, 1);
        // Everything is replaced, index and all, by something that is whole in itself.
        let name = scratch.segment().file_name().unwrap().to_owned();
        fs::remove_dir_all(&scratch.0).unwrap();
        fs::create_dir(&scratch.0).unwrap();
        write(scratch.folder(), 3).close().unwrap();
        whole(&scratch.verify());
        let report = verify::folder(&scratch.folder(), &kept, Stamp::now()).unwrap();
        assert!(matches!(report.troubles[..], [_]), "{report:?}");
        // The same under the old name.
        let bytes = fs::read(scratch.segment()).unwrap();
        let report =
            verify::file(name.to_str().unwrap(), BufReader::new(bytes.as_slice()), &kept).unwrap();
        assert!(report.troubles.iter().any(|one| matches!(one.what, What::Contradicted { .. })));
    }

    #[test]
    fn behind_many_that_live_a_log_that_was_left_is_closed_by_one_of_the_next() {
        let scratch = Scratch::new("behind");
        let living: Vec<_> = (0..100).map(|_| write(scratch.folder(), 1)).collect();
        drop(write(scratch.folder(), 1));
        let closed = (0..1000).map(|_| recover::recover(&scratch.folder()).unwrap().len());
        assert_eq!(closed.sum::<usize>(), 1);
        drop(living);
    }

    /// A log that nobody can close, and what is said of it.
    fn unclosable(scratch: &Scratch) -> PathBuf {
        let place = scratch.0.join("live/unclosable.0000.jsonl");
        fs::create_dir_all(&place).unwrap();
        place
    }

    #[test]
    fn a_log_that_cannot_be_closed_keeps_no_other_from_it() {
        let scratch = Scratch::new("unclosable");
        (0..3).for_each(|_| drop(write(scratch.folder(), 1)));
        let place = unclosable(&scratch);
        let error = recover::recover(&scratch.folder()).unwrap_err();
        assert!(error.subject.ends_with("unclosable.0000.jsonl"), "{error:?}");
        assert!(!error.remedy.is_empty(), "{error:?}");
        let left: Vec<_> = fs::read_dir(place.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn what_was_kept_long_enough_goes_though_a_log_cannot_be_closed_and_the_writer_says_so() {
        let scratch = Scratch::new("untended");
        drop(write(scratch.folder(), 1));
        let place = unclosable(&scratch);
        let old = scratch.0.join("2001-01-01");
        fs::create_dir(&old).unwrap();
        fs::write(old.join("x.0000.jsonl"), "").unwrap();
        let folder = scratch.folder();
        let writer = Writer::begin(|| Ok(folder)).unwrap();
        let error = writer.tended().unwrap();
        assert!(error.subject.ends_with("unclosable.0000.jsonl"), "{error:?}");
        assert_eq!(writer.untended(), Some(error));
        assert!(!old.exists());
        writer.close().unwrap();
        fs::remove_dir(place).unwrap();
        let folder = scratch.folder();
        let writer = Writer::begin(|| Ok(folder)).unwrap();
        assert_eq!(writer.tended(), None);
        writer.close().unwrap();
    }

    #[test]
    fn a_day_that_cannot_be_removed_keeps_no_other() {
        let scratch = Scratch::new("unremovable");
        let day = |day: &str| scratch.0.join(day);
        fs::create_dir_all(day("2001-01-01").join("x.0000.jsonl")).unwrap();
        fs::create_dir(day("2001-01-02")).unwrap();
        let error = recover::expire(&scratch.folder(), Stamp::now(), WEEK).unwrap_err();
        assert!(error.subject.contains("2001-01-01"), "{error:?}");
        assert!(day("2001-01-01").exists() && !day("2001-01-02").exists());
    }

    #[test]
    fn many_supervisors_write_at_once_and_every_log_is_whole() {
        let scratch = Scratch::new("many");
        // Where there is none yet, there is nothing to verify.
        write(scratch.folder(), 2).close().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        write(scratch.folder(), 2).close().unwrap();
                        recover::recover(&scratch.folder()).unwrap();
                    }
                });
            }
            for _ in 0..10 {
                whole(&scratch.verify());
            }
        });
        let report = scratch.verify();
        whole(&report);
        assert_eq!(report.logs, 81);
        assert_eq!(report.recovered.len(), 0);
    }

    #[test]
    fn what_is_kept_long_enough_is_removed_and_the_index_says_so() {
        let scratch = Scratch::new("expire");
        write(scratch.folder(), 2).close().unwrap();
        let week = Duration::from_secs(7 * 86_400);
        recover::expire(&scratch.folder(), Stamp::now(), week).unwrap();
        assert_eq!(scratch.verify().logs, 1);
        let later = Stamp(Stamp::now().0 + 8 * 86_400_000);
        recover::expire(&scratch.folder(), later, week).unwrap();
        let report = scratch.verify();
        whole(&report);
        assert_eq!((report.logs, read::places(&scratch.folder()).unwrap().len()), (0, 0));
    }

    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    fn in_days(days: u64) -> Stamp {
        Stamp(Stamp::now().0 + days * 86_400_000)
    }

    /// Why checkpoints that were kept are not borne out.
    fn contradicted(report: &Report) -> Vec<&'static str> {
        let why = report.troubles.iter().filter_map(|trouble| {
            if let What::Contradicted { why, .. } = trouble.what { Some(why) } else { None }
        });
        why.collect()
    }

    #[test]
    fn a_checkpoint_about_what_was_removed_by_rule_is_no_damage() {
        let scratch = Scratch::new("expired");
        write(scratch.folder(), 2).close().unwrap();
        let kept = [note(&scratch.segment())];
        let day = Stamp::now().day();
        recover::expire(&scratch.folder(), in_days(8), WEEK).unwrap();
        let report = verify::folder(&scratch.folder(), &kept, in_days(8)).unwrap();
        whole(&report);
        assert_eq!((report.borne_out, report.expired.len()), (0, 1));
        assert_eq!((report.expired[0].checkpoints, &report.expired[0].day), (1, &day));
        // It cannot have been, sooner; nor where more are kept.
        let report = verify::folder(&scratch.folder(), &kept, in_days(6)).unwrap();
        assert!(contradicted(&report)[0].contains("kept still"), "{report:?}");
        let folder = scratch.folder().keeping(WEEK * 2);
        let report = verify::folder(&folder, &kept, in_days(8)).unwrap();
        assert!(contradicted(&report)[0].contains("kept still"), "{report:?}");
    }

    #[test]
    fn a_checkpoint_about_what_somebody_took_away_is_damage_however_old_it_is() {
        let scratch = Scratch::new("taken");
        write(scratch.folder(), 2).close().unwrap();
        let (path, day) = (scratch.segment(), Stamp::now().day());
        let kept = [note(&path)];
        fs::remove_dir_all(scratch.0.join(&day)).unwrap();
        let report = verify::folder(&scratch.folder(), &kept, in_days(8)).unwrap();
        assert_eq!(contradicted(&report), ["covers records that are not here"]);
        // A log that was removed by rule, and was another.
        let other = Scratch::new("taken-other");
        write(other.folder(), 2).close().unwrap();
        recover::expire(&other.folder(), in_days(8), WEEK).unwrap();
        let report = verify::folder(&other.folder(), &kept, in_days(8)).unwrap();
        assert_eq!(contradicted(&report), ["covers records that are not here"]);
    }

    #[test]
    fn an_index_that_says_a_log_was_shorter_or_had_another_key_proves_no_removal() {
        let scratch = Scratch::new("shorter");
        write(scratch.folder(), 2).close().unwrap();
        let kept = [note(&scratch.segment())];
        let log = kept[0].origin.split('/').nth(1).unwrap().to_owned();
        // The same name in another folder, where it is another log: shorter, and of another key.
        for (records, words) in [(0, "more records"), (2, "another key")] {
            let other = Scratch::new(&format!("shorter-{records}"));
            write(other.folder(), records).close().unwrap();
            let own = other.segment().file_name().unwrap().to_str().unwrap().to_owned();
            let own = own.split('.').next().unwrap();
            let index = fs::read_to_string(other.index()).unwrap();
            fs::write(other.index(), forged(&index, own, &log)).unwrap();
            recover::expire(&other.folder(), in_days(8), WEEK).unwrap();
            let report = verify::folder(&other.folder(), &kept, in_days(8)).unwrap();
            assert!(contradicted(&report)[0].contains(words), "{report:?}");
        }
    }

    /// The lines of a chain with another name in them, each with the hash that belongs to it then.
    fn forged(text: &str, name: &str, other: &str) -> String {
        let mut prev: Option<String> = None;
        let mut all = String::new();
        for line in text.lines() {
            let was = Line::read(line.as_bytes()).unwrap();
            let prev_was = was.prev().to_string();
            let mut line = line.replace(name, other);
            if let Some(prev) = &prev {
                line = line.replace(&prev_was, prev);
            }
            let body = line.rsplit_once(",\"h\":\"").unwrap().0;
            let before = prev.as_deref().unwrap_or(&prev_was);
            let hash = Hash::of(Hash::parse(before).unwrap(), body.as_bytes()).to_string();
            all.push_str(&format!("{body},\"h\":\"{hash}\"}}\n"));
            prev = Some(hash);
        }
        all
    }

    #[test]
    fn of_a_log_that_goes_on_a_checkpoint_of_the_first_days_is_no_damage_and_of_the_last_is() {
        let scratch = Scratch::new("long");
        let measures = Measures { bytes: 2000, unsigned: 3, ..Measures::default() };
        let mut log = Log::begin(scratch.folder(), measures).unwrap();
        (0..40).for_each(|number| log.append(&record(number)).unwrap());
        log.close().unwrap();
        let places = read::places(&scratch.folder()).unwrap();
        let kept = [note(&scratch.0.join(places[0].path()))];
        // The last segment lies under a later day.
        let (last, later) = (places.last().unwrap(), in_days(7).day());
        fs::create_dir(scratch.0.join(&later)).unwrap();
        let name = Path::new(&last.path()).file_name().unwrap().to_owned();
        fs::rename(scratch.0.join(last.path()), scratch.0.join(&later).join(name)).unwrap();
        fs::remove_file(scratch.0.join(places[0].path())).unwrap();
        let report = verify::folder(&scratch.folder(), &kept, in_days(8)).unwrap();
        assert_eq!(contradicted(&report), ["covers records that are not here"]);
        recover::expire(&scratch.folder(), in_days(8), WEEK).unwrap();
        let report = verify::folder(&scratch.folder(), &kept, in_days(8)).unwrap();
        assert_eq!((contradicted(&report).len(), report.expired.len()), (0, 1), "{report:?}");
    }

    #[test]
    fn what_the_index_no_longer_knows_is_said_to_be_one_or_the_other() {
        let scratch = Scratch::new("forgotten");
        write(scratch.folder(), 2).close().unwrap();
        let kept = [note(&scratch.segment())];
        // The index goes on in a file of a later day.
        let first = scratch.index();
        fs::write(scratch.0.join(format!("index-{}.jsonl", in_days(2).day())), "").unwrap();
        recover::expire(&scratch.folder(), in_days(15), WEEK).unwrap();
        assert!(!first.exists());
        let report = verify::folder(&scratch.folder(), &kept, in_days(15)).unwrap();
        assert!(contradicted(&report)[0].contains("does not go back so far"), "{report:?}");
    }

    #[test]
    fn a_record_that_is_waited_for_is_on_the_disk_and_a_log_may_be_dropped_at_any_time() {
        let scratch = Scratch::new("writer");
        let path = scratch.0.clone();
        let writer = Writer::begin(move || Folder::at(&path)).unwrap();
        writer.ready().unwrap();
        let commit = writer.append(record(1), Durability::Grouped).unwrap();
        writer.append(record(2), Durability::Durable).unwrap().wait().unwrap();
        commit.wait().unwrap();
        writer.close().unwrap();
        let report = scratch.verify();
        whole(&report);
        assert_eq!(report.records, 6 + 2);
    }

    #[test]
    fn a_folder_that_cannot_be_had_is_told_at_the_first_record() {
        let writer = Writer::begin(|| Folder::at(Path::new("/proc/nowhere"))).unwrap();
        let refused: AuditError = writer.ready().unwrap_err();
        assert_eq!((refused.call, refused.errno), ("open", 2));
        assert!(writer.append(record(1), Durability::Grouped).is_err());
    }
}
