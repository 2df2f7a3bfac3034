//! What the environment says of the store and of where models come from (model contract, 6; Hub contract, 1.1 to 1.3).

mod providers;

use std::path::PathBuf;

use gen_worker_core::{Binding, StoreModelsOptions, Upstream};
use gen_worker_hub::{
    BearerToken,
    client::{HubClient, HubClientOptions},
};
use gen_worker_store::StoreOptions;

use crate::{
    env::{Environment, names},
    exit::{Failure, chain},
};
use providers::ProviderSettings;

/// Models that are downloaded at once when nobody says.
const DOWNLOADS_DEFAULT: usize = 2;

/// Tries of one model when nobody says (model contract, 3.6), and most that may be asked for: the waits between them make
/// an hour.
const TRIES_DEFAULT: u32 = 3;
const TRIES_MAX: u32 = 100;

/// Who is asked for a model of the hub that is not on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The orchestrator resolves.
    Worker,
    /// This process resolves.
    Local,
    /// Nobody: no connection is made for models.
    Offline,
}

/// Settings of the store, read and checked.
pub(crate) struct StoreSettings {
    root: PathBuf,
    reach: Reach,
    hub: Option<HubClientOptions>,
    downloads: usize,
    tries: u32,
    providers: ProviderSettings,
}

impl StoreSettings {
    /// What `env` says.
    ///
    /// # Errors
    /// A value that cannot be.
    pub(crate) fn of(env: &Environment, reach: Reach) -> Result<Self, Failure> {
        let asks = match reach {
            Reach::Local => true,
            Reach::Worker => env.switch(&names::WORKER_ALLOW_COZY_HUB_API_RESOLVE)?,
            Reach::Offline => false,
        };
        let hub = env.text(&names::TENSORHUB_URL)?.filter(|_| asks).map(|base_url| {
            let token = secret(env, &names::TENSORHUB_TOKEN)?;
            Ok(HubClientOptions { base_url: base_url.to_owned(), token, ..HubClientOptions::default() })
        });
        let expected = "a whole number, 0 or more";
        let downloads = env.parsed(&names::WORKER_MAX_CONCURRENT_DOWNLOADS, expected)?.unwrap_or(DOWNLOADS_DEFAULT);
        let expected = "a whole number from 1 to 100";
        let tries = env.parsed(&names::WORKER_DOWNLOAD_RETRIES, expected)?.unwrap_or(TRIES_DEFAULT);
        if !(1..=TRIES_MAX).contains(&tries) {
            return Err(Failure::usage(format!("{} must be {expected}", names::WORKER_DOWNLOAD_RETRIES.name)));
        }
        let providers = ProviderSettings::of(env)?;
        Ok(Self { root: root(env), reach, hub: hub.transpose()?, downloads, tries, providers })
    }

    /// The same in another directory.
    #[cfg(feature = "pool")]
    pub(crate) fn at(self, root: Option<PathBuf>) -> Self {
        Self { root: root.unwrap_or(self.root), ..self }
    }

    /// How many models come at once; 0 = no limit.
    #[cfg(feature = "pool")]
    pub(crate) fn downloads(&self) -> usize {
        self.downloads
    }

    /// The options of the store, for an endpoint that declares these models.
    ///
    /// # Errors
    /// An address of a hub or a provider that is none.
    pub(crate) fn options(self, declared: Vec<Binding>) -> Result<StoreModelsOptions, Failure> {
        let Self { root, reach, hub, downloads, tries, providers } = self;
        let upstream = match (reach, hub) {
            (Reach::Offline, _) => Upstream::Offline,
            (_, Some(options)) => {
                let client = HubClient::new(options);
                let client =
                    client.map_err(|error| Failure::usage(format!("{}: {}", names::TENSORHUB_URL.name, chain(&error))));
                Upstream::Hub(Box::new(client?))
            }
            (Reach::Worker, None) => Upstream::Orchestrator,
            (Reach::Local, None) => Upstream::NoHub,
        };
        let mut store = StoreOptions::new(root);
        providers.apply(&mut store)?;
        Ok(StoreModelsOptions { store, upstream, declared, downloads, tries })
    }
}

/// Where the store is: one variable says it, or another says of which directory it is a part (C-50).
fn root(env: &Environment) -> PathBuf {
    let below = |cache: PathBuf| cache.join("cas");
    let cache = || env.raw(&names::TENSORHUB_CACHE_DIR).map(PathBuf::from);
    let own = env.raw(&names::TENSORHUB_CAS_DIR).map(PathBuf::from);
    own.or_else(|| cache().map(below)).unwrap_or_else(|| below(std::env::temp_dir().join("tensorhub-cache")))
}

/// A token, which no message repeats.
fn secret(env: &Environment, variable: &crate::env::Variable) -> Result<Option<BearerToken>, Failure> {
    let parsed = env.text(variable)?.map(str::parse).transpose();
    parsed.map_err(|error| Failure::usage(format!("{} cannot be used: {error}", variable.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_of(pairs: &[(&str, &str)]) -> PathBuf {
        StoreSettings::of(&Environment::of_pairs(pairs), Reach::Local).unwrap().root
    }

    #[test]
    fn c50_the_store_is_where_the_environment_says() {
        assert_eq!(root_of(&[("TENSORHUB_CAS_DIR", "/a"), ("TENSORHUB_CACHE_DIR", "/b")]), PathBuf::from("/a"));
        assert_eq!(root_of(&[("TENSORHUB_CACHE_DIR", "/b")]), PathBuf::from("/b/cas"));
        assert_eq!(root_of(&[]), std::env::temp_dir().join("tensorhub-cache/cas"));
    }

    #[test]
    fn m12_8_the_older_variable_names_the_cache_too() {
        assert_eq!(root_of(&[("WORKER_MODEL_CACHE_DIR", "/m")]), PathBuf::from("/m/cas"));
    }

    fn upstream(pairs: &[(&str, &str)], reach: Reach) -> Upstream {
        let settings = StoreSettings::of(&Environment::of_pairs(pairs), reach).unwrap();
        settings.options(Vec::new()).unwrap().upstream
    }

    #[test]
    fn h1_1_the_hub_is_asked_by_commands_and_not_by_workers() {
        let hub = [("TENSORHUB_URL", "http://127.0.0.1:1/prefix/"), ("TENSORHUB_TOKEN", "hush")];
        assert!(matches!(upstream(&hub, Reach::Local), Upstream::Hub(_)));
        assert!(matches!(upstream(&hub, Reach::Worker), Upstream::Orchestrator));
        assert!(matches!(upstream(&hub, Reach::Offline), Upstream::Offline));
        assert!(matches!(upstream(&[], Reach::Local), Upstream::NoHub));
        let allowed = [hub[0], ("WORKER_ALLOW_COZY_HUB_API_RESOLVE", "1")];
        assert!(matches!(upstream(&allowed, Reach::Worker), Upstream::Hub(_)));
    }

    fn store(pairs: &[(&str, &str)]) -> StoreModelsOptions {
        let settings = StoreSettings::of(&Environment::of_pairs(pairs), Reach::Local).unwrap();
        settings.options(Vec::new()).unwrap()
    }

    #[test]
    fn m3_6_models_are_tried_as_often_as_the_environment_says() {
        assert_eq!((store(&[]).tries, store(&[("WORKER_DOWNLOAD_RETRIES", "7")]).tries), (3, 7));
        for wrong in ["0", "101", "-1", "many"] {
            let env = Environment::of_pairs(&[("WORKER_DOWNLOAD_RETRIES", wrong)]);
            let failure = StoreSettings::of(&env, Reach::Local).err().unwrap();
            assert!(failure.message().contains("WORKER_DOWNLOAD_RETRIES"), "{wrong}: {}", failure.message());
        }
    }

    #[test]
    fn m7_two_models_come_at_once_or_as_many_as_the_environment_says() {
        let said = |text| store(&[("WORKER_MAX_CONCURRENT_DOWNLOADS", text)]).downloads;
        assert_eq!((store(&[]).downloads, said("7"), said("0")), (2, 7, 0));
        for wrong in ["-1", "many", "1.5"] {
            let env = Environment::of_pairs(&[("WORKER_MAX_CONCURRENT_DOWNLOADS", wrong)]);
            let failure = StoreSettings::of(&env, Reach::Local).err().unwrap();
            assert!(failure.message().contains("WORKER_MAX_CONCURRENT_DOWNLOADS"), "{wrong}: {}", failure.message());
        }
    }

    #[test]
    fn bad_settings_are_exit_2_and_show_no_secret() {
        let failure = StoreSettings::of(
            &Environment::of_pairs(&[("TENSORHUB_URL", "http://h"), ("TENSORHUB_TOKEN", "hush hush")]),
            Reach::Local,
        );
        let failure = failure.err().unwrap();
        assert_eq!(failure.exit().code(), 2);
        assert!(failure.message().contains("TENSORHUB_TOKEN") && !failure.message().contains("hush"));
        let settings = StoreSettings::of(&Environment::of_pairs(&[("TENSORHUB_URL", "ftp://h")]), Reach::Local);
        let failure = settings.unwrap().options(Vec::new()).err().unwrap();
        assert!(failure.exit().code() == 2 && failure.message().contains("TENSORHUB_URL"), "{}", failure.message());
    }
}
