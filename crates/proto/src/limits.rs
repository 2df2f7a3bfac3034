//! Bounds that both ends of the wire obey. Each constant says why it has this value.

use std::time::Duration;

/// Largest message either side accepts or emits, in bytes. Peers allow 64 MiB; the usual 4 MiB default of gRPC
/// libraries breaks large `RunJob` and `JobProgress` messages.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Largest output that travels inside `JobResult`, in bytes; anything above is uploaded and sent as a reference.
pub const INLINE_OUTPUT_BYTES_MAX: usize = 65_536;

/// Longest function name, in characters (contract section 2, `RunJob.function_name`).
pub const FUNCTION_NAME_CHARS_MAX: usize = 128;

/// Longest request id we accept, in bytes. Our own ids are UUIDs; clients may choose up to 64 characters. The
/// wire has no limit of its own, so this bounds what a hostile orchestrator can make a worker keep.
pub const REQUEST_ID_BYTES_MAX: usize = 256;

/// Longest client-visible error text, in characters (contract section 10).
pub const SAFE_MESSAGE_CHARS_MAX: usize = 1_024;

/// How long a worker waits for dial, `Hello` and `HelloAck` together.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an orchestrator waits for `Hello` after a stream opened.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(15);

/// Interval between HTTP/2 keepalive pings, the only liveness signal on the wire.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long a keepalive ping may stay unanswered before the connection counts as dead.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Entries of a worker's send queue; results are exempt (contract section 4).
pub const SEND_QUEUE_ENTRIES_MAX: usize = 1_024;

/// Finished pairs a worker remembers, so that a repeated `RunJob` runs nothing twice (W9).
pub const FINISHED_PAIRS_MAX: usize = 1_024;

/// Interval at which an orchestrator repeats an unanswered `RunJob` (O10).
pub const DISPATCH_RESEND_INTERVAL: Duration = Duration::from_secs(5);

/// How often one pair is sent on one connection before it is given up (O10).
pub const DISPATCH_SENDS_MAX: u32 = 3;
