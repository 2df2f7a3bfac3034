//! The messages of the wire, both directions, from any bytes.

use gen_worker_core::fuzzing::worker_bytes;
use gen_worker_proto::{
    FunctionName, Pair,
    pb::{SchedulerMessage, WorkerMessage, scheduler_message, worker_message},
    slug,
};
use prost::Message;

/// Whatever decodes encodes to bytes that mean the same, ours or the generated code's; ids and names are judged.
pub fn wire_decoder(input: &[u8]) {
    if let Ok(message) = SchedulerMessage::decode(input) {
        stays_itself(&message);
        if let Some(scheduler_message::Msg::RunJob(run)) = message.msg {
            names(&run.request_id, run.attempt, &run.function_name);
        }
    }
    if let Ok(message) = WorkerMessage::decode(input) {
        stays_itself(&message);
        let generated = message.encode_to_vec();
        if let Some(ours) = message.msg.clone().and_then(worker_bytes) {
            assert_eq!(ours, generated, "our encoder differs from the generated one");
        }
        if let Some(worker_message::Msg::JobProgress(progress)) = message.msg {
            names(&progress.request_id, progress.attempt, &progress.content_type);
        }
    }
}

/// Compared as bytes: a number that is not equal to itself may be in it.
fn stays_itself<M: Message + Default>(message: &M) {
    let bytes = message.encode_to_vec();
    assert_eq!(bytes.len(), message.encoded_len());
    let again = M::decode(bytes.as_slice()).expect("what was encoded decodes");
    assert_eq!(again.encode_to_vec(), bytes, "decoding changed the message");
}

fn names(request_id: &str, attempt: i64, function: &str) {
    if let Ok(pair) = Pair::parse(request_id, attempt) {
        assert_eq!((pair.request_id.as_str(), pair.attempt.0), (request_id, attempt));
    }
    let short = slug(function);
    assert_eq!(slug(&short), short, "the slug of a slug is another one");
    if let Ok(name) = FunctionName::parse(function) {
        assert!(!name.as_str().is_empty());
    }
}
