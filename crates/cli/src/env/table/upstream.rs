//! Guards and selection of downloads from where models are published. Rows only.

use super::{Effect, rows};

rows! {
    COZY_HF_DOWNLOAD_STALL_TIMEOUT_S {
        field: "hf_download_stall_timeout_s",
        default: "180",
        effect: Effect::Ignored("transfers have limits of their own"),
        meaning: "Seconds without progress that end a download; 0 = never."
    }
    COZY_HF_DOWNLOAD_MAX_SECONDS {
        field: "hf_download_max_seconds",
        default: "0",
        effect: Effect::Ignored("transfers have limits of their own"),
        meaning: "Seconds that a download may take; 0 = no limit."
    }
    COZY_HF_MAX_REPO_BYTES {
        field: "hf_max_repo_bytes",
        default: "60000000000",
        meaning: "Largest repository in bytes; 0 = no limit."
    }
    COZY_HF_COMPONENTS {
        default: "auto",
        effect: Effect::Ignored("files are selected by the newer rules"),
        meaning: "Components to download."
    }
    COZY_HF_INCLUDE_OPTIONAL_COMPONENTS {
        default: "off",
        effect: Effect::Ignored("files are selected by the newer rules"),
        meaning: "Download optional components too."
    }
    COZY_HF_WEIGHT_PRECISIONS {
        default: "fp16,bf16",
        effect: Effect::Ignored("files are selected by the newer rules"),
        meaning: "Precisions to download."
    }
    COZY_HF_ALLOW_ROOT_JSON {
        default: "off",
        effect: Effect::Ignored("files are selected by the newer rules"),
        meaning: "Download JSON files of the root too."
    }
    COZY_HF_FULL_REPO_DOWNLOAD {
        default: "off",
        effect: Effect::Ignored("files are selected by the newer rules"),
        meaning: "Download whole repositories."
    }
    COZY_HTTP_CONNECT_TIMEOUT_S {
        default: "15",
        meaning: "Least seconds to connect to upstream servers: raises the limits of 30 for calls and 60 for transfers."
    }
    COZY_HTTP_READ_TIMEOUT_S {
        default: "60",
        meaning: "Least seconds to wait for upstream servers: raises the limits of 120 for calls and 180 for transfers."
    }
}
