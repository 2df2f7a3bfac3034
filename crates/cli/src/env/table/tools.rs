//! What the commands on a developer's machine and the log read. Rows only.

use super::{Effect, rows};

rows! {
    GEN_WORKER_LOG {
        aliases: ["RUST_LOG"],
        flag: "--log",
        default: "info for what serves and for `hub push`, warn for other commands",
        meaning: "What is logged: a level, or a comma list of `target=level`."
    }
    GEN_WORKER_LOG_FORMAT {
        flag: "--log-format",
        default: "text; json for `run`, `prefetch` and `models` when stderr is no terminal",
        meaning: "`text` or `json` lines on stderr."
    }
    GEN_WORKER_LOCAL_DEVICE {
        flag: "run --device",
        default: "`cpu`",
        meaning: "Device that handlers see in a local run."
    }
    GEN_WORKER_LOCAL_OUTPUT_DIR {
        default: "`.gen-worker-run/outputs` in the working directory",
        meaning: "Where a local run puts the files that handlers save."
    }
    GEN_WORKER_URL {
        flag: "submit --url",
        default: "http://127.0.0.1:8080",
        meaning: "Where `submit` finds the orchestrator's HTTP API."
    }
    GEN_WORKER_TOKEN {
        default: "empty",
        meaning: "Bearer token of `submit`. There is no flag for it: command lines are public on the machine."
    }
    GEN_WORKER_HUB_DIR {
        flag: "hub --dir, hub token --dir",
        default: "`gen-worker/hub` in the state directory",
        meaning: "Where `hub` keeps metadata, objects, its secret and its token."
    }
    GEN_WORKER_HUB_PUBLIC_URL {
        flag: "hub --public-url, up --public-url",
        default: "the address it listens on",
        meaning: "Where clients and workers find the hub. Addresses that it signs start with it."
    }
    XDG_STATE_HOME {
        flag: "up --db, hub --dir, worker --spool-dir",
        default: "`.local/state` below HOME",
        effect: Effect::System,
        meaning: "Where `up` keeps its queue (the file `gen-worker/queue.sqlite` below it), `hub` its directory and workers their \
                  results."
    }
    HOME {
        flag: "up --db, hub --dir",
        default: "none: then `.gen-worker/` in the working directory",
        effect: Effect::System,
        meaning: "Home directory, for the default of XDG_STATE_HOME."
    }
    PATH {
        default: "empty",
        effect: Effect::System,
        meaning: "Where `gen-worker run` looks for an endpoint binary that is in no build output directory, and a worker for \
                  programs that functions ask for with `libraries`."
    }
    LD_LIBRARY_PATH {
        default: "empty",
        effect: Effect::System,
        meaning: "Where a worker looks for the shared objects that functions ask for with `libraries`, before the \
                  system's directories."
    }
    CARGO_TARGET_DIR {
        default: "`target` in the project or a directory above it",
        effect: Effect::System,
        meaning: "Build output directory in which `gen-worker run` looks for endpoint binaries."
    }
    USER {
        default: "local-dev",
        effect: Effect::System,
        meaning: "Owner that handlers see in a local run."
    }
}
