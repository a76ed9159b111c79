//! Bash and the tools of the system do a day's work under a shipped profile: pipes, here-documents,
//! jobs, traps, FIFOs, `find | xargs`, `sort`, `awk`, `sed`, archives and checksums.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

pub(crate) const CASE: Case = Case { rows: &["P22"], outside, by: By::Anybody, ..Case::NEW };

const WORK: &str = r#"set -eu
printf '%s\n' pear apple fig apple | sort | uniq -c | sort -k1rn -k2 | awk '{print $2":"$1}' > counted
cat > document <<EOF
home $HOME
EOF
tr a-z A-Z <<< 'here string' >> document
sed -i 's/^home /HOME /' document
(sleep 0.1; echo later > job) &
job=$!
{ echo out; echo err >&2; } > both 2>&1
diff <(seq 3) <(printf '1\n2\n3\n')
wait "$job"
mkdir -p deep/a/b
for number in $(seq 200); do echo "$number" > "deep/a/b/f $number.txt"; done
find deep -name '*.txt' -print0 | xargs -0 -P 4 -n 20 grep -l 7 | wc -l > sevens
find deep -type f -exec cat {} + | awk '{sum += $1} END {print sum}' > sum
mkdir unpacked
tar czf all.tgz deep
tar xzf all.tgz -C unpacked
diff -r deep unpacked/deep
cp -a deep copied
mv copied moved
touch -d 2020-01-01 moved
stat -c %y moved | cut -c1-10 > when
mkfifo pipe
(echo through > pipe) &
read -r word < pipe
echo "$word" > fifo
rm pipe
timeout 0.1 sleep 5 || echo "$?" > timed
sh -c 'kill -TERM $$' || echo "$?" > killed
dd if=/dev/zero of=block bs=4k count=4 status=none
split -b 4k block part.
sha256sum part.* > sums
sha256sum -c --quiet sums
chmod 640 block
yes | head -c 100000 | gzip | gunzip | wc -c > bytes
coproc cat
echo back >&"${COPROC[1]}"
read -r answer <&"${COPROC[0]}"
echo "$answer" > coprocess
trap 'echo trapped > trapped' EXIT
"#;

/// What each file then holds.
const MADE: &[(&str, &str)] = &[
    ("counted", "apple:2\nfig:1\npear:1\n"),
    ("document", "HOME /home/agent\nHERE STRING\n"),
    ("job", "later\n"),
    ("both", "out\nerr\n"),
    ("sevens", "38\n"),
    ("sum", "20100\n"),
    ("when", "2020-01-01\n"),
    ("fifo", "through\n"),
    ("timed", "124\n"),
    ("killed", "143\n"),
    ("bytes", "100000\n"),
    ("coprocess", "back\n"),
    ("trapped", "trapped\n"),
];

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/work.sh", WORK)?;
    let run = outside
        .bare()
        .option("--profile=builtin:coding-agent")
        .cwd(&ws)
        .command(&["bash", "work.sh"])
        .run()?;
    run.exited(0)?;
    for (name, wanted) in MADE {
        let path = ws.join(name);
        let text = fs::read_to_string(&path).context(*name)?;
        ensure!(text == *wanted, "{name} holds {text:?}, not {wanted:?}");
        let owner = fs::symlink_metadata(&path)?.uid();
        ensure!(owner == outside.owner().0, "{name} belongs to {owner}");
    }
    Ok(())
}
