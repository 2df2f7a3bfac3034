use super::*;

const OURS: &str = r#"{"stack":"gen-worker","threads":2,"first_embedding_ms":80.0,"ms_per_batch":{"1x16":4.0,"32x16":40.0,"16x86":100.0,"32xmixed":100.0}}"#;
const REFERENCE: &str = r#"{"stack":"pytorch","first_embedding_ms":3200.0,"ms_per_batch":{"eager":{"1x16":7.0,"32x16":44.0,"16x86":200.0,"32xmixed":300.0},"sdpa":{"1x16":6.0,"32x16":60.0,"16x86":210.0,"32xmixed":310.0}}}"#;

#[test]
fn each_batch_is_compared_with_the_better_reference() {
    let figures = compare(&report(OURS).unwrap(), &report(REFERENCE).unwrap()).unwrap();
    let table = figures::table(&figures);
    assert!(
        table.contains("| embed 1x16 | time per batch, ms | 4.00 | 6.00 (PyTorch) | 1.50x | >= 1.2x as fast | met |"),
        "{table}"
    );
    assert!(table.contains("| 44.0 (PyTorch) | 1.10x | >= 1.2x as fast | **missed** |"), "{table}");
    assert_eq!(figures::bars(&figures), (5, 4));
}

#[test]
fn a_batch_that_was_not_timed_is_named() {
    let ours = report(&OURS.replace("32xmixed", "32xother")).unwrap();
    let error = compare(&ours, &report(REFERENCE).unwrap()).unwrap_err();
    assert!(error.to_string().contains("32xmixed"), "{error}");
}
