//! Bytes win over names.

use super::*;

#[test]
fn h9_12_the_first_bytes_tell_the_kind_then_the_extension_then_nothing() {
    for (head, name, kind) in [
        (&b"\x89PNG\r\n\x1a\n...."[..], "a.jpg", "image/png"),
        (b"\xff\xd8\xff\xe0", "a", "image/jpeg"),
        (b"GIF89a", "a.png", "image/gif"),
        (b"RIFF....WEBP", "a.bin", "image/webp"),
        (b"RIFF....WAVE", "a.WAV", "audio/wav"),
        (b"\x89PNG", "a/b.mp4", "video/mp4"),
        (b"", "a.tar.gz", BYTES),
        (b"", "no-extension", BYTES),
        (b"", "dir.png/file", BYTES),
    ] {
        assert_eq!(mime_type(head, name), kind, "{name}");
    }
}
