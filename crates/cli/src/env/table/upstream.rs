//! Guards and selection of downloads from where models are published. Rows only.

use super::rows;

rows! {
    COZY_HF_DOWNLOAD_STALL_TIMEOUT_S {
        field: "hf_download_stall_timeout_s",
        default: "180",
        meaning: "Seconds without progress after which a transfer from Hugging Face is given up, to be tried again where it \
                  stopped; 0 = never. What is no number is the default."
    }
    COZY_HF_DOWNLOAD_MAX_SECONDS {
        field: "hf_download_max_seconds",
        default: "0",
        meaning: "Seconds that the files of one model may take from Hugging Face; then that try has failed, and the next goes on \
                  with what came. 0 = no limit. What is no number is the default."
    }
    COZY_HF_MAX_REPO_BYTES {
        field: "hf_max_repo_bytes",
        default: "60000000000; 30000000000 by the rules of 0.3",
        meaning: "Most bytes that are downloaded of one repository of Hugging Face; 0 = no limit. What is no whole number is the \
                  default."
    }
    COZY_HF_COMPONENTS {
        default: "auto",
        meaning: "Components (directories) of a pipeline of Hugging Face to download, a comma list; `auto` = those that its \
                  `model_index.json` names. When this variable or one of the next four is set, the rules of version 0.3 choose \
                  the files of every model for which its endpoint names none; what is no pipeline they refuse."
    }
    COZY_HF_INCLUDE_OPTIONAL_COMPONENTS {
        default: "off",
        meaning: "With `auto`, download `safety_checker` and `feature_extractor` too (1, true, yes, y, t)."
    }
    COZY_HF_WEIGHT_PRECISIONS {
        default: "fp16,bf16",
        meaning: "Number formats that weights are preferred in, a comma list of fp16, bf16, fp8 and fp32; fp8 is accepted \
                  and gives no preference. Weights that are there in single precision only are refused without fp32."
    }
    COZY_HF_ALLOW_ROOT_JSON {
        default: "off",
        meaning: "Download all JSON files of the root, not only `model_index.json` (1, true, yes, y, t)."
    }
    COZY_HF_FULL_REPO_DOWNLOAD {
        default: "off",
        meaning: "Download whole repositories, of any size (1, true, yes, y, t)."
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
