//! What Linux tells under `/proc` and `/sys/fs/cgroup`.

use std::path::Path;
use std::time::Duration;

use procfs::process::{LimitValue, ProcState, Process, Stat};
use procfs::{Current, CurrentSI, KernelStats, LoadAverage, Meminfo, Uptime};

use super::cgroup::{self, Cgroup};
use super::{CpuUse, Observation, PageFaults, Resident, Threads, available_processors};

pub(super) fn observe() -> Observation {
    let process = Process::myself().ok();
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    let kernel = KernelStats::current().ok();
    let uptime = Uptime::current().ok();
    let cgroup = std::fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| Cgroup::find(Path::new("/sys/fs/cgroup"), &text));
    let cgroup = cgroup.as_ref();
    let quota = cgroup.and_then(Cgroup::processors);
    let processors = match (quota, available_processors()) {
        (Some(quota), Some(all)) => Some(quota.min(all)),
        (quota, all) => quota.or(all),
    };
    let memory = Meminfo::current().ok().map(|memory| memory.mem_total);
    let limit = cgroup.and_then(Cgroup::memory_limit);
    let age = stat.as_ref().map(|stat| of_ticks(stat.starttime));
    Observation {
        cpu: CpuUse {
            machine: kernel.as_ref().map(machine_ticks),
            process: stat.as_ref().map(|stat| (of_ticks(stat.utime), of_ticks(stat.stime))),
        },
        processors,
        load: LoadAverage::current().ok().map(|load| hundredths(load.one)),
        uptime: uptime.zip(age).map(|(uptime, age)| uptime.uptime_duration().saturating_sub(age)),
        started: kernel
            .zip(age)
            .map(|(kernel, age)| (Duration::from_secs(kernel.btime) + age).as_secs_f64()),
        files_open: process.as_ref().and_then(|process| process.fd_count().ok()),
        files_max: process.as_ref().and_then(files_max),
        resident: process.as_ref().and_then(resident),
        memory_limit: match (limit, memory) {
            (Some(limit), Some(memory)) => Some(limit.min(memory)),
            (limit, memory) => limit.or(memory),
        },
        pressure: cgroup
            .and_then(Cgroup::pressure)
            .or_else(|| cgroup::pressure(&std::fs::read_to_string("/proc/pressure/memory").ok()?)),
        oom_kills: cgroup.and_then(Cgroup::oom_kills),
        threads: process.as_ref().and_then(threads),
        page_faults: stat.as_ref().map(page_faults),
        listen_overflows: std::fs::read_to_string("/proc/net/netstat")
            .ok()
            .and_then(|text| listen_overflows(&text)),
    }
}

/// The kernel gives two decimals; the rest came from the conversion.
fn hundredths(load: f32) -> f64 {
    (f64::from(load) * 100.0).round() / 100.0
}

/// Busy ticks and all ticks of all processors.
fn machine_ticks(kernel: &KernelStats) -> (u64, u64) {
    let time = &kernel.total;
    let idle = time.idle + time.iowait.unwrap_or(0);
    let busy = time.user
        + time.nice
        + time.system
        + time.irq.unwrap_or(0)
        + time.softirq.unwrap_or(0)
        + time.steal.unwrap_or(0);
    (busy, busy + idle)
}

fn of_ticks(ticks: u64) -> Duration {
    let per_second = procfs::ticks_per_second().max(1);
    Duration::from_secs(ticks / per_second)
        + Duration::from_nanos(ticks % per_second * (1_000_000_000 / per_second))
}

fn files_max(process: &Process) -> Option<u64> {
    match process.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(limit),
        LimitValue::Unlimited => None,
    }
}

fn resident(process: &Process) -> Option<Resident> {
    let status = process.status().ok()?;
    Some(Resident {
        anonymous: status.rssanon? * 1024,
        file: status.rssfile? * 1024,
        shared: status.rssshmem? * 1024,
    })
}

fn threads(process: &Process) -> Option<Threads> {
    let mut threads = Threads::default();
    // A thread may end between being listed and being read.
    for task in process.tasks().ok()?.flatten() {
        let Ok(stat) = task.stat() else { continue };
        match stat.state() {
            Ok(ProcState::Running | ProcState::Waking) => threads.running += 1,
            Ok(ProcState::Waiting) => threads.blocked += 1,
            Ok(ProcState::Stopped | ProcState::Tracing) => threads.stopped += 1,
            Ok(ProcState::Zombie | ProcState::Dead) => threads.zombie += 1,
            _ => threads.sleeping += 1,
        }
        if let Ok(status) = task.status()
            && let Some(voluntary) = status.voluntary_ctxt_switches
            && let Some(involuntary) = status.nonvoluntary_ctxt_switches
        {
            threads.switches.push((task.tid, voluntary, involuntary));
        }
    }
    Some(threads)
}

fn page_faults(stat: &Stat) -> PageFaults {
    PageFaults { minor: stat.minflt, major: stat.majflt }
}

/// `ListenOverflows` of the `TcpExt` lines: one with names, one with values.
fn listen_overflows(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let index = lines.next()?.split(' ').position(|name| name == "ListenOverflows")?;
    lines.next()?.split(' ').nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflows_are_found_by_name() {
        for (text, expected) in [
            ("TcpExt: A ListenOverflows B\nTcpExt: 1 22 3\nIpExt: X\nIpExt: 1\n", Some(22)),
            ("IpExt: ListenOverflows\nIpExt: 1\n", None),
            ("TcpExt: A ListenOverflows\nTcpExt: 1\n", None),
            ("TcpExt: ListenOverflows\n", None),
            ("", None),
        ] {
            assert_eq!(listen_overflows(text), expected);
        }
    }
}
