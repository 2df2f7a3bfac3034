//! Disks that fail while a file comes: images of disks, mounted in a world of their own. Only the real root may do that.

use std::{fs, process::Command, sync::Arc};

use gen_worker_hub::Blake3Hash;
use tokio::sync::Notify;

use crate::{
    child::{Child, ORDER, order},
    pool::{Place, bytes},
    server::Answer,
};

/// Where the test says that the next step may begin.
const GO: &str = "go";

/// What is said when it has.
const BAD: &str = "the disk is bad";

/// What is said when the file has come all the same.
const CAME: &str = "the file has come";

/// Bytes of the file that are on the disk when it goes bad.
const BEFORE: usize = 8 << 20;

/// Whether this user may have disks that are images. Where the kernel gives none there is nothing to test.
fn may_mount_images() -> bool {
    let found = Command::new("unshare").args(["--mount", "losetup", "--find"]).output();
    let may = found.as_ref().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("not tested: the kernel lets this user mount no image of a disk ({found:?})");
    }
    may
}

/// A child on a disk of its own, which `damage` makes bad in the middle and `repair` good again afterwards. Then a child goes on
/// with what the kernel has of the disk, and a last one looks at what the disk has itself. The scripts run where the image is. It is a
/// disk for as long as somebody has it open or mounted.
fn script(order: &str, on_errors: &str, damage: &str, repair: &str) -> String {
    format!(
        r#"at="$PWD"; mkfifo {GO}; exec 3<>{GO}; mkdir world; mount -t tmpfs -o size=128m tmpfs world; cd world
        truncate -s 192m image
        mkfs.ext4 -q -m 0 -O ^has_journal,^metadata_csum,^uninit_bg -E lazy_itable_init=0,nodiscard image
        disk=$(losetup --find --show image)
        exec 4<"$disk"; losetup --detach "$disk"
        mount -o {on_errors} "$disk" "$at"
        cat > "$at/{ORDER}" <<'ORDER'
{order}
ORDER
        (cd "$at"; exec "$@") & child=$!
        read -r _ <&3; sync -f "$at"
        {damage}
        printf '\n{BAD}\n'
        wait $child
        {repair}
        (cd "$at"; "$@")
        printf '\n{CAME}\n'; read -r _ <&3
        umount "$at"; mount "$disk" "$at"
        (cd "$at"; "$@")"#
    )
}

/// Fetches a file of so many bytes on a disk that goes bad in the middle. How the three children ended.
async fn ends_on_a_bad_disk(len: usize, on_errors: &str, damage: &str, repair: &str) -> Vec<String> {
    let (place, go) = (Place::new().await, Arc::new(Notify::new()));
    let content = bytes(1 << 20).repeat(len >> 20);
    let tree = place.one(&content);
    order(place.dir.path(), &[&tree]);
    place.server.script(&Blake3Hash::of(&content).to_string(), [Answer::Halt(BEFORE, Arc::clone(&go))]);
    let order = fs::read_to_string(place.dir.path().join(ORDER)).unwrap();
    let mut child = Child::start_with_images(&script(&order, on_errors, damage, repair), &place);
    let next = || fs::write(place.dir.path().join(GO), "\n").unwrap();
    child.reached(BEFORE as u64).await;
    next();
    child.heard(BAD).await;
    go.notify_one();
    let mut ends = child.heard(CAME).await;
    assert_eq!(place.server.seen().len(), 2, "what was left was not the file");
    next();
    ends.extend(child.ended().await);
    assert_eq!(place.server.seen().len(), 2, "the file is on the disk");
    ends
}

#[tokio::test]
async fn m6_8_what_a_disk_has_not_written_is_not_taken_for_good_later() {
    if !may_mount_images() {
        return;
    }
    // Beneath the disk there is no space any more: it takes what is written to it, and says only later that it has lost it. So
    // large a file is synced while it comes.
    let (damage, repair) = ("cat /dev/zero > filler || true", "rm filler");
    let ends = ends_on_a_bad_disk(72 << 20, "errors=continue", damage, repair).await;
    assert_eq!(ends, ["insufficient_disk", "ok", "ok"]);
}

#[tokio::test]
async fn m6_8_a_disk_that_becomes_read_only_in_the_middle_is_an_error_and_nothing_hangs() {
    if !may_mount_images() {
        return;
    }
    let damage = r#"echo 1 > "/sys/fs/ext4/${disk#/dev/}/trigger_fs_error""#;
    let repair = r#"umount "$at"; mount "$disk" "$at""#;
    let ends = ends_on_a_bad_disk(24 << 20, "errors=remount-ro", damage, repair).await;
    assert_eq!(ends, ["download_failed", "ok", "ok"]);
}
