use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

fn program(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn args(config: &Path) -> EndpointArgs {
    EndpointArgs { config: Some(config.to_owned()), module: None }
}

#[test]
fn c10_missing_project_or_blank_main_is_exit_2() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::default();
    let message = |path: &Path| {
        let failure = places.endpoint(&args(path)).unwrap_err();
        assert_eq!(failure.exit().code(), 2);
        failure.message().to_owned()
    };
    assert!(message(dir.path()).contains("no project file"));
    assert!(message(&dir.path().join("nope.toml")).contains("cannot be read"));
    let cargo = dir.path().join("Cargo.toml");
    fs::write(&cargo, "[package.metadata.gen_worker]\nmain = ' '\n").unwrap();
    assert!(message(dir.path()).contains("set `main` in [package.metadata.gen_worker]"));
    fs::write(&cargo, "[package").unwrap();
    assert!(message(&cargo).contains("not TOML"));
}

#[test]
fn c12_main_names_a_binary_in_a_build_directory_or_on_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let member = dir.path().join("examples/mine");
    fs::create_dir_all(&member).unwrap();
    fs::write(member.join("Cargo.toml"), "[package.metadata.gen_worker]\nmain = 'mine'\n").unwrap();
    let bin = dir.path().join("bin");
    let places = Places { target_dir: None, path: vec![bin.clone()] };
    let failure = places.endpoint(&args(&member)).unwrap_err();
    assert!(failure.message().contains("cargo build --release --bin mine"), "{}", failure.message());
    program(&bin.join("mine"));
    assert_eq!(places.endpoint(&args(&member)).unwrap(), bin.join("mine"));
    let built = dir.path().join("target/debug/mine");
    program(&built);
    assert_eq!(places.endpoint(&args(&member.join("Cargo.toml"))).unwrap(), built);
    let elsewhere = dir.path().join("elsewhere");
    program(&elsewhere.join("release/mine"));
    let places = Places { target_dir: Some(elsewhere.clone()), path: vec![] };
    assert_eq!(places.endpoint(&args(&member)).unwrap(), elsewhere.join("release/mine"));
}

#[test]
fn c10_module_names_a_binary_without_a_project() {
    let dir = tempfile::tempdir().unwrap();
    program(&dir.path().join("other"));
    let places = Places { target_dir: None, path: vec![dir.path().to_owned()] };
    let module = |name: &str| places.endpoint(&EndpointArgs { config: None, module: Some(name.to_owned()) });
    assert_eq!(module("other").unwrap(), dir.path().join("other"));
    assert!(module("../other").is_err());
}

#[test]
fn e144_python_project_file_wins_when_it_has_our_table() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("Cargo.toml"), "[package.metadata.gen_worker]\nmain = 'rust'\n").unwrap();
    fs::write(dir.path().join("pyproject.toml"), "[project]\nname = 'x'\n").unwrap();
    assert_eq!(Project::read(dir.path()).unwrap().main, "rust");
    fs::write(dir.path().join("pyproject.toml"), "[tool.gen_worker]\nmain = ' python '\n").unwrap();
    assert_eq!(Project::read(dir.path()).unwrap().main, "python");
}
