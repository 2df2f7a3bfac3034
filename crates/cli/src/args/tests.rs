use super::{embedded::Embedded, *};
use crate::exit::Failure;

fn parsed(line: &str) -> Result<Parsed<Embedded>, Failure> {
    parse(std::iter::once("marco-polo").chain(line.split_whitespace()).map(Into::into))
}

fn run(line: &str) -> Box<RunArgs> {
    match parsed(line).expect("valid arguments") {
        Parsed::Command(Embedded { command: Command::Run(args) }) => args,
        other => panic!("not a run: {other:?}"),
    }
}

fn mistake(line: &str) -> String {
    let failure = parsed(line).expect_err("a mistake");
    assert_eq!(failure.exit().code(), 2, "{line}");
    failure.message().to_owned()
}

#[test]
fn c5_no_or_unknown_command_is_a_usage_error() {
    assert!(mistake("").contains("worker"), "the help lists the commands");
    assert!(mistake("frobnicate").contains("unrecognized subcommand 'frobnicate'"));
    assert!(mistake("run --frobnicate").contains("unexpected argument '--frobnicate'"));
    assert!(!mistake("run --frobnicate").contains("Usage"));
    assert!(mistake("run --payload {} --payload-file x").contains("cannot be used with"));
    assert!(matches!(parsed("run --help").unwrap(), Parsed::Text(text) if text.contains("--payload-file")));
}

#[test]
fn c5_flags_of_later_features_are_unknown() {
    for flag in ["--attach", "--variant=auto", "--source-path=x", "--allow-publish"] {
        assert!(mistake(&format!("run {flag}")).contains("unexpected argument"), "{flag}");
    }
}

#[test]
fn c7_prefixes_equals_order_and_negatives() {
    assert_eq!(run("run --meth=echo").method.as_deref(), Some("echo"));
    assert_eq!(run("run a=1 --pretty b=2").tokens, ["a=1", "b=2"]);
    assert!(run("run a=1 --pretty b=2").pretty);
    assert_eq!(run("run -5").tokens, ["-5"]);
    assert_eq!(run("run -- --bare").tokens, ["--bare"]);
    assert_eq!(run("run --payload -5").payload.as_deref(), Some("-5"));
    assert!(mistake("run --p=1").contains("--p"), "an ambiguous prefix");
}

#[test]
fn models_are_ref_equals_dir() {
    let args = run("run --model a/b=/m/x=y --model c/d=rel");
    let model = |model: &str, dir: &str| ModelDir { model: model.to_owned(), dir: dir.into() };
    assert_eq!(args.models, [model("a/b", "/m/x=y"), model("c/d", "rel")]);
    assert!(mistake("run --model a/b").contains("expected REF=DIR"));
    assert!(mistake("run --model =x").contains("expected REF=DIR"));
}
