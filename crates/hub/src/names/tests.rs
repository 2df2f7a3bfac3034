use super::*;

#[test]
fn h6_16_tags_and_flavors() {
    for good in ["a", "0", "v1.2", "latest", "inductor-rtx-4090-torch2.9", &"a".repeat(63)] {
        assert!(good.parse::<Tag>().is_ok() && good.parse::<Flavor>().is_ok(), "{good}");
    }
    for bad in ["", "A", "-a", ".a", "a b", "a/b", "a:b", "é", &"a".repeat(65)] {
        assert!(bad.parse::<Tag>().is_err() && bad.parse::<Flavor>().is_err(), "{bad}");
    }
    let longest = "a".repeat(64);
    assert!(longest.parse::<Flavor>().is_ok() && longest.parse::<Tag>().is_err());
}

#[test]
fn h6_17_a_colon_in_a_flavor_becomes_a_dash() {
    assert_eq!(Flavor::normalised(" int4:NF4 ").unwrap().as_str(), "int4-nf4");
    assert!(Flavor::normalised(":x").is_err());
}

#[test]
fn h1_7_ids_need_no_encoding() {
    for good in ["a", "AZ09_-", &"a".repeat(128)] {
        assert_eq!(good.parse::<ServerId>().unwrap().to_string(), *good);
    }
    for bad in ["", "a/b", "a.b", "a%2Fb", "a b", &"a".repeat(129)] {
        assert!(bad.parse::<ServerId>().is_err(), "{bad}");
        assert!(serde_json::from_value::<ServerId>((*bad).into()).is_err());
    }
}

#[test]
fn h3_2_the_name_of_a_tree_has_no_prefix() {
    assert_eq!(SnapshotId::from_digest("blake3:ab12").unwrap().as_str(), "ab12");
    assert_eq!(SnapshotId::from_digest("ab12").unwrap().as_str(), "ab12");
    for bad in ["", "blake3:", "..", ".", "a/b", ".hidden"] {
        assert!(SnapshotId::from_digest(bad).is_err(), "{bad}");
    }
}

#[test]
fn h13_1_ids_of_releases() {
    let good = format!("r_{}", "a2".repeat(13));
    assert!(good.parse::<ReleaseId>().is_ok());
    for bad in ["", "r_", &good[1..], &format!("{good}a"), &good.replace('2', "1"), &good.to_uppercase()] {
        assert!(bad.parse::<ReleaseId>().is_err(), "{bad}");
    }
}

#[test]
fn h13_8_slugs() {
    for (name, slug) in [("medasr_transcribe", "medasr-transcribe"), ("__A  b..C--", "a-b-c"), ("é1é", "1"), ("x", "x")]
    {
        assert_eq!(Slug::of(name).unwrap().as_str(), slug);
    }
    for bad in ["", "--", "é", &"a".repeat(64)] {
        assert!(Slug::of(bad).is_err(), "{bad}");
    }
    for bad in ["A", "a_b", "-a", "a-"] {
        assert!(bad.parse::<Slug>().is_err(), "{bad}");
    }
    let project = |text: &str| text.parse::<Slug>().unwrap().is_project();
    assert!(project("abc") && project("a-1"));
    assert!(!project("ab") && !project("1ab") && !project("a--b"));
}
