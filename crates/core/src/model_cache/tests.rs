//! The rules of the older interface, and what it got wrong.
use super::*;

const GIB: u64 = 1 << 30;

fn model(name: &str) -> CachedModel {
    Arc::new(name.to_owned())
}

/// A cache of 20 GiB with these models loaded, in this order.
fn loaded(models: &[(&str, u64)]) -> ModelCache {
    let cache = ModelCache::new(20 * GIB);
    load(&cache, models);
    cache
}

fn load(cache: &ModelCache, models: &[(&str, u64)]) {
    for (id, gib) in models {
        cache.mark_loaded_to_vram(id, model(id), gib * GIB);
    }
}

fn vram(cache: &ModelCache) -> Vec<String> {
    cache.stats().vram_models
}

#[test]
fn m12_example() {
    let cache = loaded(&[("a", 8)]);
    cache.mark_cached_to_disk("b", "/models/b");
    assert!(cache.is_in_vram("a") && cache.is_on_disk("b") && cache.are_models_available(&["a", "b"]));
    let stats = cache.stats();
    assert_eq!((stats.vram_models, stats.disk_models), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

#[test]
fn m12_1_lists_follow_the_order_of_use_and_sizes_have_two_digits() {
    let cache = loaded(&[("a", 3), ("b", 2)]);
    cache.mark_loaded_to_vram("c", model("c"), GIB / 3);
    cache.mark_cached_to_disk("d", "/d");
    cache.mark_downloading("e", 0.5);
    assert!(cache.get_pipeline("a").is_some());
    let stats = cache.stats();
    assert_eq!(stats.vram_models, ["b", "c", "a"]);
    assert_eq!((&stats.disk_models[..], &stats.downloading_models[..]), (&["d".to_owned()][..], &["e".to_owned()][..]));
    assert_eq!((stats.used_vram_gb, stats.total_vram_gb, stats.available_vram_gb), (5.33, 20.0, 14.67));
    assert_eq!(stats.total_models(), 5);
    cache.mark_used("b");
    cache.mark_used("nobody knows it");
    assert_eq!(
        (cache.stats().vram_models, cache.stats().total_models()),
        (vec!["c".into(), "a".into(), "b".into()], 5)
    );
}

#[test]
fn m12_2_the_margin_is_for_what_was_detected() {
    let said = VramBudget::default();
    assert_eq!([said.usable_bytes(24 * GIB), said.usable_bytes(2 * GIB)], [41 * GIB / 2, 0]);
    let margin = VramBudget { margin_bytes_set: Some(GIB), ..said };
    assert_eq!(margin.usable_bytes(24 * GIB), 23 * GIB);
    assert_eq!(VramBudget { margin_bytes: Some(0), ..margin }.usable_bytes(24 * GIB), 24 * GIB, "12.9: zero is a word");
    let set = VramBudget { max_bytes_set: Some(16 * GIB), ..margin };
    assert_eq!(set.usable_bytes(24 * GIB), 16 * GIB);
    assert_eq!(VramBudget { max_bytes: Some(8 * GIB), ..set }.usable_bytes(24 * GIB), 8 * GIB);
}

#[test]
fn m12_3_those_used_longest_ago_leave_until_it_fits() {
    let cache = loaded(&[("a", 8), ("b", 8)]);
    cache.mark_cached_to_disk("a", "/a");
    load(&cache, &[("a", 8), ("c", 10)]);
    assert_eq!(vram(&cache), ["a", "c"]);
    assert!(!cache.has_model("b"), "it has no files");
    load(&cache, &[("d", 18)]);
    assert_eq!((vram(&cache), cache.is_on_disk("a")), (vec!["d".to_owned()], true));
    load(&cache, &[("huge", 100)]);
    assert_eq!(vram(&cache), ["huge"], "this never fails");
}

#[test]
fn m12_4_cached_to_disk_gives_everything_back() {
    let cache = loaded(&[("a", 8)]);
    let object = cache.get_pipeline("a").expect("loaded");
    cache.mark_cached_to_disk("a", "/a");
    assert!(cache.is_on_disk("a") && Arc::strong_count(&object) == 1);
    assert_eq!((cache.stats().used_vram_gb, cache.model_dir("a")), (0.0, Some("/a".into())));
}

#[test]
fn m12_5_a_pipeline_is_had_from_the_accelerator_only() {
    let cache = loaded(&[("a", 1), ("b", 1)]);
    let pipeline = cache.get_pipeline("a").expect("loaded");
    assert_eq!(pipeline.downcast_ref::<String>().expect("a name"), "a");
    cache.mark_cached_to_disk("b", "/b");
    assert!(cache.get_pipeline("b").is_none() && cache.get_pipeline("x").is_none() && !cache.has_model("x"));
    assert!(!cache.is_on_disk("a") && !cache.is_in_vram("b"));
}

#[test]
fn m12_6_what_is_on_its_way_is_not_available() {
    let cache = loaded(&[("a", 1)]);
    cache.mark_downloading("b", 0.0);
    assert!(cache.are_models_available(&[]) && cache.are_models_available(&["a"]));
    assert!(!cache.are_models_available(&["a", "b"]) && !cache.are_models_available(&["x"]));
    assert_eq!(cache.available_models(), ["a"]);
}

#[test]
fn m12_7_what_could_fit_what_leaves_and_how_far_it_is() {
    let cache = loaded(&[("a", 8), ("b", 8), ("c", 4)]);
    cache.set_pinned("b", true);
    assert!(cache.can_fit_in_vram(12 * GIB) && !cache.can_fit_in_vram(13 * GIB));
    cache.set_pinned("b", false);
    assert_eq!(cache.evict_lru_vram_until_count(1), ["a", "b"]);
    assert!(cache.unload_model("c") && !cache.has_model("c"));
    for (told, kept) in [(0.5, 0.5), (7.0, 1.0), (f64::NAN, 0.0)] {
        cache.mark_downloading("d", told);
        assert_eq!(cache.download_progress("d"), Some(kept));
    }
    cache.mark_cached_to_disk("d", "/d");
    assert_eq!(cache.download_progress("d"), None);
}

#[test]
fn m12_9_what_is_pinned_or_executing_stays_on_every_path() {
    let cache = loaded(&[("a", 8), ("b", 8)]);
    let executing = cache.executing(&["a", "unknown"]);
    cache.set_pinned("b", true);
    load(&cache, &[("c", 10)]);
    assert_eq!((vram(&cache), cache.unload_model("a")), (vec!["b".into(), "a".into(), "c".into()], false));
    assert_eq!(cache.evict_lru_vram_until_count(0), ["c"]);
    drop(executing);
    assert_eq!(cache.evict_lru_vram_until_count(0), ["a"]);
}

#[test]
fn m12_9_sizes_are_never_counted_twice() {
    let cache = loaded(&[("a", 8), ("a", 3)]);
    assert_eq!(cache.stats().used_vram_gb, 3.0);
    cache.mark_downloading("a", 0.1);
    assert_eq!(cache.stats().used_vram_gb, 0.0);
    load(&cache, &[("b", 12), ("a", 12), ("a", 20)]);
    assert_eq!((vram(&cache), cache.stats().available_vram_gb), (vec!["a".to_owned()], 0.0));
}
