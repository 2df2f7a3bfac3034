use axum::{http::StatusCode, response::IntoResponse as _};
use futures::stream;
use serde_json::Value;

use super::*;

fn list(bytes: usize) -> Vec<u8> {
    let mut body = vec![b' '; bytes];
    body[0] = b'[';
    body[bytes - 1] = b']';
    body
}

/// A body that does not end.
fn halves(bytes: usize) -> Body {
    Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from(list(bytes)))]).chain(stream::pending()))
}

const MAX: usize = 32 * SMALL_MAX;

#[tokio::test(start_paused = true)]
async fn h6_5_bodies_that_do_not_come_hold_no_turn() {
    let bodies = LargeBodies::new();
    let mut slow: Vec<_> = (0..8).map(|_| Box::pin(bodies.read::<Value>(halves(2 * SMALL_MAX), MAX, None))).collect();
    for body in &mut slow {
        assert!(futures::poll!(body).is_pending());
    }
    let (read, _turn) = bodies.read::<Value>(Body::from(list(2 * SMALL_MAX)), MAX, None).await.unwrap();
    assert_eq!(read, Value::Array(Vec::new()));
    for body in slow {
        let refused = body.await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(bodies.room.available_permits(), STEPS, "what they held is free");
}

#[tokio::test(start_paused = true)]
async fn h6_5_who_gets_no_turn_in_time_is_asked_to_come_again_and_small_bodies_need_none() {
    let bodies = LargeBodies::new();
    let large = || bodies.read::<Value>(Body::from(list(SMALL_MAX + 1)), MAX, None);
    let mut turns = Vec::new();
    for _ in 0..AT_ONCE {
        turns.push(large().await.unwrap().1);
    }
    let refused = large().await.unwrap_err().into_response();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "5");
    assert!(bodies.read::<Value>(Body::from(list(SMALL_MAX)), MAX, None).await.is_ok());
    turns.pop();
    assert!(large().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn h6_5_large_bodies_together_hold_no_more_than_there_is_room_for() {
    let bodies = LargeBodies::new();
    let mut held: Vec<_> = (0..5).map(|_| Box::pin(bodies.read::<Value>(halves(MAX), MAX, None))).collect();
    for body in &mut held {
        assert!(futures::poll!(body).is_pending());
    }
    assert_eq!(bodies.room.available_permits(), 0);
    let refused = held.pop().unwrap().await.unwrap_err().into_response();
    assert_eq!(refused.headers()["retry-after"], "5");
}
