use proptest::prelude::*;

use super::*;

fn path(text: &str) -> RepoPath {
    text.parse().unwrap()
}

#[test]
fn h6_18_paths_that_are_refused() {
    use RepoPathError::{Character, Empty, Relative, TooLong};
    let part = "a".repeat(256);
    let long = ["a/"; 512].concat() + "b";
    let cases = [
        ("", Empty),
        ("/a", Empty),
        ("a/", Empty),
        ("a//b", Empty),
        ("..", Relative),
        ("a/../b", Relative),
        ("./a", Relative),
        ("a\\b", Character),
        ("a\0b", Character),
        ("a\nb", Character),
        ("a\tb", Character),
        (&part, TooLong),
        (&long, TooLong),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<RepoPath>(), Err(error), "{text:?}");
    }
}

#[test]
fn h6_18_paths_that_are_taken() {
    let long = "a/".repeat(511) + "b";
    for text in ["a", "unet/model.safetensors", ".gitattributes", "..a/b..", "größe/モデル.bin", &long] {
        assert_eq!(path(text).as_str(), text);
    }
    assert_eq!(path("unet/model.safetensors").file_name(), "model.safetensors");
}

#[test]
fn h6_18_paths_are_unique_in_every_case() {
    let check = |texts: &[&str]| RepoPath::check_tree(&texts.iter().map(|text| path(text)).collect::<Vec<_>>());
    assert_eq!(check(&["a", "b/a", "b/c", "ab"]), Ok(()));
    assert_eq!(check(&["a", "b", "a"]), Err(PathConflict::Twice(path("a"))));
    assert_eq!(
        check(&["Config.json", "config.json"]),
        Err(PathConflict::Case(path("Config.json"), path("config.json")))
    );
    assert_eq!(check(&["a/b/c", "A/b"]), Err(PathConflict::Nested(path("A/b"))));
    // Between the file and what is below it in the order of bytes.
    assert_eq!(check(&["a", "a-b", "a/b"]), Err(PathConflict::Nested(path("a"))));
}

proptest! {
    #[test]
    fn a_path_stays_below_its_directory(text in "[a-zA-Z./\\\\]{0,12}") {
        if let Ok(path) = text.parse::<RepoPath>() {
            let joined = std::path::Path::new("/base").join(path.as_str());
            let normal = joined.components().all(|part| !matches!(part, std::path::Component::ParentDir | std::path::Component::CurDir));
            prop_assert!(normal && joined.starts_with("/base"));
        }
    }
}
