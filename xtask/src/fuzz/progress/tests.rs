use super::*;

#[test]
fn the_latest_numbers_count() {
    let mut progress = Progress::default();
    assert!(progress.summary("x", Duration::ZERO).contains("? executions"));
    for line in [
        "INFO: seed corpus: files: 9 min: 1b max: 20b total: 90b rss: 40Mb",
        "#10\tINITED cov: 120 ft: 130 corp: 9/90b exec/s: 0 rss: 41Mb",
        "#262144\tpulse  cov: 512 ft: 2048 corp: 300/12Kb lim: 2048 exec/s: 139810 rss: 60Mb",
        "Done 300000 runs in 2 second(s)",
        "stat::number_of_executed_units: 300000",
    ] {
        progress.read(line);
    }
    let summary = progress.summary("x", Duration::from_millis(2150));
    assert_eq!(summary, "fuzz: x: 300000 executions in 2.1 s, 512 edges covered by 300 inputs");
}

#[test]
fn the_end_of_long_output_is_kept() {
    let mut progress = Progress::default();
    for number in 0..1000 {
        progress.read(&format!("line {number}"));
    }
    assert!(progress.tail().starts_with("line 940\n") && progress.tail().ends_with("line 999"));
}
