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
    modified_ns: u128,
    changed_ns: u128,
}

impl FileStamp {
    /// The stamp of a file.
    pub fn of(metadata: &Metadata) -> FileStamp {
        let modified_ns = since_epoch(metadata.modified().ok());
        #[cfg(unix)]
        let (device, inode, changed_ns) = {
            use std::os::unix::fs::MetadataExt;
            let changed = metadata.ctime().max(0) as u128 * 1_000_000_000 + metadata.ctime_nsec().max(0) as u128;
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

    /// Whether the stamp of a file that this process just wrote can be trusted: its time has a fine grain and has passed.
    pub fn is_settled_by_us(&self, now: SystemTime) -> bool {
        let (latest, now_ns) = (self.modified_ns.max(self.changed_ns), since_epoch(Some(now)));
        let fine = !latest.is_multiple_of(1_000_000_000);
        self.is_settled(now) || (fine && now_ns > latest + OWN_RACY.as_nanos())
    }

    /// Whether the stamp was old enough at `now` that a later change must show in it.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let latest = self.modified_ns.max(self.changed_ns);
        since_epoch(Some(now)) > latest + RACY.as_nanos()
    }
}

/// As [`RACY`], for files that we wrote ourselves: they change again only by other hands, and those need longer.
const OWN_RACY: Duration = Duration::from_millis(10);

fn since_epoch(time: Option<SystemTime>) -> u128 {
    time.and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos())
}
