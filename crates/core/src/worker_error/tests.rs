use super::*;

#[test]
fn e110_each_constructor_fixes_class_kind_and_text() {
    let io = std::io::Error::other("disk on fire\nsecond line");
    let cases = [
        (WorkerError::validation("bad"), FailureClass::Invalid, "ValidationError", "bad"),
        (WorkerError::validation("  "), FailureClass::Invalid, "ValidationError", "invalid input"),
        (
            WorkerError::decode("$.a", "Expected `str`"),
            FailureClass::Invalid,
            "ValidationError",
            "Expected `str` - at `$.a`",
        ),
        (WorkerError::decode("$", "Expected `object`"), FailureClass::Invalid, "ValidationError", "Expected `object`"),
        (WorkerError::retryable("later"), FailureClass::Retryable, "RetryableError", "later"),
        (WorkerError::canceled(), FailureClass::Canceled, "CanceledError", "canceled"),
        (WorkerError::fatal("Boom", "one\ntwo"), FailureClass::Fatal, "Boom", "Boom: one"),
        (WorkerError::fatal("Boom", ""), FailureClass::Fatal, "Boom", "Boom"),
        (WorkerError::auth("no"), FailureClass::Fatal, "AuthError", "AuthError: no"),
        (WorkerError::resource("no disk"), FailureClass::Fatal, "ResourceError", "ResourceError: no disk"),
        (WorkerError::out_of_memory(), FailureClass::Retryable, "OutOfMemoryError", "out of memory"),
        (WorkerError::deadline_exceeded(), FailureClass::Fatal, "DeadlineExceededError", "deadline exceeded"),
        (WorkerError::panicked("at the disco"), FailureClass::Fatal, "Panic", "Panic: at the disco"),
        (
            WorkerError::input_too_large(3, 2, "photo"),
            FailureClass::Invalid,
            "InputTooLargeError",
            "input photo has 3 bytes, more than 2",
        ),
        (
            WorkerError::ref_incompatible("a/b", CompatibilityAxis::Shape),
            FailureClass::Invalid,
            "RefCompatibilitySurprise",
            "model a/b does not fit this endpoint: shape",
        ),
        (
            WorkerError::transfer("hub", "download", true, Some(503), "refused"),
            FailureClass::Retryable,
            "ArtifactTransferError",
            "refused (provider hub, phase download, status 503)",
        ),
        (
            WorkerError::transfer("hub", "download", false, None, "refused"),
            FailureClass::Fatal,
            "ArtifactTransferError",
            "ArtifactTransferError: refused (provider hub, phase download)",
        ),
        (Err::<(), _>(io).fatal().unwrap_err(), FailureClass::Fatal, "io::Error", "io::Error: disk on fire"),
    ];
    for (error, class, kind, text) in cases {
        assert_eq!((error.class(), error.kind(), error.client_message().as_str()), (class, kind, text));
    }
}

#[test]
fn e110_fatal_text_is_cut_at_512_characters() {
    let text = WorkerError::fatal("T", "ä".repeat(600)).client_message();
    assert_eq!(text.chars().count(), 512);
}

#[test]
fn e110_the_cause_stays_reachable_and_out_of_the_text() {
    let error = Err::<(), _>("x".parse::<i32>().unwrap_err()).invalid().unwrap_err();
    assert!(error.source().is_some_and(|cause| cause.is::<std::num::ParseIntError>()));
    assert_eq!(error.class(), FailureClass::Invalid);
    let shared = error.clone();
    assert!(
        shared.with_source(std::io::Error::other("other")).source().is_some_and(|cause| cause.is::<std::io::Error>())
    );
    assert!(error.source().is_some_and(|cause| cause.is::<std::num::ParseIntError>()));
}

#[test]
fn models_that_cannot_be_had_are_retryable_and_named() {
    let error = WorkerError::model_unavailable("a/b", ModelError::Unknown("a/b".into()));
    assert_eq!(error.class(), FailureClass::Retryable);
    assert_eq!(error.unavailable_model(), Some("a/b"));
}
