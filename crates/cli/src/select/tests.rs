use super::*;

const fn method<'a>(slug: &'a str, class: &'a str, method: &'a str) -> Candidate<'a> {
    Candidate { slug, class: Some(class), method: Some(method) }
}

const PAINT: [Candidate<'static>; 4] = [
    Candidate { slug: "marco-polo", class: None, method: None },
    method("paint", "Painter", "paint"),
    method("paint-small", "Painter", "paint"),
    method("wash_up", "Cleaner", "wash_up"),
];

fn selected(class: Option<&str>, method: Option<&str>, main: &str) -> Result<&'static str, String> {
    let wanted = Wanted { class, method, main };
    select(&PAINT, wanted).map(|index| PAINT[index].slug).map_err(|error| error.to_string())
}

#[test]
fn c20_one_match_wins() {
    assert_eq!(selected(Some("Cleaner"), None, ""), Ok("wash_up"));
    assert_eq!(selected(None, Some("paint-small"), ""), Ok("paint-small"));
    assert_eq!(selected(None, Some("wash-up"), ""), Ok("wash_up"));
    assert_eq!(selected(None, Some("marco_polo"), ""), Ok("marco-polo"));
}

#[test]
fn c20_no_match_lists_every_candidate() {
    let error = selected(None, Some("nope"), "").unwrap_err();
    assert!(error.contains("no endpoint function matches"), "{error}");
    for candidate in PAINT {
        assert!(error.contains(candidate.slug), "{error}");
    }
    assert!(selected(Some("Painter"), Some("wash_up"), "").is_err(), "filters are conjunctive");
}

#[test]
fn c20_several_matches() {
    assert_eq!(selected(None, Some("paint"), ""), Ok("paint"), "the unique exact slug");
    assert_eq!(selected(None, None, "marco_polo"), Ok("marco-polo"), "the main name");
    let error = selected(Some("Painter"), None, "paint").unwrap_err();
    assert!(error.contains("ambiguous") && error.contains("paint-small"), "{error}");
    assert!(!error.contains("wash_up"), "only the matching ones: {error}");
    assert!(selected(None, None, "other").unwrap_err().contains("ambiguous"));
}

#[test]
fn c11_no_functions_is_an_error() {
    assert_eq!(select(&[], Wanted::default()), Err(SelectError::Empty));
}
