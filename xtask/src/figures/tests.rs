use super::*;

const LINE: &str = r#"{"bench":"stream","metric":"throughput","unit":"jobs/s","ours":98765.4,"reference":382000,"reference_name":"bare tonic","ratio":0.2585,"bar":">= 0.25x","met":true}"#;

#[test]
fn lines_become_a_table() {
    let figures = parse("bench_stream", &format!("{LINE}\n\n")).unwrap();
    let table = table(&figures);
    let last = table.lines().last().unwrap();
    assert_eq!(last, "| stream | throughput, jobs/s | 98,765 | 382,000 (bare tonic) | 0.259x | >= 0.25x | met |");
    assert_eq!(bars(&figures), (1, 1));
}

#[test]
fn a_figure_without_reference_stands_alone() {
    let figures = parse("b", r#"{"bench":"start","metric":"to Hello","unit":"ms","ours":12.34}"#).unwrap();
    assert!(table(&figures).ends_with("| start | to Hello, ms | 12.3 |  |  |  |  |\n"));
    assert_eq!(bars(&figures), (0, 0));
}

#[test]
fn a_missed_bar_is_visible() {
    let figures = parse("b", &LINE.replace("\"met\":true", "\"met\":false")).unwrap();
    assert!(table(&figures).contains("**missed**"));
    assert_eq!(bars(&figures), (1, 0));
}

#[test]
fn what_is_no_figure_is_quoted() {
    assert!(parse("b", "warming up").unwrap_err().to_string().contains("warming up"));
    assert!(parse("b", "").unwrap_err().to_string().contains("no figure"));
    assert!(parse("b", r#"{"bench":"a","metric":"b","unit":"c","ours":1,"bars":"d"}"#).is_err());
}

#[test]
fn numbers_keep_three_digits() {
    let shown: Vec<_> = [0.0, 0.0123, 1.234, 12.34, 123.4, 1234.0, 1234567.0, -1234.0].map(number).to_vec();
    assert_eq!(shown, ["0", "0.012", "1.23", "12.3", "123", "1,234", "1,234,567", "-1,234"]);
}

#[test]
fn some_benches_measured_again_leave_the_rows_of_the_others() {
    let table = |rows: &[&str], origin: &str| format!("{HEAD}{}\n\n{origin}\n", rows.join("\n"));
    let old = table(&["| a | 1 |", "| b-1 | 2 |", "| b-1 | 3 |", "| c | 4 |", "| b-2 | 5 |"], "here, today");
    let new = table(&["| b-1 | 6 |", "| b-2 | 7 |", "| d | 8 |"], "here, today");
    let merged = merged(&old, &new).unwrap();
    assert_eq!(merged, table(&["| a | 1 |", "| b-1 | 6 |", "| b-2 | 7 |", "| d | 8 |", "| c | 4 |"], "here, today"));
    let elsewhere = super::merged(&old, &table(&["| b-1 | 6 |"], "there, today")).unwrap_err();
    assert!(elsewhere.to_string().contains("here, today"), "{elsewhere}");
}
