use super::*;

fn rounds(answers: &[&str]) -> Vec<Times> {
    answers.iter().map(|answer| turns::parse(answer).unwrap()).collect()
}

#[test]
fn each_batch_is_compared_with_the_better_reference() {
    let reference = rounds(&[
        r#"{"ms": {"eager": 7.0, "sdpa": 90.0}}"#,
        r#"{"ms": {"eager": 7.5, "sdpa": 6.0}}"#,
        r#"{"ms": {"eager": 1.0, "sdpa": 5.0}}"#,
    ]);
    // The medians are 7 and 6: neither the lucky round of one nor the bad round of the other counts.
    assert_eq!(best(&reference), Some(6.0));
    let table = figures::table(&[batch_figure("1x16", 1.2, 4.0, 6.0), batch_figure("16x86", 1.2, 40.0, 44.0)]);
    assert!(
        table.contains("| embed 1x16 | time per batch, ms | 4.00 | 6.00 (PyTorch) | 1.50x | >= 1.2x as fast | met |"),
        "{table}"
    );
    assert!(table.contains("| 44.0 (PyTorch) | 1.10x | >= 1.2x as fast | **missed** |"), "{table}");
}

#[test]
fn a_batch_that_nobody_timed_has_no_time() {
    assert_eq!(best(&[]), None);
    assert_eq!(best(&rounds(&[r#"{"ms": {}}"#])), None);
}

#[test]
fn an_answer_that_is_no_turn_is_an_error() {
    for answer in ["", "42", r#"{"times": {}}"#, r#"{"ms": {"ours": "fast"}}"#] {
        assert!(turns::parse(answer).is_err(), "{answer:?}");
    }
}
