//! Frames survive the way, however they are cut; what is no frame is refused with one error and without a panic.
use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn ended() -> impl Strategy<Value = Ended> {
    let failure = (any::<u32>(), text(), text(), prop::option::of(text()))
        .prop_map(|(class, kind, message, about)| Failure { class, kind, message, about });
    let measures = prop::array::uniform5(any::<u64>()).prop_map(
        |[peak_ram_bytes, peak_vram_bytes, ram_bytes, setup_us, warmup_us]| Measures {
            peak_ram_bytes,
            peak_vram_bytes,
            ram_bytes,
            setup_us,
            warmup_us,
        },
    );
    (prop::option::of(failure), prop::option::of(bytes()), prop::option::of(measures))
        .prop_map(|(failure, output, measures)| Ended { failure, output, measures })
}

fn start() -> impl Strategy<Value = Start> {
    let overlay = (text(), text(), -4.0..4.0, text()).prop_map(|(slot, reference, weight, id)| {
        let file = Bytes::from(id.clone().into_bytes());
        Overlay { slot, reference, weight, id, file }
    });
    let models = prop::collection::btree_map(text(), text(), 0..4);
    let first = (text(), text(), any::<i64>(), text(), text(), models);
    let second = (prop::collection::vec(overlay, 0..4), prop::option::of(any::<u64>()), any::<bool>());
    let paths = (prop::option::of(bytes()), prop::option::of(bytes()));
    let third = (prop::option::of(any::<u32>()), any::<u64>(), any::<bool>(), bytes(), paths);
    (first, second, third).prop_map(|(first, second, third)| {
        let (function, request_id, attempt, tenant, invoker_id, models) = first;
        let (overlays, remaining_ms, inline) = second;
        let (cuda, summary_bytes_max, local, payload, (scratch, source)) = third;
        Start {
            function,
            request_id,
            attempt,
            tenant,
            invoker_id,
            models,
            overlays,
            remaining_ms,
            inline,
            cuda,
            summary_bytes_max,
            local,
            payload,
            scratch,
            source,
        }
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    let model = (text(), bytes()).prop_map(|(reference, dir)| Model { reference, dir });
    prop_oneof![
        (text(), prop::collection::vec(model, 0..3), prop::option::of(any::<u32>()))
            .prop_map(|(function, models, cuda)| Frame::SetUp(SetUp { function, models, cuda })),
        start().prop_map(Frame::Start),
        Just(Frame::Cancel(Empty {})),
        Just(Frame::Ping(Empty {})),
        Just(Frame::Shutdown(Empty {})),
        any::<u32>().prop_map(|protocol| Frame::Hello(Hello { protocol })),
        ended().prop_map(Frame::SetUpDone),
        (text(), bytes()).prop_map(|(content_type, data)| Frame::Chunk(Chunk { content_type, data })),
        (text(), text(), 0.0..2e9).prop_map(|(kind, payload, timestamp)| Frame::Event(Event {
            kind,
            payload,
            timestamp
        })),
        ended().prop_map(Frame::Returned),
        Just(Frame::Pong(Empty {})),
    ]
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        frames in prop::collection::vec(frame(), 1..6),
        cut in 1_usize..64,
    ) {
        let mut sent = BytesMut::new();
        for frame in &frames {
            encode(frame.clone(), &mut sent).expect("it is small");
        }
        let (mut buffer, mut received) = (BytesMut::new(), Vec::new());
        for piece in sent.chunks(cut) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = decode(&mut buffer).expect("frames") {
                received.push(frame);
            }
        }
        prop_assert_eq!(received, frames);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn a_truncated_frame_is_waited_for(frame in frame(), keep in 0.0_f64..1.0) {
        let mut sent = BytesMut::new();
        encode(frame, &mut sent).expect("it is small");
        sent.truncate((sent.len() as f64 * keep) as usize);
        let before = sent.clone();
        prop_assert_eq!(decode(&mut sent), Ok(None));
        prop_assert_eq!(sent, before);
    }

    #[test]
    fn garbage_is_refused_or_waited_for_and_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(garbage.as_slice());
        while let Ok(Some(_)) = decode(&mut buffer) {}
    }

    #[test]
    fn a_garbled_body_is_refused_and_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::new();
        buffer.put_u32_le(u32::try_from(body.len()).expect("short"));
        buffer.extend_from_slice(&body);
        prop_assert!(!matches!(decode(&mut buffer), Ok(None)), "a whole frame is there");
    }
}

#[test]
fn an_oversized_length_is_refused_before_anything_is_kept_for_it() {
    let mut buffer = BytesMut::new();
    buffer.put_u32_le(u32::try_from(FRAME_BYTES_MAX + 1).expect("fits"));
    assert_eq!(decode(&mut buffer), Err(FrameError::TooLarge(FRAME_BYTES_MAX + 1)));
    let mut buffer = BytesMut::from([0xff; 8].as_slice());
    assert_eq!(decode(&mut buffer), Err(FrameError::TooLarge(u32::MAX as usize)));
}

#[test]
fn an_oversized_frame_is_not_sent() {
    let data = Bytes::from(vec![0; FRAME_BYTES_MAX]);
    let mut buffer = BytesMut::new();
    let refused = encode(Frame::Chunk(Chunk { content_type: String::new(), data }), &mut buffer);
    assert!(matches!(refused, Err(FrameError::TooLarge(_))));
    assert!(buffer.is_empty());
}

#[test]
fn a_payload_as_large_as_a_message_fits() {
    let payload = Bytes::from(vec![7; MESSAGE_BYTES_MAX]);
    let mut buffer = BytesMut::new();
    encode(Frame::Start(Start { payload, ..Start::default() }), &mut buffer).expect("it fits");
    assert!(matches!(decode(&mut buffer), Ok(Some(Frame::Start(start))) if start.payload.len() == MESSAGE_BYTES_MAX));
}

#[test]
fn a_frame_of_another_version_is_named_as_such() {
    // Field 99, empty.
    let mut buffer = BytesMut::from([3, 0, 0, 0, 0x9a, 0x06, 0x00].as_slice());
    assert_eq!(decode(&mut buffer), Err(FrameError::Unknown));
    let mut empty = BytesMut::from([0, 0, 0, 0].as_slice());
    assert_eq!(decode(&mut empty), Err(FrameError::Unknown));
}
