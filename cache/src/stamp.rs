//! File stamps: what the file system says about a file without reading it.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file changed less than this before it was looked at may change again without a new time stamp.
const RACY: Duration = Duration::from_secs(2);

/// Identity, size and times of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: u64,
    changed_ns: u64,
}

impl FileStamp {
    /// The stamp of a file.
    pub fn of(metadata: &Metadata) -> FileStamp {
        let modified_ns = since_epoch(metadata.modified().ok());
        #[cfg(unix)]
        let (device, inode, changed_ns) = {
            use std::os::unix::fs::MetadataExt;
            let changed = metadata.ctime().max(0) as u64 * 1_000_000_000 + metadata.ctime_nsec().max(0) as u64;
            (metadata.dev(), metadata.ino(), changed)
        };
        #[cfg(not(unix))]
        let (device, inode, changed_ns) = (0, 0, since_epoch(metadata.created().ok()));
        FileStamp { device, inode, size: metadata.len(), modified_ns, changed_ns }
    }

    /// Whether both are of one file or folder, changed or not.
    pub fn same_file(&self, other: &FileStamp) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// As [`FileStamp::is_settled`], but the file system's clock is trusted to be as fine as its times look: a file that changed a few
    /// ticks before `now` and again after it has another stamp then.
    pub fn is_settled_finely(&self, now: SystemTime) -> bool {
        let (latest, now_ns) = (self.modified_ns.max(self.changed_ns), since_epoch(Some(now)));
        let fine = !latest.is_multiple_of(1_000_000_000);
        self.is_settled(now) || (fine && now_ns > latest.saturating_add(TICKS.as_nanos() as u64))
    }

    /// Whether a change after `now` must show in the stamp: its times are further from `now` than the clock's grain. Times in the future
    /// (a clock that was put back, a file from elsewhere) are as good as old ones: what is written now gets other ones.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let now = since_epoch(Some(now));
        [self.modified_ns, self.changed_ns].iter().all(|at| now.abs_diff(*at) > RACY.as_nanos() as u64)
    }
}

/// As [`RACY`], where times are fine: two ticks of the slowest clock that systems stamp files with.
const TICKS: Duration = Duration::from_millis(20);

/// Nanoseconds since 1970; they fit until 2554.
fn since_epoch(time: Option<SystemTime>) -> u64 {
    time.and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}
