//! The table of variables. Rows only; reading them is the parent's business.

/// One variable of the environment.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Older names, in the order in which they are tried after [`Variable::name`].
    pub aliases: &'static [&'static str],
    /// The flag that overrides it, with the command it belongs to; empty when there is none.
    pub flag: &'static str,
    /// What holds when it is unset, as text for people.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl Variable {
    /// All names under which it is read, in order of preference.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

macro_rules! variables {
    ($($name:ident { aliases: $aliases:expr, flag: $flag:expr, default: $default:expr, meaning: $meaning:expr })*) => {
        /// Every variable by its name, for the code that reads it.
        pub(crate) mod names {
            use super::Variable;
            $(
                #[doc = $meaning]
                pub(crate) static $name: Variable = Variable {
                    name: stringify!($name),
                    aliases: &$aliases,
                    flag: $flag,
                    default: $default,
                    meaning: $meaning,
                };
            )*
        }

        /// Every variable, in the order of the reference page.
        pub static VARIABLES: &[&Variable] = &[$(&names::$name),*];
    };
}

variables! {
    ORCHESTRATOR_PUBLIC_ADDR {
        aliases: ["SCHEDULER_ADDR", "SCHEDULER_PUBLIC_ADDR", "ORCHESTRATOR_URL"],
        flag: "worker --addr",
        default: "required by `worker`",
        meaning: "Address of the orchestrator: `host:port`, or with a scheme `grpc://`, `http://` (plain text), \
                  `grpcs://`, `https://` (TLS). Without a scheme TLS is used only for port 443."
    }
    SCHEDULER_ADDRS {
        aliases: [],
        flag: "worker --addr, repeated",
        default: "empty",
        meaning: "Comma list of further addresses, tried in order after the first one."
    }
    USE_TLS {
        aliases: [],
        flag: "",
        default: "off",
        meaning: "TLS also for addresses without a scheme (1, true, yes)."
    }
    GRPC_CA_BUNDLE {
        aliases: [],
        flag: "worker --ca-bundle",
        default: "the system's roots",
        meaning: "PEM file with the only roots that TLS connections trust."
    }
    WORKER_JWT {
        aliases: [],
        flag: "",
        default: "empty",
        meaning: "Bearer token of the worker. There is no flag for it: command lines are public on the machine."
    }
    AUTH_TOKEN {
        aliases: [],
        flag: "",
        default: "empty",
        meaning: "Older name of the token; wins over WORKER_JWT when both are set, with a warning if they differ."
    }
    SCHEDULER_JWKS_URL {
        aliases: [],
        flag: "",
        default: "empty",
        meaning: "Where to fetch keys to verify the worker token with. This build cannot: the worker refuses to start \
                  when it is set, instead of connecting with a token it did not verify."
    }
    WORKER_ID {
        aliases: [],
        flag: "worker --worker-id",
        default: "`sub` of the token, else host name and a random suffix",
        meaning: "Identity of the worker. Two workers with one id replace each other."
    }
    GEN_WORKER_RELEASE_ID {
        aliases: [],
        flag: "worker --release-id",
        default: "`release_id` of the token, else empty",
        meaning: "Release that the worker belongs to."
    }
    WORKER_DISCONNECTED_TIMEOUT_S {
        aliases: [],
        flag: "worker --disconnect-limit",
        default: "600",
        meaning: "Seconds without a connection after which the worker exits with code 1; 0 = never."
    }
    RECONNECT_DELAY {
        aliases: [],
        flag: "",
        default: "1",
        meaning: "Base of the reconnect backoff in seconds."
    }
    RECONNECT_MAX_DELAY {
        aliases: [],
        flag: "",
        default: "30",
        meaning: "Cap of the reconnect backoff in seconds."
    }
    MAX_RECONNECT_ATTEMPTS {
        aliases: [],
        flag: "",
        default: "0",
        meaning: "Failed dials in a row after which the worker exits with code 1; 0 = no limit."
    }
    WORKER_MAX_CONCURRENCY {
        aliases: [],
        flag: "worker --max-concurrency",
        default: "0",
        meaning: "Jobs that run at once; more are answered `worker busy`. 0 = no limit."
    }
    WORKER_MAX_INPUT_BYTES {
        aliases: [],
        flag: "",
        default: "0",
        meaning: "Largest payload in bytes; a larger one is invalid. 0 = no limit."
    }
    WORKER_MAX_OUTPUT_BYTES {
        aliases: [],
        flag: "",
        default: "0",
        meaning: "Largest output in bytes; a larger one fails the job as invalid. 0 = no limit."
    }
    WORKER_DRAIN_TIMEOUT_SECONDS {
        aliases: [],
        flag: "worker --drain-timeout",
        default: "0, which means 30",
        meaning: "Seconds that running jobs get after SIGTERM or SIGINT."
    }
    WORKER_IMAGE_DIGEST {
        aliases: [],
        flag: "",
        default: "empty",
        meaning: "Digest of the container image, reported to the orchestrator."
    }
    WORKER_GIT_COMMIT {
        aliases: [],
        flag: "",
        default: "empty",
        meaning: "Commit that the endpoint was built from, reported to the orchestrator."
    }
    RUNPOD_POD_ID {
        aliases: [],
        flag: "",
        default: "empty",
        meaning: "Cloud instance id, reported to the orchestrator."
    }
    MODEL_MANAGER_CLASS {
        aliases: [],
        flag: "",
        default: "empty",
        meaning: "Python plug-in of older workers; logged and ignored."
    }
    GEN_WORKER_MODELS {
        aliases: [],
        flag: "run --model, worker --model, up --model",
        default: "empty",
        meaning: "Local directories of models: comma list of `ref=directory`."
    }
    GEN_WORKER_LOCAL_DEVICE {
        aliases: [],
        flag: "run --device",
        default: "`cpu`",
        meaning: "Device that handlers see in a local run."
    }
    GEN_WORKER_THREADS {
        aliases: [],
        flag: "worker --threads",
        default: "2",
        meaning: "Threads that drive asynchronous handlers and the connection."
    }
    GEN_WORKER_CANCEL_GRACE {
        aliases: [],
        flag: "worker --cancel-grace",
        default: "5",
        meaning: "Seconds that an isolated handler has to end after its cancel or deadline, before its process is killed."
    }
    GEN_WORKER_LOG {
        aliases: ["RUST_LOG"],
        flag: "--log",
        default: "info",
        meaning: "What is logged: a level, or a comma list of `target=level`."
    }
    GEN_WORKER_LOG_FORMAT {
        aliases: [],
        flag: "--log-format",
        default: "text",
        meaning: "`text` or `json` lines on stderr."
    }
    GEN_WORKER_URL {
        aliases: [],
        flag: "submit --url",
        default: "http://127.0.0.1:8080",
        meaning: "Where `submit` finds the orchestrator's HTTP API."
    }
    GEN_WORKER_TOKEN {
        aliases: [],
        flag: "",
        default: "empty",
        meaning: "Bearer token of `submit`. There is no flag for it: command lines are public on the machine."
    }
    XDG_STATE_HOME {
        aliases: [],
        flag: "up --db",
        default: "`.local/state` below HOME",
        meaning: "Where `up` keeps its queue: the file `gen-worker/queue.sqlite` below it."
    }
    HOME {
        aliases: [],
        flag: "up --db",
        default: "none: then `.gen-worker/` in the working directory",
        meaning: "Home directory, for the default of XDG_STATE_HOME."
    }
    PATH {
        aliases: [],
        flag: "",
        default: "empty",
        meaning: "Where `gen-worker run` looks for an endpoint binary that is in no build output directory."
    }
    CARGO_TARGET_DIR {
        aliases: [],
        flag: "",
        default: "`target` in the project or a directory above it",
        meaning: "Build output directory in which `gen-worker run` looks for endpoint binaries."
    }
    USER {
        aliases: [],
        flag: "",
        default: "local-dev",
        meaning: "Owner that handlers see in a local run."
    }
}
