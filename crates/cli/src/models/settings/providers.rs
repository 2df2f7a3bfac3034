//! What the environment says of the providers of models that are not the hub (model contract, 4 and 5).

use std::{path::PathBuf, time::Duration};

use gen_worker_hub::{BearerToken, RepoPath};
use gen_worker_store::{HuggingFaceOptions, LegacySelection, StoreOptions};

use super::secret;
use crate::{
    env::{Environment, Variable, names},
    exit::{Failure, chain},
};

/// Components that say what says nothing: those that the pipeline names.
const AUTO: &str = "auto";

/// Number formats that weights may be asked for in.
const PRECISIONS: [&str; 4] = ["fp16", "bf16", "fp8", "fp32"];

/// Variables any of which has the rules of version 0.3 choose files (section 4b).
static LEGACY: [&Variable; 5] = [
    &names::COZY_HF_COMPONENTS,
    &names::COZY_HF_INCLUDE_OPTIONAL_COMPONENTS,
    &names::COZY_HF_WEIGHT_PRECISIONS,
    &names::COZY_HF_ALLOW_ROOT_JSON,
    &names::COZY_HF_FULL_REPO_DOWNLOAD,
];

/// Settings of providers, read and checked; none = the provider's own.
pub(super) struct ProviderSettings {
    hugging_face: HuggingFaceSettings,
    civitai_key: Option<BearerToken>,
    /// Least time for a connection.
    connect: Option<Duration>,
    /// Least time for an answer.
    read: Option<Duration>,
}

struct HuggingFaceSettings {
    home: Option<PathBuf>,
    endpoint: Option<String>,
    token: Option<BearerToken>,
    bytes_max: Option<String>,
    stall: Option<Duration>,
    download_max: Option<Duration>,
    legacy: Option<LegacySelection>,
}

impl ProviderSettings {
    /// What `env` says.
    ///
    /// # Errors
    /// A value that cannot be.
    pub(super) fn of(env: &Environment) -> Result<Self, Failure> {
        Ok(Self {
            hugging_face: HuggingFaceSettings::of(env)?,
            civitai_key: secret(env, &names::CIVITAI_API_KEY)?,
            connect: env.seconds(&names::COZY_HTTP_CONNECT_TIMEOUT_S)?,
            read: env.seconds(&names::COZY_HTTP_READ_TIMEOUT_S)?,
        })
    }

    /// Sets what was said.
    ///
    /// # Errors
    /// An address that is none.
    pub(super) fn apply(self, store: &mut StoreOptions) -> Result<(), Failure> {
        self.hugging_face.apply(&mut store.providers.hugging_face)?;
        store.providers.civitai.key = self.civitai_key;
        // They raise the limits of the contract, and lower none.
        let raise =
            |limit: &mut Duration, least: Option<Duration>| *limit = least.map_or(*limit, |least| least.max(*limit));
        raise(&mut store.transfer.connect, self.connect);
        raise(&mut store.providers.connect, self.connect);
        raise(&mut store.transfer.stall, self.read);
        raise(&mut store.providers.call, self.read);
        Ok(())
    }
}

impl HuggingFaceSettings {
    fn of(env: &Environment) -> Result<Self, Failure> {
        let owned = |variable| Ok::<_, Failure>(env.text(variable)?.map(str::to_owned));
        Ok(Self {
            home: env.raw(&names::HF_HOME).map(PathBuf::from),
            endpoint: owned(&names::HF_ENDPOINT)?,
            token: secret(env, &names::HF_TOKEN)?,
            bytes_max: owned(&names::COZY_HF_MAX_REPO_BYTES)?,
            stall: env.text(&names::COZY_HF_DOWNLOAD_STALL_TIMEOUT_S)?.map(HuggingFaceOptions::stall_of),
            download_max: env.text(&names::COZY_HF_DOWNLOAD_MAX_SECONDS)?.and_then(HuggingFaceOptions::download_max_of),
            legacy: legacy(env)?,
        })
    }

    fn apply(self, options: &mut HuggingFaceOptions) -> Result<(), Failure> {
        let Self { home, endpoint, token, bytes_max, stall, download_max, legacy } = self;
        if let Some(home) = home {
            options.home = home;
        }
        if let Some(endpoint) = endpoint {
            let set = options.set_endpoint(endpoint);
            // The address is not shown: a user in it may be a secret.
            set.map_err(|error| Failure::usage(format!("{}: {}", names::HF_ENDPOINT.name, chain(&error))))?;
        }
        if let Some(text) = bytes_max {
            options.set_bytes_max(&text);
        }
        (options.token, options.stall, options.download_max, options.legacy) = (token, stall, download_max, legacy);
        Ok(())
    }
}

/// The older selection of files, when one of its variables is set.
fn legacy(env: &Environment) -> Result<Option<LegacySelection>, Failure> {
    if LEGACY.iter().all(|variable| env.raw(variable).is_none()) {
        return Ok(None);
    }
    let switch = |variable| Ok::<_, Failure>(env.text(variable)?.is_some_and(LegacySelection::is_truthy));
    let mut selection = LegacySelection {
        components: components(env)?,
        optional_components: switch(&names::COZY_HF_INCLUDE_OPTIONAL_COMPONENTS)?,
        root_json: switch(&names::COZY_HF_ALLOW_ROOT_JSON)?,
        full_repo: switch(&names::COZY_HF_FULL_REPO_DOWNLOAD)?,
        ..LegacySelection::default()
    };
    if let Some(precisions) = precisions(env)? {
        selection.precisions = precisions;
    }
    Ok(Some(selection))
}

/// The directories that are wanted; none for those that the pipeline names.
fn components(env: &Environment) -> Result<Vec<String>, Failure> {
    let variable = &names::COZY_HF_COMPONENTS;
    let Some(text) = env.text(variable)?.filter(|text| !text.eq_ignore_ascii_case(AUTO)) else {
        return Ok(Vec::new());
    };
    let words = LegacySelection::words(text);
    if words.is_empty() || words.iter().any(|word| word.parse::<RepoPath>().is_err()) {
        return Err(env.unexpected(variable, "auto, or directories with commas in between, such as unet,vae"));
    }
    Ok(words)
}

/// The number formats that are wanted, in lower case.
fn precisions(env: &Environment) -> Result<Option<Vec<String>>, Failure> {
    let variable = &names::COZY_HF_WEIGHT_PRECISIONS;
    let Some(text) = env.text(variable)? else { return Ok(None) };
    let words = LegacySelection::words(&text.to_ascii_lowercase());
    if words.is_empty() || words.iter().any(|word| !PRECISIONS.contains(&word.as_str())) {
        return Err(env.unexpected(variable, &format!("some of {}, with commas in between", PRECISIONS.join(", "))));
    }
    Ok(Some(words))
}

#[cfg(test)]
mod tests;
