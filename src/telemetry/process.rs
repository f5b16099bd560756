//! The conventional `process_*` metrics, read from `/proc` (proc(5)); whatever cannot be read is left out.

use std::fs;

/// Units of CPU time in `/proc/self/stat`: `USER_HZ`, 100 on every Linux architecture that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the operating system says about this process.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Process {
    /// User and system time, seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// Resident memory, bytes.
    pub(super) resident: Option<f64>,
    /// Virtual memory, bytes.
    pub(super) virtual_memory: Option<f64>,
    /// Open file descriptors.
    pub(super) open_fds: Option<f64>,
    /// Soft limit of open file descriptors.
    pub(super) max_fds: Option<f64>,
    /// Unix time in seconds.
    pub(super) start_time: Option<f64>,
}

impl Process {
    /// Reads all of it now.
    pub(super) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            cpu_seconds: field(&stat, 14)
                .zip(field(&stat, 15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            resident: kilobytes(&status, "VmRSS:"),
            virtual_memory: kilobytes(&status, "VmSize:"),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as f64),
            max_fds: line(&limits, "Max open files").and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
            start_time: line(&machine, "btime")
                .and_then(|rest| rest.trim().parse::<f64>().ok())
                .zip(field(&stat, 22))
                .map(|(boot, ticks)| boot + ticks / TICKS_PER_SECOND),
        }
    }
}

/// A field of `/proc/self/stat`, counted from 1; the second one may hold spaces and ends with the last parenthesis.
fn field(stat: &str, number: usize) -> Option<f64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number - 3)?.parse().ok()
}

fn line<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(start))
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let value: f64 = line(status, name)?.split_whitespace().next()?.parse().ok()?;
    Some(value * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_very_process() {
        let process = Process::read();
        assert!(process.resident.is_some_and(|bytes| bytes > 100_000.0), "{process:?}");
        assert!(process.open_fds.is_some_and(|count| count >= 3.0), "{process:?}");
        assert!(process.start_time.is_some_and(|time| time > 1.7e9), "{process:?}");
        assert!(process.cpu_seconds.is_some() && process.max_fds.is_some(), "{process:?}");
    }
}
