use super::*;

#[test]
fn m8_6_files_and_directories_leave_as_a_whole_and_what_is_absent_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    let (file, tree) = (dir.path().join("file"), dir.path().join("tree"));
    fs::write(&file, b"x").unwrap();
    fs::create_dir_all(tree.join("a/b")).unwrap();
    for path in [&file, &tree] {
        let leaving = Leaving::begin(&layout, path).unwrap();
        assert!(!path.exists() && fs::read_dir(layout.leaving()).unwrap().count() == 1);
        leaving.end().unwrap();
        assert_eq!(fs::read_dir(layout.leaving()).unwrap().count(), 0);
        Leaving::begin(&layout, path).unwrap().end().unwrap();
    }
}

#[test]
fn m8_6_what_a_killed_process_was_removing_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    fs::create_dir(dir.path().join("tree")).unwrap();
    fs::write(dir.path().join("tree/file"), b"x").unwrap();
    drop(Leaving::begin(&layout, &dir.path().join("tree")).unwrap());
    clear(&layout).unwrap();
    assert_eq!(fs::read_dir(layout.leaving()).unwrap().count(), 0);
}
