use super::*;
use crate::ref_index::StoredModel;

struct Place {
    dir: tempfile::TempDir,
    layout: Layout,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).with_hub_cache(dir.path().join("huggingface/hub"));
        fs::create_dir(layout.locks()).unwrap();
        Self { dir, layout }
    }

    fn file(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, [0; 7]).unwrap();
        path
    }

    fn idle(&self, needed: &Needed) -> HashSet<PathBuf> {
        self.idle_beside(needed, &Models::new())
    }

    fn idle_beside(&self, needed: &Needed, models: &Models) -> HashSet<PathBuf> {
        idle(&self.layout, needed, models).into_iter().map(|unfinished| unfinished.path).collect()
    }
}

fn none() -> Needed {
    Needed::These(HashSet::new())
}

fn hash() -> Blake3Hash {
    Blake3Hash::of(b"blob")
}

const HUB_FILE: &str = "huggingface/hub/models--o--r/blobs/abc.incomplete";

#[test]
fn m8_9_what_came_in_part_of_any_provider_is_found_and_nothing_else() {
    let place = Place::new();
    assert_eq!(place.idle(&none()), HashSet::new());
    let found = [
        place.layout.part(hash()),
        place.dir.path().join("civitai/7"),
        place.dir.path().join("modelscope/o/r/x"),
        place.file(HUB_FILE),
    ];
    for part in ["civitai/7/m.safetensors.part", "modelscope/o/r/x/unet/m.bin.part"].map(Path::new) {
        place.file(part);
    }
    place.file(&found[0]);
    for other in [
        "civitai/7/m.safetensors",
        "huggingface/hub/models--o--r/blobs/abc",
        "huggingface/hub/datasets--o--r/blobs/abc.incomplete",
        "mine/x.part",
    ] {
        place.file(other);
    }
    std::os::unix::fs::symlink("/", place.dir.path().join("civitai/root.part")).unwrap();
    assert_eq!(place.idle(&none()), HashSet::from(found));
    let bytes = |dir: &str| 7 + 7 * u64::from(dir.ends_with("civitai/7"));
    let all = all(&place.layout, &Models::new());
    assert!(all.iter().all(|unfinished| unfinished.bytes == bytes(&unfinished.path.to_string_lossy())));
}

#[test]
fn m8_9_what_somebody_brings_stays() {
    let place = Place::new();
    let (blob, part, hub) = (place.layout.part(hash()), place.file("civitai/7/a/m.part"), place.file(HUB_FILE));
    let civitai = place.dir.path().join("civitai/7");
    place.file(&blob);
    assert_eq!(place.idle(&Needed::These(HashSet::from([hash()]))), HashSet::from([civitai.clone(), hub.clone()]));
    assert_eq!(place.idle(&Needed::Any), HashSet::from([civitai.clone(), hub.clone()]));
    let hub_lock = place.file("huggingface/hub/.locks/models--o--r/abc.lock");
    let unit = |path: &str| place.layout.use_lock(&place.dir.path().join(path));
    for (lock, path) in [
        (place.layout.blob_lock(hash()), &blob),
        (unit("civitai/7"), &civitai),
        (place.layout.file_lock(&part.with_extension("")), &civitai),
        (unit("huggingface/hub/models--o--r"), &hub),
        (hub_lock, &hub),
    ] {
        let held = StoreLock::try_take(&lock, Hold::Alone).unwrap().unwrap();
        assert!(!place.idle(&none()).contains(path) && place.idle(&none()).len() == 2, "{lock:?}");
        assert!(!remove(&place.layout, path).unwrap() && path.exists());
        drop(held);
    }
    for path in [&blob, &civitai, &hub] {
        assert!(remove(&place.layout, path).unwrap() && !path.exists());
    }
    assert!(remove(&place.layout, &blob).unwrap(), "what is gone is no failure");
}

#[test]
fn m8_9_a_file_of_a_whole_model_is_none_that_came_in_part() {
    let place = Place::new();
    let of = |dir: &str| place.file(format!("modelscope/o/r/{dir}/weights.part")).parent().unwrap().to_owned();
    let (named, other) = (of("x"), of("y"));
    let model = StoredModel { path: named.clone(), bytes: 7, last_used: 0.0, pinned: false, missing: false };
    assert_eq!(place.idle_beside(&none(), &Models::from([("ref".to_owned(), model)])), HashSet::from([other]));
    assert!(place.idle(&none()).contains(&named));
}

#[test]
fn m8_9_what_cannot_be_looked_into_keeps_nobody_from_the_rest() {
    let place = Place::new();
    let part = place.file(HUB_FILE);
    // A lock that is no file, and a directory in the place of one.
    place.file("huggingface/hub/.locks/models--o--r/abc.lock/x");
    place.file("civitai");
    place.file("modelscope/o/r/x/m.part");
    assert_eq!(place.idle(&none()), HashSet::from([place.dir.path().join("modelscope/o/r/x")]));
    assert!(part.exists());
}
