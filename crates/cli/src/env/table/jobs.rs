//! What the worker runs, how much of it at once, and for how long. Rows only.

use super::{Effect, rows};

rows! {
    WORKER_MODE {
        default: "inference",
        meaning: "Must be `inference`: the worker refuses to start in any other mode."
    }
    TRAINER_JOB_SPEC_PATH {
        default: "empty",
        effect: Effect::Ignored("this build has no trainer mode"),
        meaning: "Job of a trainer."
    }
    ENDPOINT_LOCK_PATH {
        default: "empty",
        effect: Effect::Ignored("functions are linked into this binary"),
        meaning: "Manifest of the functions of a Python endpoint."
    }
    MODEL_MANAGER_CLASS {
        default: "empty",
        effect: Effect::Ignored("Python plug-ins cannot be loaded"),
        meaning: "Python plug-in of older workers."
    }
    WORKER_MAX_CONCURRENCY {
        flag: "worker --max-concurrency",
        default: "0",
        meaning: "Jobs that run at once; more are answered `worker busy`. 0 = no limit."
    }
    WORKER_MAX_INPUT_BYTES {
        default: "0",
        meaning: "Largest payload in bytes; a larger one is invalid. 0 = no limit."
    }
    WORKER_MAX_OUTPUT_BYTES {
        default: "0",
        meaning: "Largest output in bytes; a larger one fails the job as invalid. 0 = no limit."
    }
    WORKER_MAX_UPLOAD_BYTES {
        default: "0",
        meaning: "Largest uploaded file in bytes; an output that would be larger fails the job as invalid. 0 = no limit."
    }
    WORKER_MAX_INPUT_FILE_BYTES {
        default: "209715200",
        meaning: "Largest file in bytes that a payload may name, whatever it says itself. 0 = no limit."
    }
    GEN_WORKER_PRIVATE_INPUTS {
        default: "off",
        meaning: "Let payloads name files of private networks and of this machine's own addresses, and places there for \
                  outputs, for pools whose clients are trusted (1, true, yes). Files of the pool's hub may be named in any \
                  case."
    }
    GEN_WORKER_STORAGE {
        default: "none",
        meaning: "Buckets of the pool's own storage, such as `https://minio.example:9000/models/`, with commas in between. Files \
                  of payloads below them are fetched also when they are in a private network. Whoever sends payloads can read \
                  what needs no signature there."
    }
    GEN_WORKER_JOBS_DIR {
        default: "`gen-worker-jobs-` and the user's number in the temporary directory",
        meaning: "Where jobs keep files while they run. Each process has a directory of its own there, and removes those of \
                  processes that are gone."
    }
    WORKER_MAX_OUTPUT_FILE_BYTES {
        default: "209715200",
        effect: Effect::Ignored("WORKER_MAX_UPLOAD_BYTES bounds them"),
        meaning: "Largest output file in bytes."
    }
    WORKER_DRAIN_TIMEOUT_SECONDS {
        flag: "worker --drain-timeout",
        default: "0, which means 30",
        meaning: "Seconds that running jobs get after SIGTERM or SIGINT."
    }
    GEN_WORKER_SPOOL_DIR {
        flag: "worker --spool-dir",
        default: "`gen-worker/spool/<address>` below XDG_STATE_HOME",
        meaning: "Directory in which finished results wait, durably, until they are delivered; one directory per worker \
                  id below it. The next process with that id delivers them."
    }
    GEN_WORKER_SPOOL {
        flag: "worker --spool",
        default: "`auto`",
        meaning: "Which results wait on disk: `auto` = those of handlers that ran 100 ms or longer, `always`, `never`."
    }
    GEN_WORKER_SPOOL_BYTES {
        default: "268435456",
        meaning: "Bytes that waiting results may take on disk; beyond that they wait in memory, with a warning."
    }
    GEN_WORKER_METRICS_ADDR {
        flag: "worker --metrics-addr",
        default: "none",
        meaning: "Address, such as 127.0.0.1:9464, at which a worker serves its counts in the Prometheus text format, under \
                  `/metrics`. Whoever reaches it may read them."
    }
    OTEL_EXPORTER_OTLP_ENDPOINT {
        default: "none",
        meaning: "Address of an OpenTelemetry collector, such as http://127.0.0.1:4317 (OTLP over gRPC), that gets a span of \
                  every job and of each of its phases. Needs a binary built with feature `otel`."
    }
    OTEL_SERVICE_NAME {
        default: "`gen-worker`",
        meaning: "Name of the service in these spans."
    }
    GEN_WORKER_THREADS {
        flag: "worker --threads",
        default: "2",
        meaning: "Threads that drive asynchronous handlers and the connection."
    }
    GEN_WORKER_CANCEL_GRACE {
        flag: "worker --cancel-grace",
        default: "5",
        meaning: "Seconds that an isolated handler has to end after its cancel or deadline, before its process is killed."
    }
}
