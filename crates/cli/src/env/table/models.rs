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
        meaning: "Models that are downloaded at once; 0 = no limit."
    }
    WORKER_DOWNLOAD_RETRIES {
        default: "3",
        meaning: "Tries per model download, from 1 to 100."
    }
    TENSORHUB_CACHE_DIR {
        aliases: ["WORKER_MODEL_CACHE_DIR"],
        default: "`tensorhub-cache` in the temporary directory",
        meaning: "Directory with the store of models in `cas`. The store takes as much of the disk as it needs; models leave it, the \
                  longest unused first, when another needs the space."
    }
    TENSORHUB_CAS_DIR {
        flag: "models --store",
        default: "`cas` in TENSORHUB_CACHE_DIR",
        meaning: "The store of models itself. Any number of processes may share it."
    }
    TENSORHUB_URL {
        aliases: ["COZY_HUB_URL"],
        flag: "hub push --url",
        default: "empty",
        meaning: "Address of the hub that `run`, `prefetch`, `models pull` and `hub push` use. Workers get their models resolved by the \
                  orchestrator."
    }
    TENSORHUB_TOKEN {
        aliases: ["COZY_HUB_TOKEN"],
        flag: "hub push --token-file",
        default: "empty",
        meaning: "Bearer token for that hub. Without one only public models are found, and nothing can be pushed."
    }
    TENSORHUB_PUBLIC_URL {
        default: "empty",
        effect: Effect::Ignored("jobs use the hub that their orchestrator names, commands use TENSORHUB_URL"),
        meaning: "Address of the hub that launchers inject."
    }
    WORKER_ALLOW_COZY_HUB_API_RESOLVE {
        default: "off",
        meaning: "Have workers resolve models with TENSORHUB_URL themselves when the orchestrator sent nothing, for local \
                  development (1, true, yes)."
    }
    HF_TOKEN {
        aliases: ["HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "HUGGINGFACEHUB_API_TOKEN"],
        default: "empty",
        meaning: "Credential for Hugging Face."
    }
    HF_ENDPOINT {
        default: "https://huggingface.co",
        meaning: "Address of Hugging Face, or of a mirror of it."
    }
    HF_HOME {
        default: "`huggingface` in the store",
        meaning: "Cache of Hugging Face, shared with the Python library: models are in `hub` of it. Those that lie in the directory \
                  itself are used, too."
    }
    CIVITAI_API_KEY {
        aliases: ["CIVITAI_TOKEN"],
        default: "empty",
        meaning: "Credential for Civitai."
    }
    GEN_WORKER_ATTACHED_LORA_MAX {
        field: "attached_lora_max",
        default: "8",
        meaning: "Adapters that stay attached to one model between jobs, at most 8."
    }
    GEN_WORKER_ATTACHED_LORA_MAX_BYTES {
        field: "attached_lora_max_bytes",
        default: "2147483648",
        meaning: "Bytes of adapters that stay attached to one model between jobs."
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
        meaning: "Keep the weights of models that do not fit an accelerator in fewer bits: 4, or what an engine has (1, true, yes)."
    }
    GEN_WORKER_FORBID_CPU_OFFLOAD {
        default: "off",
        effect: Effect::Ignored("it steers Python engines"),
        meaning: "Never move weights to main memory."
    }
}
