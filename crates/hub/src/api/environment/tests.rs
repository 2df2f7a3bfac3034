use serde_json::json;

use super::*;

#[test]
fn h10_3_reserved_names_are_refused() {
    for name in ["PATH", "home", "WORKER_ID", "HF_TOKEN", "LC_ALL", "LD_PRELOAD", "PYTHONPATH", "CUDA_X", "NVIDIA_X"] {
        assert_eq!(name.parse::<EnvironmentName>(), Err(EnvironmentNameError::Reserved), "{name}");
    }
    for name in ["", "1A", "A-B", "A=B", "A B", "É", &"A".repeat(129)] {
        assert_eq!(name.parse::<EnvironmentName>(), Err(EnvironmentNameError::Form), "{name}");
    }
    for name in ["A", "_x", "MY_PATH", "LANGUAGE", "HFX"] {
        assert_eq!(name.parse::<EnvironmentName>().unwrap().as_str(), name);
    }
}

#[test]
fn h10_2_any_match_is_enough() {
    let scope: EnvironmentScope = serde_json::from_value(json!({"tags": ["prod"], "release_ids": ["r_1"]})).unwrap();
    assert!(scope.covers(&["prod"], "r_2", None) && scope.covers(&[], "r_1", None));
    assert!(!scope.covers(&["dev"], "r_2", Some("prod")));
    assert!(!EnvironmentScope::default().covers(&["prod"], "r", Some("1")));
}

#[test]
fn h10_1_values_do_not_show() {
    let entry = json!({"name": "KEY", "value": "hush", "sensitive": true, "unknown": 1});
    let entry: EnvironmentEntry = serde_json::from_value(entry).unwrap();
    let resolved: ResolvedEnvironment = serde_json::from_value(json!({"env": {"KEY": "hush"}})).unwrap();
    assert!(!format!("{entry:?} {resolved:?}").contains("hush"));
    assert_eq!(serde_json::to_value(&entry).unwrap(), json!({"name": "KEY", "value": "hush", "sensitive": true}));
}
