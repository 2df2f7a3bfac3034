//! Residency commands, as far as a worker without a store can follow them.

use gen_worker_proto::pb::{self, ModelOpKind, ModelState, scheduler_message::Msg as Outbound, worker_message::Msg};

use crate::fixture::Fixture;

#[tokio::test(start_paused = true)]
async fn c34_w23_every_operation_is_answered_once() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    for (op, reference, error) in [
        (ModelOpKind::AdoptCompileCache, "_system/family-x#inductor-sm89-torch2.9", "adopt_failed:no_endpoint"),
        (ModelOpKind::AdoptCompileCache, "a/b", "adopt_failed:bad_ref"),
        (ModelOpKind::Load, "a/b", "load_failed"),
    ] {
        session.send(Outbound::ModelOp(pb::ModelOp { op: op.into(), r#ref: reference.into(), snapshot: None })).await;
        let Msg::ModelEvent(event) = session.next().await else { panic!("an event comes") };
        assert_eq!((event.state(), event.error.as_str(), event.r#ref.as_str()), (ModelState::Failed, error, reference));
    }
    session.silence().await;
}
