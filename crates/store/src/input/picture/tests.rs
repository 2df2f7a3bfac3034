//! Pictures of an encoder that others use, all 37 by 21 pixels, and what somebody made of them who wants to pass.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

const PICTURES: [(&str, &[u8]); 7] = [
    ("png", include_bytes!("tests/plain.png")),
    ("jpeg", include_bytes!("tests/plain.jpg")),
    ("jpeg, progressive, with metadata", include_bytes!("tests/progressive.jpg")),
    ("webp", include_bytes!("tests/lossy.webp")),
    ("webp, lossless", include_bytes!("tests/lossless.webp")),
    ("webp, with metadata", include_bytes!("tests/extended.webp")),
    ("gif of two frames", include_bytes!("tests/moving.gif")),
];

fn size(bytes: &[u8]) -> Option<(u64, u64)> {
    measure(Cursor::new(bytes)).expect("it is in memory").map(|size| (size.width, size.height))
}

/// Where `needle` begins in `bytes`.
fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).expect("it is there")
}

#[test]
fn e120_pictures_say_how_large_they_are() {
    for (kind, bytes) in PICTURES {
        assert_eq!(size(bytes), Some((37, 21)), "{kind}");
    }
}

#[test]
fn e120_what_ends_before_its_size_is_no_picture() {
    for (kind, bytes) in PICTURES {
        let known: Vec<_> = (0..bytes.len()).filter(|length| size(&bytes[..*length]).is_some()).collect();
        assert!(known.iter().all(|length| size(&bytes[..*length]) == Some((37, 21))), "{kind}");
        assert!(known.first().is_none_or(|least| *least >= 24), "{kind}: {known:?}");
    }
    let (_, moving) = PICTURES[6];
    // Only the last block may be missing.
    assert_eq!([size(&moving[..moving.len() - 1]), size(&moving[..moving.len() - 2])], [Some((37, 21)), None]);
}

#[test]
fn e120_what_is_something_else_is_no_picture() {
    let others: [&[u8]; 8] = [
        b"",
        b"\x89",
        b"%PDF-1.7 ....................",
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIDAT\0\0\0\x01\0\0\0\x01",
        b"\xFF\xD8\xFF\xD9\xFF\xC0\0\x0b\x08\0\x01\0\x01",
        b"RIFF\0\0\0\0WAVEfmt \0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"RIFF\0\0\0\0WEBPALPX\0\0\0\0\0\0\0\0\x01\0\0\x01\0\0",
        b"GIF89a\x01\0\x01\0\0\0\0\x3B",
    ];
    for bytes in others {
        assert_eq!(size(bytes), None, "{bytes:?}");
    }
    let (_, png) = PICTURES[0];
    let mut flat = png.to_vec();
    flat[16..20].fill(0);
    assert_eq!(size(&flat), None, "without a width");
}

#[test]
fn e120_a_jpeg_that_fills_up_its_markers_hides_no_size() {
    let (_, plain) = PICTURES[1];
    let frame = find(plain, b"\xFF\xC0");
    let mut padded = plain[..frame].to_vec();
    // Whoever takes the second byte for a marker reads a length, skips what is there, and finds another frame.
    padded.extend([0xFF; 5]);
    padded.extend(&plain[frame..]);
    padded.extend([0; 0xC000]);
    padded.extend(b"\xFF\xC0\0\x0b\x08\0\x01\0\x01");
    assert_eq!(size(&padded), Some((37, 21)));
    for (junk, what) in [(&b"\0"[..], "something between segments"), (b"\xFF\xE1\0\x01", "a length that is none")] {
        let spoiled = [&plain[..frame], junk, &plain[frame..]].concat();
        assert_eq!(size(&spoiled), None, "{what}");
    }
    let endless = [&b"\xFF\xD8"[..], &b"\xFF\xE1\0\x02".repeat(SEGMENTS_MAX), &plain[frame..]].concat();
    assert_eq!(size(&endless), None, "too many segments");
}

#[test]
fn e120_a_gif_is_as_large_as_its_largest_frame() {
    let (_, moving) = PICTURES[6];
    let mut small = moving.to_vec();
    small[6..10].copy_from_slice(&[1, 0, 1, 0]);
    assert_eq!(size(&small), Some((37, 21)), "whatever its beginning says");
}

#[test]
fn e120_limits_hold_for_each_measure_by_itself() {
    let (_, png) = PICTURES[0];
    let outcome = |width_max, height_max, pixels_max| {
        let limits = PictureLimits { width_max, height_max, pixels_max };
        limits.check(Cursor::new(png)).expect("it is in memory").map_err(|error| error.to_string())
    };
    assert!(outcome(Some(37), Some(21), Some(777)).is_ok() && outcome(None, None, None).is_ok());
    for (told, refused) in [
        (outcome(Some(36), None, None), "width of the picture is 37, more than 36"),
        (outcome(None, Some(20), None), "height of the picture is 21, more than 20"),
        (outcome(Some(37), Some(21), Some(776)), "number of pixels of the picture is 777, more than 776"),
    ] {
        let error = told.expect_err(refused);
        assert!(error.contains(refused), "{error}");
    }
    let huge = PictureSize { width: u64::MAX, height: 2 };
    assert!(PictureLimits { pixels_max: Some(u64::MAX - 1), ..PictureLimits::default() }.admit(huge).is_err());
}

proptest! {
    #[test]
    fn e120_no_bytes_are_too_strange(which in 0..PICTURES.len(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        tail in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut bytes = PICTURES[which].1.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(at.max(2));
        bytes.extend(tail);
        size(&bytes);
    }
}
