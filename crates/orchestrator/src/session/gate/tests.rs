use gen_worker_proto::pb;

use super::{Identity, OpenGate, TokenGate, TokenRefused, WorkerVerifier, admit, bearer};

fn hello(version: i32, worker: &str) -> pb::Hello {
    pb::Hello { protocol_version: version, worker_id: worker.into(), ..Default::default() }
}

#[test]
fn o1_only_listed_tokens_open_a_stream_when_authentication_is_on() {
    let gate = TokenGate::new(vec!["alpha".into(), "beta".into()]);
    assert_eq!(gate.verify(Some("beta")), Ok(Identity::default()));
    for wrong in [None, Some(""), Some("alph"), Some("gamma")] {
        assert_eq!(gate.verify(wrong), Err(TokenRefused));
    }
    assert_eq!(TokenGate::new(Vec::new()).verify(Some("")), Err(TokenRefused));
    assert_eq!(OpenGate.verify(None), Ok(Identity::default()));
    assert!(!format!("{gate:?}").contains("alpha"), "tokens stay out of logs");
}

#[test]
fn o1_the_token_is_what_follows_bearer() {
    let mut metadata = tonic::metadata::MetadataMap::new();
    assert_eq!(bearer(&metadata), None);
    metadata.insert("authorization", "Bearer t0ken".parse().expect("ascii"));
    assert_eq!(bearer(&metadata), Some("t0ken"));
    metadata.insert("authorization", "Basic t0ken".parse().expect("ascii"));
    assert_eq!(bearer(&metadata), None);
}

#[test]
fn o2_refusals_carry_the_exact_texts() {
    let refused = |hello: &pb::Hello, identity: &Identity| {
        let status = admit(hello, identity).expect_err("refused");
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        status.message().to_owned()
    };
    let open = Identity::default();
    let bound = Identity { worker_id: Some("w1".into()), release_id: Some("r1".into()) };
    assert_eq!(refused(&hello(1, "w1"), &open), "protocol_version_mismatch");
    assert_eq!(refused(&hello(2, ""), &open), "missing worker identity");
    assert_eq!(refused(&hello(2, "w2"), &bound), "worker_id_mismatch");
    assert_eq!(refused(&hello(2, "w1"), &bound), "release_id_mismatch");
    assert!(admit(&hello(2, "w1"), &open).is_ok(), "an empty release is believed without authentication");
}
