//! Where models come from, and where they are kept. Rows only.

use super::{Effect, rows};

rows! {
    GEN_WORKER_MODELS {
        flag: "run --model, worker --model, up --model",
        default: "empty",
        meaning: "Local directories of models: comma list of `ref=directory`."
    }
    WORKER_MAX_VRAM_GB {
        default: "0",
        meaning: "Memory of each device that models take at most, in GB (2^30 bytes); 0 = all it has."
    }
    WORKER_VRAM_SAFETY_MARGIN_GB {
        default: "2",
        meaning: "Memory of a device that stays free when a model is loaded, in GB (2^30 bytes)."
    }
    WORKER_MAX_CONCURRENT_DOWNLOADS {
        default: "2",
        effect: Effect::Ignored("this build downloads no models; they come from local directories"),
        meaning: "Model downloads at once."
    }
    WORKER_DOWNLOAD_RETRIES {
        default: "3",
        effect: Effect::Ignored("this build downloads no models; they come from local directories"),
        meaning: "Tries per model download."
    }
    TENSORHUB_CACHE_DIR {
        aliases: ["WORKER_MODEL_CACHE_DIR"],
        default: "`tensorhub-cache` in the temporary directory",
        effect: Effect::Ignored("this build keeps no store of models"),
        meaning: "Root of the model cache."
    }
    TENSORHUB_CAS_DIR {
        default: "`cas` in TENSORHUB_CACHE_DIR",
        effect: Effect::Ignored("this build keeps no store of models"),
        meaning: "Content store of models."
    }
    TENSORHUB_URL {
        aliases: ["COZY_HUB_URL"],
        default: "empty",
        meaning: "Hub to resolve models with."
    }
    TENSORHUB_TOKEN {
        aliases: ["COZY_HUB_TOKEN"],
        default: "empty",
        meaning: "Bearer token for the hub."
    }
    TENSORHUB_PUBLIC_URL {
        default: "empty",
        effect: Effect::Ignored("this build does not talk to a hub"),
        meaning: "Base address of the hub that launchers inject; jobs use the one of their connection."
    }
    WORKER_ALLOW_COZY_HUB_API_RESOLVE {
        default: "off",
        effect: Effect::Ignored("this build does not talk to a hub"),
        meaning: "Resolve models with the hub in local development."
    }
    HF_TOKEN {
        aliases: ["HUGGING_FACE_HUB_TOKEN"],
        default: "empty",
        effect: Effect::Ignored("this build downloads no models; they come from local directories"),
        meaning: "Credential for Hugging Face."
    }
    HF_HOME {
        default: "empty",
        effect: Effect::Ignored("this build downloads no models; they come from local directories"),
        meaning: "Cache of Hugging Face."
    }
    CIVITAI_API_KEY {
        aliases: ["CIVITAI_TOKEN"],
        default: "empty",
        effect: Effect::Ignored("this build downloads no models; they come from local directories"),
        meaning: "Credential for Civitai."
    }
    GEN_WORKER_ATTACHED_LORA_MAX {
        field: "attached_lora_max",
        default: "8",
        effect: Effect::Ignored("this build attaches no adapters"),
        meaning: "Adapters that stay attached between jobs."
    }
    GEN_WORKER_ATTACHED_LORA_MAX_BYTES {
        field: "attached_lora_max_bytes",
        default: "2147483648",
        effect: Effect::Ignored("this build attaches no adapters"),
        meaning: "Bytes of adapters that stay attached between jobs."
    }
    GEN_WORKER_COMPILE_CACHE {
        field: "compile_cache_path",
        default: "empty",
        effect: Effect::Ignored("it steers Python engines"),
        meaning: "Directory of compiled kernels."
    }
    GEN_WORKER_COMPILE_CACHE_URL {
        field: "compile_cache_url",
        default: "empty",
        effect: Effect::Ignored("it steers Python engines"),
        meaning: "Where compiled kernels come from."
    }
    GEN_WORKER_COMPILE_ALLOW_COLD {
        field: "compile_allow_cold",
        default: "off",
        effect: Effect::Ignored("it steers Python engines"),
        meaning: "Compile when no compiled kernels are found."
    }
    GEN_WORKER_EMERGENCY_QUANT {
        default: "off",
        effect: Effect::Ignored("it steers Python engines"),
        meaning: "Quantise models that do not fit."
    }
    GEN_WORKER_FORBID_CPU_OFFLOAD {
        default: "off",
        effect: Effect::Ignored("it steers Python engines"),
        meaning: "Never move weights to main memory."
    }
}
