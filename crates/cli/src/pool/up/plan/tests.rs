use clap::Parser as _;

use super::*;
use crate::pool::args::{Command, Pool};

fn plan(words: &[&str], pairs: &[(&str, &str)]) -> Result<Plan, Failure> {
    let words = ["gen-worker", "up"].iter().chain(words);
    let Command::Up(args) = Pool::try_parse_from(words).expect("valid arguments").command else { unreachable!() };
    Plan::make(*args, &Environment::of_pairs(pairs))
}

#[test]
fn p19_reachable_addresses_need_consent() {
    let failure = plan(&["--listen", "0.0.0.0:0"], &[]).unwrap_err();
    assert!(failure.exit().code() == 2 && failure.message().contains("--dev-allow-remote"));
    assert!(plan(&["--wire-listen", "[::]:0"], &[]).is_err());
    assert!(plan(&["--listen", "0.0.0.0:0", "--dev-allow-remote"], &[]).is_ok());
    assert!(plan(&["--listen", "[::1]:0"], &[]).is_ok());
}

#[test]
fn queue_lies_in_the_state_directory() {
    let db = |words: &[&str], pairs: &[(&str, &str)]| plan(words, pairs).unwrap().db;
    let state = [("XDG_STATE_HOME", "/state"), ("HOME", "/home/ann")];
    assert_eq!(db(&[], &state), Some("/state/gen-worker/queue.sqlite".into()));
    assert_eq!(db(&[], &[("HOME", "/home/ann")]), Some("/home/ann/.local/state/gen-worker/queue.sqlite".into()));
    assert_eq!(db(&[], &[]), Some(".gen-worker/queue.sqlite".into()));
    assert_eq!(db(&["--db", "q"], &state), Some("q".into()));
    assert_eq!(db(&["--memory"], &state), None);
}

#[test]
fn history_is_kept_for_days_or_for_ever() {
    let history = |words: &[&str]| plan(words, &[]).unwrap().history;
    assert_eq!(history(&[]), Some(30 * DAY));
    assert_eq!(history(&["--history-days", "2"]), Some(2 * DAY));
    assert_eq!(history(&["--history-days", "0"]), None);
}

#[test]
fn workers_get_everything_they_need() {
    let program = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (endpoint, model) = (program.display().to_string(), format!("a/b={}", dir.path().display()));
    let plan = plan(&["--endpoint", &endpoint, "--workers", "2", "--model", &model, "--log", "debug"], &[]).unwrap();
    let workers = plan.workers(SocketAddr::from(([127, 0, 0, 1], 7)));
    assert_eq!(workers.len(), 2);
    assert_ne!(workers[0].worker_id, workers[1].worker_id);
    let again = |words: &[&str]| {
        let all: Vec<_> = ["--endpoint", &endpoint].iter().chain(words).copied().collect();
        self::plan(&all, &[]).unwrap().workers(SocketAddr::from(([127, 0, 0, 1], 8))).remove(0)
    };
    assert_eq!(again(&[]).worker_id, workers[0].worker_id, "results of a pool that died are delivered by the next");
    assert_ne!(again(&["--db", "other"]).worker_id, workers[0].worker_id);
    assert_ne!(again(&["--memory"]).worker_id, again(&["--memory"]).worker_id);
    assert!(again(&["--db", "/q"]).args.windows(2).any(|pair| pair == ["--spool-dir", "/q.spool"]));
    assert!(again(&["--memory"]).args.windows(2).any(|pair| pair == ["--spool", "never"]));
    let args: Vec<_> = workers[1].args.iter().map(|arg| arg.to_string_lossy()).collect();
    for expected in ["worker", "--exit-with-stdin", "grpc://127.0.0.1:7", &workers[1].worker_id, &model, "debug", "30"]
    {
        assert!(args.iter().any(|arg| arg == expected), "{expected} in {args:?}");
    }
}

#[test]
fn wrong_endpoints_and_models_are_told_at_once() {
    let code = |words: &[&str]| plan(words, &[]).unwrap_err().exit().code();
    assert_eq!(code(&["--endpoint", "/nope"]), 2);
    assert_eq!(code(&["--endpoint", "/"]), 2);
    assert_eq!(code(&["--model", "a/b=/nope"]), 3);
}
