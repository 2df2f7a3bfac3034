use super::*;
use crate::{blobs::ReceiveError, metadata::MetadataError};

fn of_disk(kind: io::ErrorKind) -> ReceiveError {
    object_store::Error::Generic { store: "directory", source: io::Error::from(kind).into() }.into()
}

fn of_sqlite(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
}

#[test]
fn what_the_system_says_of_a_disk_is_found_below_other_errors() {
    for (kind, fault) in [
        (io::ErrorKind::StorageFull, Some(DiskFault::Full)),
        (io::ErrorKind::QuotaExceeded, Some(DiskFault::Full)),
        (io::ErrorKind::ReadOnlyFilesystem, Some(DiskFault::ReadOnly)),
        (io::ErrorKind::PermissionDenied, None),
    ] {
        assert_eq!(DiskFault::of(&of_disk(kind)), fault, "{kind:?}");
    }
    assert_eq!(DiskFault::of(&ReceiveError::Stall), None);
}

#[test]
fn what_sqlite_says_of_a_disk_is_found_also_where_several_are_told_of_it() {
    for (code, fault) in [
        (ffi::SQLITE_FULL, Some(DiskFault::Full)),
        (ffi::SQLITE_IOERR_SHMSIZE, Some(DiskFault::Full)),
        (ffi::SQLITE_READONLY_DBMOVED, Some(DiskFault::ReadOnly)),
        (ffi::SQLITE_IOERR_WRITE, None),
        (ffi::SQLITE_BUSY, None),
    ] {
        let unavailable = |source| MetadataError::Unavailable { operation: "write", source };
        assert_eq!(DiskFault::of(&unavailable(Box::new(of_sqlite(code)))), fault, "{code}");
        assert_eq!(DiskFault::of(&unavailable(Box::new(Arc::new(of_sqlite(code))))), fault, "{code}");
    }
    assert_eq!(DiskFault::of(&MetadataError::Closed), None);
}
