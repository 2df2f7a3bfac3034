//! Pushed tokens: checked first where a check was asked for, then used from the next dial on (W21). Owns the check of
//! the latest one.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::{JoinError, JoinHandle};
use tracing::{debug, warn};

use super::{serving::Serving, wakes::Source};
use crate::token_check::TokenRefused;

/// The token that is being checked. A newer one takes its place: only the latest is worth using.
#[derive(Default)]
pub(super) struct PushedToken {
    check: Option<JoinHandle<Result<String, TokenRefused>>>,
}

/// How a check ended.
pub(super) type Checked = Result<Result<String, TokenRefused>, JoinError>;

impl PushedToken {
    /// The end of the check, once.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Checked> {
        let Some(check) = &mut self.check else { return Poll::Pending };
        let checked = std::task::ready!(Pin::new(check).poll(cx));
        self.check = None;
        Poll::Ready(checked)
    }
}

impl Serving {
    /// A token from the orchestrator.
    pub(super) fn token_pushed(&mut self, token: String) {
        if token.is_empty() {
            return debug!("empty token ignored");
        }
        let Some(check) = self.options.token_check.clone() else { return self.use_token(token) };
        let checking = async move { check.check(token.clone()).await.map(|()| token) };
        if let Some(older) = self.pushed.check.replace(self.scope.spawn_bare(checking)) {
            older.abort();
        }
        self.wakes.renew(Source::Token);
    }

    /// The check of the latest token is over.
    pub(super) fn token_checked(&mut self, checked: Checked) {
        match checked {
            Ok(Ok(token)) => self.use_token(token),
            Ok(Err(refused)) => {
                let error: &(dyn std::error::Error + 'static) = &refused;
                warn!(error, "pushed token ignored: it failed the check; the former stays");
            }
            // The worker is ending, or the check panicked; either way nothing vouches for the token.
            Err(error) => debug!(%error, "check of a pushed token did not end"),
        }
    }

    fn use_token(&mut self, token: String) {
        self.executor.renew_tokens_as(&token);
        self.options.token = Some(token);
        self.policy.forgive();
    }
}
