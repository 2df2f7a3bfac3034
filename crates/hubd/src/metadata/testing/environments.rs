//! Variables of endpoints.

use gen_worker_hub::api::EnvironmentScope;

use super::*;
use crate::metadata::{EndpointName, Variable};

fn of(endpoint: &str) -> EndpointName {
    EndpointName { owner: "acme".to_owned(), endpoint: endpoint.to_owned() }
}

fn variable(name: &str, sealed: &[u8]) -> Variable {
    Variable {
        name: name.parse().expect("a name"),
        sealed: sealed.to_vec(),
        sensitive: true,
        description: Some("why".to_owned()),
        applies_to: Some(EnvironmentScope { tags: vec!["prod".to_owned()], ..EnvironmentScope::default() }),
    }
}

pub(super) async fn environments(store: Store) {
    let on = &store.0;
    let list = async |endpoint: &str| on.variables(of(endpoint)).await.expect("a list");
    assert!(on.put_variable(of("paint"), variable("KEY", b"\x00one"), true).await.expect("it is set"));
    let again = on.put_variable(of("paint"), variable("KEY", b"two"), true).await;
    assert!(matches!(again, Err(MetadataError::RefExists)));
    assert_eq!(list("paint").await, [variable("KEY", b"\x00one")]);
    assert!(!on.put_variable(of("paint"), variable("KEY", b"two"), false).await.expect("it is changed"));
    assert!(on.put_variable(of("paint"), variable("AREA", b"x"), false).await.expect("it is set"));
    assert_eq!(list("paint").await, [variable("AREA", b"x"), variable("KEY", b"two")]);
    assert_eq!(list("draw").await, []);
    assert!(!on.remove_variable(of("draw"), "KEY".parse().expect("a name")).await.expect("an answer"));
    assert!(on.remove_variable(of("paint"), "KEY".parse().expect("a name")).await.expect("it is gone"));
    assert_eq!(list("paint").await.len(), 1);
    for number in 1..256 {
        on.put_variable(of("paint"), variable(&format!("V{number}"), b""), true).await.expect("it is set");
    }
    let full = on.put_variable(of("paint"), variable("MORE", b""), true).await;
    assert!(matches!(full, Err(MetadataError::Unfit(_))));
    on.put_variable(of("paint"), variable("AREA", b"y"), false).await.expect("a change is no more");
}
