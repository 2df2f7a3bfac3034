use super::*;

fn gate(files: &[(&str, u64)]) -> Result<(), String> {
    let files: Vec<(RepoPath, u64)> = files.iter().map(|(path, size)| (path.parse().unwrap(), *size)).collect();
    check_names(files.iter().map(|(path, size)| (path, *size))).map_err(|error| match error {
        FormatError::Unsafe { file } => file.to_string(),
        other => other.to_string(),
    })
}

#[test]
fn m11_1_a_tree_with_safe_weights_or_none_passes() {
    assert_eq!(gate(&[("a.safetensors", 1), ("a.bin", 9)]), Ok(()));
    assert_eq!(gate(&[("config.json", 1), ("README.md", 1)]), Ok(()));
    assert_eq!(gate(&[("a.bin", 1), ("b.pt", 9), ("c.ckpt", 2)]), Err("b.pt".into()));
    assert_eq!(
        gate(&[("a/m.bin", 1), ("b/m.pt", 9), ("c/m.ckpt", 2)]),
        Err("b/m.pt".into()),
        "of all that are refused"
    );
}

#[test]
fn m11_3_each_component_is_judged_alone() {
    assert_eq!(gate(&[("unet/m.safetensors", 1), ("text_encoder/m.bin", 2)]), Err("text_encoder/m.bin".into()));
    for name in ["m.pth", "m.pkl", "m.PICKLE", "x/m.Pt"] {
        assert_eq!(gate(&[("unet/m.safetensors", 1), (name, 2)]), Err(name.into()));
    }
}

#[test]
fn m11_2_a_broken_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("m.safetensors"), [255; 16]).unwrap();
    let file: RepoPath = "m.safetensors".parse().unwrap();
    let found = check_headers(dir.path(), [&file]).unwrap();
    assert!(matches!(found, Err(FormatError::Broken { source: HeaderError::Length(_), .. })));
}
