use super::*;

#[test]
fn e110_each_constructor_fixes_class_kind_and_text() {
    let io = io::Error::other("disk on fire\nsecond line");
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
    assert!(shared.with_source(io::Error::other("other")).source().is_some_and(|cause| cause.is::<io::Error>()));
    assert!(error.source().is_some_and(|cause| cause.is::<std::num::ParseIntError>()));
}

#[test]
fn models_that_cannot_be_had_are_retryable_and_named() {
    let error = WorkerError::model_unavailable("a/b", ModelError::Unknown("a/b".into()));
    assert_eq!(error.class(), FailureClass::Retryable);
    assert_eq!(error.unavailable_model(), Some("a/b"));
}

#[test]
fn m9_13_m6_26_out_of_memory_is_known_by_its_kind_and_by_what_it_or_its_cause_says() {
    let driver = WorkerError::fatal("DriverError", "CUDA_ERROR_OUT_OF_MEMORY (2)");
    let cause =
        WorkerError::fatal("LoadError", "the weights cannot be loaded").with_source(io::Error::other("out of memory"));
    let system = WorkerError::fatal("LoadError", "no").with_source(io::Error::from(ErrorKind::OutOfMemory));
    for error in [WorkerError::out_of_memory(), driver, cause, system, WorkerError::panicked("device out of memory")] {
        assert!(error.is_out_of_memory() && !error.may_be_damage(), "{error:?}");
    }
    let other = WorkerError::fatal("LoadError", "no such layer");
    assert!(!other.is_out_of_memory() && other.may_be_damage());
}

#[test]
fn m11_1_who_named_a_model_that_may_run_code_hears_which_file_it_is() {
    let file: gen_worker_hub::RepoPath = "unet/model.ckpt".parse().expect("a path");
    let source = FormatError::Unsafe { file };
    let error =
        WorkerError::model_unavailable("o/r", ModelError::Refused { reference: "o/r".into(), source: source.into() });
    assert_eq!(error.class(), FailureClass::Fatal);
    let told = error.client_message();
    assert!(told.contains("o/r") && told.contains("unet/model.ckpt"), "{told}");
}
