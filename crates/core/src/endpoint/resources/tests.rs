use super::*;

#[test]
fn e30_memory_or_capability_asks_for_a_gpu() {
    let plain = ResourcesDecl::default().check().expect("nothing to refuse");
    assert!(!plain.gpu());
    for decl in [
        ResourcesDecl { vram_gb: Some(24.0), ..ResourcesDecl::default() },
        ResourcesDecl { compute_capability: Some(8.9), ..ResourcesDecl::default() },
        ResourcesDecl { gpu: true, ..ResourcesDecl::default() },
    ] {
        assert!(decl.check().expect("a good declaration").gpu());
    }
}

#[test]
fn e30_libraries_are_trimmed_and_blanks_dropped() {
    let libraries = vec![" cuda ".to_owned(), "  ".to_owned()];
    let resources = ResourcesDecl { libraries, ..ResourcesDecl::default() }.check().expect("a good declaration");
    assert_eq!(resources.libraries(), ["cuda"]);
}

#[test]
fn e30_sizes_must_be_positive_and_all_errors_come_at_once() {
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let decl = ResourcesDecl { vram_gb: Some(bad), compute_capability: Some(bad), ..ResourcesDecl::default() };
        assert_eq!(decl.check().expect_err("a refusal").len(), 2);
    }
}

#[test]
fn e32_a_concurrency_limit_is_a_positive_integer() {
    let limited = |limit| ResourcesDecl { max_concurrency: Some(limit), ..ResourcesDecl::default() }.check();
    assert_eq!(limited(3).expect("a limit").max_concurrency(), NonZeroU32::new(3));
    for bad in [0, -1, i64::MAX] {
        assert_eq!(limited(bad), Err(vec![ResourceError::Concurrency(bad)]));
    }
}
