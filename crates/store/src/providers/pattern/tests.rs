use super::*;

#[test]
fn m4_6_patterns_match_as_in_a_shell_and_cross_slashes() {
    for (pattern, yes, no) in [
        ("*.json", vec!["a.json", "unet/a.json"], vec!["a.jsonl", "json"]),
        ("unet/", vec!["unet/a", "unet/b/c"], vec!["unet", "my/unet/a", "Unet/a"]),
        ("unet/*.safetensors", vec!["unet/a.safetensors", "unet/b/c.safetensors"], vec!["vae/a.safetensors"]),
        ("a?c", vec!["abc", "a/c"], vec!["ac", "abbc"]),
        ("[ab]*[!0-9]", vec!["ax", "b12x"], vec!["c1x", "a1", "ax9"]),
        ("[]]x", vec!["]x"], vec!["x"]),
        ("a[b", vec!["a[b"], vec!["ab"]),
        ("*", vec!["a", "a/b"], vec![]),
        ("**a**b", vec!["ab", "xaxbxb"], vec!["ba"]),
    ] {
        for path in yes {
            assert!(matches(pattern, &path.parse().unwrap()), "{pattern} {path}");
        }
        for path in no {
            assert!(!matches(pattern, &path.parse().unwrap()), "{pattern} {path}");
        }
    }
}

#[test]
fn m4_6_a_hostile_pattern_takes_no_more_than_its_length_times_the_paths() {
    let path = "a".repeat(250).parse().unwrap();
    assert!(!matches(&format!("{}b", "a*".repeat(500)), &path));
}
