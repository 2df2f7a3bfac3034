use super::*;

fn event(kind: &str, id: &str, data: &Value) -> SseEvent {
    SseEvent { kind: kind.to_owned(), data: data.to_string(), id: id.to_owned() }
}

fn end(follow: &mut Follow, kind: &str, data: &Value) -> (Vec<Value>, End) {
    let (values, end) = follow.event(&event(kind, "", data)).unwrap();
    (values, end.expect("the last event"))
}

#[test]
fn c82_items_are_held_until_the_end_or_given_out_as_they_come() {
    let chunks = [json!({"value": {"n": 1}}), json!({"text": "a"}), json!({"content_type": "x/y", "base64": "AA=="})];
    let shown = [json!({"n": 1}), json!({"text": "a", "item_id": null}), chunks[2].clone()];
    for stream in [true, false] {
        let mut follow = Follow::new(stream);
        let mut printed = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            let (values, end) = follow.event(&event("chunk", &format!("1-{}", index + 1), chunk)).unwrap();
            assert_eq!(values.len(), usize::from(stream));
            assert!(end.is_none());
            printed.extend(values);
        }
        assert_eq!(follow.last_id(), "1-3");
        let (values, end) = end(&mut follow, "result", &json!({"output": {"text": "joined"}}));
        printed.extend(values);
        assert_eq!(printed, shown);
        assert!(matches!(end, End::Succeeded { last: Last::Value(value) } if value == json!({"yielded": 3})));
    }
}

#[test]
fn c82_the_last_value_is_the_output() {
    let last = |data: Value| match end(&mut Follow::new(false), "result", &data).1 {
        End::Succeeded { last } => last,
        End::Failed(failure) => panic!("{failure:?}"),
    };
    assert_eq!(last(json!({"output": {"a": 1}, "output_url": null})), Last::Value(json!({"a": 1})));
    assert_eq!(last(json!({"output": null, "output_url": "/v1/x"})), Last::Fetch);
    assert_eq!(last(json!({"output": null, "output_url": null})), Last::Value(json!({"yielded": 0})));
}

#[test]
fn failures_map_to_exit_codes() {
    let exit = |code: &str, class: &str| {
        let error = json!({"error": {"code": code, "class": class, "message": "why"}});
        match end(&mut Follow::new(false), "error", &error).1 {
            End::Failed(failure) => {
                assert!(code == "canceled" || failure.message().contains("why"));
                failure.exit().code()
            }
            End::Succeeded { .. } => panic!("{code}"),
        }
    };
    assert_eq!(exit("canceled", "canceled"), 130);
    assert_eq!(exit("invalid", "invalid"), 2);
    assert_eq!(exit("unknown_function", ""), 2);
    assert_eq!(exit("failed", "fatal"), 1);
    assert_eq!(exit("deadline_exceeded", "deadline"), 1);
    assert_eq!(exit("retries_exhausted", "retryable"), 1);
}
