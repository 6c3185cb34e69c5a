//! Limits of the control group (version 2) this process runs in.

use std::path::{Path, PathBuf};

use super::Pressure;

/// A control group and those above it that can be seen from here: a limit on
/// any of them holds.
pub(super) struct Cgroup {
    /// From the group itself upwards.
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// The group that `/proc/self/cgroup` names, under the mounted `root`.
    pub(super) fn find(root: &Path, proc_self_cgroup: &str) -> Option<Self> {
        let path = proc_self_cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let folders = root
            .join(path)
            .ancestors()
            .take_while(|folder| folder.starts_with(root))
            .map(Path::to_owned)
            .collect();
        Some(Self { folders })
    }

    /// The smallest `memory.max`, in bytes.
    pub(super) fn memory_limit(&self) -> Option<u64> {
        self.each("memory.max").filter_map(|text| text.trim().parse().ok()).min()
    }

    /// The smallest processor quota, in processors.
    pub(super) fn processors(&self) -> Option<f64> {
        self.each("cpu.max").filter_map(|text| quota(&text)).reduce(f64::min)
    }

    /// How many processes were killed for want of memory.
    pub(super) fn oom_kills(&self) -> Option<u64> {
        let events = self.own("memory.events")?;
        events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "))
            .and_then(|count| count.trim().parse().ok())
    }

    /// How long tasks of the group waited for memory.
    pub(super) fn pressure(&self) -> Option<Pressure> {
        pressure(&self.own("memory.pressure")?)
    }

    fn own(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.folders.first()?.join(file)).ok()
    }

    fn each(&self, file: &str) -> impl Iterator<Item = String> {
        self.folders
            .iter()
            .filter_map(move |folder| std::fs::read_to_string(folder.join(file)).ok())
    }
}

/// `<quota> <period>` in processors; `max` is no quota.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0.0).then_some(quota / period)
}

/// The first line of a pressure file, as shares of one.
pub(super) fn pressure(text: &str) -> Option<Pressure> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = |name: &str| {
        let percent: f64 = line
            .split(' ')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?
            .parse()
            .ok()?;
        Some(percent / 100.0)
    };
    Some(Pressure { avg10: average("avg10")?, avg60: average("avg60")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_tightest_limit_on_the_way_up_holds() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "a/b/memory.max", "max\n");
        write(root, "a/memory.max", "1048576\n");
        write(root, "memory.max", "2097152\n");
        write(root, "a/b/cpu.max", "150000 100000\n");
        write(root, "a/cpu.max", "max 100000\n");
        write(root, "a/b/memory.events", "low 0\noom 3\noom_kill 2\n");
        write(
            root,
            "a/b/memory.pressure",
            "some avg10=12.50 avg60=1.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00\n",
        );
        let cgroup = Cgroup::find(root, "3:cpuset:/x\n0::/a/b\n").unwrap();
        assert_eq!(cgroup.memory_limit(), Some(1_048_576));
        assert_eq!(cgroup.processors(), Some(1.5));
        assert_eq!(cgroup.oom_kills(), Some(2));
        let pressure = cgroup.pressure().unwrap();
        assert_eq!((pressure.avg10, pressure.avg60), (0.125, 0.01));
    }

    #[test]
    fn without_a_group_there_is_no_limit() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Cgroup::find(folder.path(), "1:cpu:/x\n").is_none());
        let bare = Cgroup::find(folder.path(), "0::/\n").unwrap();
        assert_eq!(bare.memory_limit(), None);
        assert_eq!(bare.processors(), None);
        assert_eq!(bare.oom_kills(), None);
        assert_eq!(bare.pressure(), None);
    }

    #[test]
    fn broken_files_are_no_numbers() {
        for text in ["", "max 100000", "1", "1 0", "a b"] {
            assert_eq!(quota(text), None, "{text}");
        }
        for text in ["", "full avg10=1.00", "some avg10=x avg60=1", "some avg10=1.00"] {
            assert_eq!(pressure(text), None, "{text}");
        }
    }
}
