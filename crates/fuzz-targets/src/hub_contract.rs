//! What a hub says, and what people write where a model is named.

use gen_worker_hub::{
    BearerToken, Blake3Hash, Digest, ModelRef, RepoPath,
    api::{
        CommitCreate, CommitCreated, CommitFinalized, CommitMode, CommitOperation, Dataset, ErrorBody, LocalFile,
        RepoMetadata, Resolved, UploadSource, UploadStart,
    },
    binding::Provider,
    redact,
    token::{ByteLimits, TokenCheck},
};

/// Providers of models.
const PROVIDERS: [Provider; 4] = [Provider::Hub, Provider::HuggingFace, Provider::Civitai, Provider::ModelScope];

/// Characters that an excerpt may have.
const EXCERPT_CHARS: usize = 64;

/// No reply and no text ends anything but in a value or an error. A ref that was read is read again from its canonical form;
/// a path stays below its directory; a tree that a server names has each file once; parts cover a file exactly; and no text
/// gives a token that a check accepts.
pub fn hub_contract(input: &[u8]) {
    replies(input);
    if let Ok(text) = std::str::from_utf8(input) {
        names(text);
        token(text);
    }
}

fn replies(body: &[u8]) {
    if let Ok(mut resolved) = Resolved::from_reply(body) {
        RepoPath::check_tree(resolved.files.iter().map(|file| &file.path)).expect("a resolved ref is a tree");
        resolved.files.iter().for_each(|file| stays_below(&file.path));
        // They have numbers with fractions, which need not survive decimal digits.
        resolved.sibling_flavors.clear();
        let again = serde_json::to_vec(&resolved).expect("what was read can be written");
        assert_eq!(Resolved::from_reply(&again), Ok(resolved), "writing changed what was read");
    }
    let local = LocalFile {
        reference: "a".to_owned(),
        size_bytes: 1000,
        blake3: Blake3Hash::of(b"{}"),
        mime_type: "application/octet-stream".to_owned(),
    };
    if let Ok(UploadStart::Transfer { source, .. }) = UploadStart::from_reply(body, &local, false) {
        covers(&source, local.size_bytes);
    }
    let operation =
        CommitOperation::Add { path: "a".parse().expect("a path"), blake3: local.blake3, size_bytes: local.size_bytes };
    let commit = CommitCreate::new(CommitMode::Merge, vec![operation]);
    if let Ok(created) = CommitCreated::from_reply(body, &commit) {
        created.uploads.iter().for_each(|upload| covers(&upload.source, local.size_bytes));
    }
    if let Ok(mut commit) = serde_json::from_slice::<CommitCreate>(body) {
        commit.metadata.clear();
        let again = serde_json::to_vec(&commit).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<CommitCreate>(&again).ok(), Some(commit), "writing changed a commit");
    }
    if let Ok(files) = serde_json::from_slice::<Dataset>(body).map(|dataset| dataset.files()) {
        files.iter().flat_map(|tree| tree.files()).for_each(|file| stays_below(&file.path));
    }
    let _ = (CommitFinalized::from_reply(body), RepoMetadata::from_reply(body), ErrorBody::code_of(body));
}

fn names(text: &str) {
    for provider in PROVIDERS {
        if let Ok(reference) = ModelRef::parse(provider, text) {
            let canonical = reference.to_string();
            let again = ModelRef::parse(provider, &canonical).expect("a canonical form is a ref");
            assert_eq!(again.to_string(), canonical, "a canonical form has another");
        }
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string().parse(), Ok(digest), "a digest reads otherwise than it shows");
    }
    if let Ok(path) = text.parse::<RepoPath>() {
        stays_below(&path);
    }
    assert!(redact(text, EXCERPT_CHARS).chars().count() <= EXCERPT_CHARS, "an excerpt is too long");
}

fn token(text: &str) {
    if let Ok(token) = text.parse::<BearerToken>() {
        let _ = ByteLimits::read_unverified(&token);
        // No input is signed by this key: nobody has its other half.
        let check = TokenCheck::new(&[&[3; 32]]).expect("a key of the right length");
        assert!(check.verify(&token, 0).is_err(), "a token that nobody signed is accepted");
    }
}

fn stays_below(path: &RepoPath) {
    use std::path::{Component, Path};
    let plain = |part| matches!(part, Component::Normal(_));
    assert!(Path::new(path.as_str()).components().all(plain), "a path leaves its directory: {path}");
}

fn covers(source: &UploadSource, size_bytes: u64) {
    if let UploadSource::Parts(parts) = source {
        let end = parts.parts().fold(0, |end, (range, _)| {
            assert_eq!(range.offset, end, "parts have gaps or overlap");
            end + range.length
        });
        assert_eq!(end, size_bytes, "parts are not the file");
    }
}
