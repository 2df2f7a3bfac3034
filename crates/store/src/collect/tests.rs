use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use super::*;
use crate::ref_index::StoredModel;

struct Place {
    dir: tempfile::TempDir,
    layout: Layout,
    index: RefIndex,
}

impl Place {
    fn new(models: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        for made in [layout.blobs(), layout.snapshots(), layout.locks()] {
            fs::create_dir_all(made).unwrap();
        }
        let index = RefIndex::new(&layout);
        for (at, (reference, path)) in models.iter().enumerate() {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if path.extension().is_some() {
                fs::write(&path, [0; 100]).unwrap()
            } else {
                fs::create_dir_all(&path).unwrap()
            }
            let model = StoredModel { path, bytes: 100, last_used: at as f64, pinned: false, missing: false };
            index.change(true, |models| models.insert((*reference).to_owned(), model)).unwrap();
        }
        Self { dir, layout, index }
    }

    /// Evicts until `available` says that a hundred bytes fit.
    fn collect(&self, available: &dyn Fn() -> u64) -> (Vec<String>, Vec<String>) {
        let heard = RefCell::new(Vec::new());
        let collector = Collector {
            layout: &self.layout,
            index: &self.index,
            reference: None,
            keep: &BTreeSet::new(),
            available: &|| Ok(available()),
            removed: &|_| {},
            evicted: &|reference| heard.borrow_mut().push(reference.to_owned()),
        };
        let left = collector.collect(100).unwrap();
        (left, heard.into_inner())
    }

    fn models(&self) -> Vec<String> {
        self.index.read().unwrap().into_keys().collect::<Vec<_>>()
    }
}

#[test]
fn m8_9_a_ref_that_is_pinned_while_others_leave_stays() {
    let place = Place::new(&[("a", "snapshots/a"), ("b", "snapshots/b"), ("c", "snapshots/b"), ("d", "snapshots/d")]);
    let looks = Cell::new(0);
    let (left, heard) = place.collect(&|| {
        looks.set(looks.get() + 1);
        // After the first has left, and before the next is looked at.
        if looks.get() == 3 {
            place
                .index
                .change(true, |models: &mut BTreeMap<_, StoredModel>| models.get_mut("c").unwrap().pinned = true)
                .unwrap();
        }
        0
    });
    assert_eq!((left, heard), (vec!["a".to_owned(), "d".to_owned()], vec!["a".to_owned(), "d".to_owned()]));
    assert_eq!(place.models(), ["b", "c"]);
    assert!(place.dir.path().join("snapshots/b").is_dir() && !place.dir.path().join("snapshots/a").exists());
}

#[test]
fn m8_6_a_model_of_one_file_leaves_like_one_of_many() {
    let place = Place::new(&[("civitai", "civitai/7/m.safetensors"), ("hf", "hf/models--o--r/snapshots/x")]);
    let file = place.dir.path().join("civitai/7/m.safetensors");
    let (left, _) = place.collect(&|| 0);
    assert_eq!(left, ["civitai", "hf"]);
    assert!(!file.exists() && !place.dir.path().join("hf/models--o--r").exists());
    assert_eq!(fs::read_dir(place.layout.leaving()).unwrap().count(), 0);
}

#[test]
fn m8_6_a_model_that_cannot_be_removed_does_not_keep_the_next() {
    let place = Place::new(&[("bad", "x/status"), ("good", "snapshots/good")]);
    // Nobody, of any rights, removes a file from there.
    fs::remove_dir_all(place.dir.path().join("x")).unwrap();
    std::os::unix::fs::symlink("/proc/self", place.dir.path().join("x")).unwrap();
    let (left, heard) = place.collect(&|| 0);
    assert_eq!((left.as_slice(), heard.as_slice()), (&["good".to_owned()][..], &["good".to_owned()][..]));
    assert_eq!(place.models(), ["bad"]);
}

#[test]
fn m8_9_what_came_in_part_goes_after_a_week_or_when_the_disk_is_short() {
    let place = Place::new(&[("a", "snapshots/a")]);
    let part = |name: &[u8], age: Duration| {
        let path = place.layout.part(gen_worker_hub::Blake3Hash::of(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, [0; 100]).unwrap();
        fs::File::open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
        path
    };
    let (old, recent) = (part(b"old", PART_AGE_MAX + Duration::from_secs(1)), part(b"recent", PART_AGE_MAX / 2));
    place.collect(&|| 100);
    assert!(!old.exists() && recent.exists());
    let (left, _) = place.collect(&|| 100 * u64::from(!place.dir.path().join("snapshots/a").exists()));
    assert_eq!(left, ["a"], "the index has it as the oldest");
    assert!(recent.exists());
    place.collect(&|| 0);
    assert!(!recent.exists());
}

#[test]
fn m8_6_a_version_of_a_provider_that_no_ref_names_any_more_leaves_by_its_age() {
    let place = Place::new(&[("7", "civitai/3"), ("8", "civitai/4/m.safetensors"), ("o/r", "modelscope/o/r/new")]);
    let dir = |path: &str, age: Duration| {
        let file = place.dir.path().join(path).join("m.safetensors");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, [0; 100]).unwrap();
        let then = SystemTime::now() - age;
        for at in [&file, &file.parent().unwrap().to_owned()] {
            fs::File::open(at).unwrap().set_modified(then).unwrap();
        }
        file.parent().unwrap().to_owned()
    };
    let old = dir("civitai/1", PART_AGE_MAX * 2);
    let recent = [dir("civitai/2", PART_AGE_MAX / 2), dir("modelscope/o/r/was", PART_AGE_MAX / 2)];
    let used = dir("civitai/5", PART_AGE_MAX * 2);
    let _used = StoreLock::try_take(&place.layout.use_lock(&used), Hold::Shared).unwrap().unwrap();
    let (left, _) = place.collect(&|| 100);
    assert!(left.is_empty() && !old.exists() && recent.iter().all(|dir| dir.exists()));
    place.index.change(true, |models| models.values_mut().for_each(|model| model.pinned = true)).unwrap();
    place.collect(&|| 0);
    assert!(recent.iter().all(|dir| !dir.exists()) && used.exists());
    let named = ["civitai/3", "civitai/4/m.safetensors", "modelscope/o/r/new"];
    assert!(named.iter().all(|path| place.dir.path().join(path).exists()));
}

#[test]
fn m8_9_trees_without_a_ref_go_and_those_in_use_or_being_built_stay() {
    let place = Place::new(&[("a", "snapshots/a")]);
    for id in ["idle", "used", "built"] {
        fs::create_dir(place.layout.snapshots().join(id)).unwrap();
    }
    let tree = |id: &str| place.layout.snapshot(&id.parse().unwrap());
    let _used = StoreLock::try_take(&place.layout.use_lock(&tree("used")), Hold::Shared).unwrap().unwrap();
    let _built =
        StoreLock::try_take(&place.layout.snapshot_lock(&"built".parse().unwrap()), Hold::Alone).unwrap().unwrap();
    let (left, _) = place.collect(&|| 100);
    assert!(left.is_empty() && place.models() == ["a"]);
    let there: BTreeSet<_> =
        fs::read_dir(place.layout.snapshots()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(there, BTreeSet::from(["a", "built", "used"].map(Into::into)));
    // The files of locks that nobody holds are gone with the next.
    place.collect(&|| 100);
    let locks: BTreeSet<_> =
        fs::read_dir(place.layout.locks()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(locks.contains(std::ffi::OsStr::new("use-used")) && !locks.contains(std::ffi::OsStr::new("use-idle")));
}
