//! How the worker finds, reaches and greets the orchestrator. Rows only.

use super::rows;

rows! {
    ORCHESTRATOR_PUBLIC_ADDR {
        aliases: ["SCHEDULER_ADDR", "SCHEDULER_PUBLIC_ADDR", "ORCHESTRATOR_URL"],
        flag: "worker --addr",
        default: "required by `worker`",
        meaning: "Address of the orchestrator: `host:port`, or with a scheme `grpc://`, `http://` (plain text), \
                  `grpcs://`, `https://` (TLS). Without a scheme TLS is used only for port 443."
    }
    SCHEDULER_ADDRS {
        flag: "worker --addr, repeated",
        default: "empty",
        meaning: "Comma list of further addresses, tried in order after the first one."
    }
    USE_TLS {
        default: "off",
        meaning: "TLS also for addresses without a scheme (1, true, yes)."
    }
    GRPC_CA_BUNDLE {
        flag: "worker --ca-bundle",
        default: "the system's roots",
        meaning: "PEM file with the only roots that TLS connections trust."
    }
    WORKER_JWT {
        default: "empty",
        meaning: "Bearer token of the worker. There is no flag for it: command lines are public on the machine."
    }
    AUTH_TOKEN {
        default: "empty",
        meaning: "Older name of the token; wins over WORKER_JWT when both are set, with a warning if they differ."
    }
    SCHEDULER_JWKS_URL {
        default: "empty",
        meaning: "Keys (JWKS) to verify the worker token with before connecting, fetched by `https` or \
                  `http`. A token that fails the check, or none at all, ends the worker with code 1; a pushed token \
                  that fails it is not used. RS256, ES256 and EdDSA are accepted."
    }
    SCHEDULER_JWKS_TTL_SECONDS {
        default: "300",
        meaning: "Seconds for which fetched keys are used without asking again."
    }
    SCHEDULER_JWT_ISSUER {
        default: "not checked",
        meaning: "`iss` that the worker token must have; checked with SCHEDULER_JWKS_URL only."
    }
    SCHEDULER_JWT_AUDIENCE {
        default: "not checked",
        meaning: "`aud` that the worker token must have or contain; checked with SCHEDULER_JWKS_URL only."
    }
    WORKER_ID {
        flag: "worker --worker-id",
        default: "`sub` of the token, else host name and a random suffix",
        meaning: "Identity of the worker. Two workers with one id replace each other."
    }
    GEN_WORKER_RELEASE_ID {
        flag: "worker --release-id",
        default: "`release_id` of the token, else empty",
        meaning: "Release that the worker belongs to."
    }
    WORKER_DISCONNECTED_TIMEOUT_S {
        flag: "worker --disconnect-limit",
        default: "600",
        meaning: "Seconds without a connection after which the worker exits with code 1; 0 = never."
    }
    RECONNECT_DELAY {
        default: "1",
        meaning: "Base of the reconnect backoff in seconds."
    }
    RECONNECT_MAX_DELAY {
        default: "30",
        meaning: "Cap of the reconnect backoff in seconds."
    }
    MAX_RECONNECT_ATTEMPTS {
        default: "0",
        meaning: "Failed dials in a row after which the worker exits with code 1; 0 = no limit."
    }
    WORKER_IMAGE_DIGEST {
        default: "empty",
        meaning: "Digest of the container image, reported to the orchestrator."
    }
    WORKER_GIT_COMMIT {
        default: "empty",
        meaning: "Commit that the endpoint was built from, reported to the orchestrator."
    }
    RUNPOD_POD_ID {
        default: "empty",
        meaning: "Cloud instance id, reported to the orchestrator."
    }
}
