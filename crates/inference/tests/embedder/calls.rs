//! Limits, cancellation, concurrency and the edges of one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gen_worker_inference::{BackendRequest, EmbedError, EmbedderOptions, SentenceEmbedder};

use crate::tiny_model::{TinyModel, text};

fn load(change: impl FnOnce(&mut EmbedderOptions)) -> SentenceEmbedder {
    let mut options = EmbedderOptions::default();
    change(&mut options);
    SentenceEmbedder::load(TinyModel::default().write().path(), options).unwrap()
}

#[test]
fn no_texts_give_no_embeddings() {
    let embeddings = load(|_| {}).embed::<&str>(&[]).unwrap();
    assert!(embeddings.is_empty());
    assert_eq!((embeddings.rows().len(), embeddings.dimension()), (0, 16));
}

#[test]
fn texts_are_cut_at_the_longest_input_and_never_padded() {
    let embedder = load(|_| {});
    assert_eq!(embedder.tokens_max(), 32);
    let (long, longer) = (text(30, 0), text(300, 0));
    let embeddings = embedder.embed(&["", "w1", long.as_str(), longer.as_str()]).unwrap();
    assert_eq!(embeddings.token_counts(), [2, 3, 32, 32]);
    let rows: Vec<_> = embeddings.rows().collect();
    assert_eq!(rows[2], rows[3]);
}

#[test]
fn a_text_has_the_same_embedding_in_any_company() {
    let embedder = load(|options| options.tokens_per_pass = 40);
    let texts: Vec<String> = (0..20).map(|index| text(index, index)).collect();
    let together = embedder.embed(&texts).unwrap();
    for (text, row) in texts.iter().zip(together.rows()) {
        let alone = embedder.embed(&[text]).unwrap();
        let difference = alone.values().iter().zip(row).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-6, "{text:?} differs by {difference}");
    }
}

#[test]
fn limits_are_errors_that_name_the_text() {
    let embedder = load(|options| (options.texts_max, options.text_size_bytes_max) = (2, 10));
    let error = embedder.embed(&["a", "b", "c"]).unwrap_err();
    assert_eq!(error.to_string(), "3 texts in one call, at most 2 allowed");
    let error = embedder.embed(&["a", "eleven byte"]).unwrap_err();
    assert_eq!(error.to_string(), "text 1 has 11 bytes, at most 10 allowed");
}

#[test]
fn cancellation_is_seen_between_layers() {
    for backend in [BackendRequest::Auto, BackendRequest::Candle] {
        let embedder = load(|options| options.backend = backend);
        for after in 0..4 {
            let asked = AtomicUsize::new(0);
            let result = embedder.embed_unless(&["w1 w2", "w3"], &|| asked.fetch_add(1, Ordering::Relaxed) >= after);
            let finished = asked.load(Ordering::Relaxed) <= after;
            assert_eq!(matches!(result, Err(EmbedError::Canceled)), !finished, "{backend:?} after {after}: {result:?}");
        }
        assert!(embedder.embed(&["w1"]).is_ok());
    }
}

#[test]
fn one_embedder_serves_many_threads_on_its_own_pool() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let embedder = load(|options| options.pool = Some(Arc::new(pool)));
    let texts: Vec<String> = (0..30).map(|index| text(index, index)).collect();
    let expected = embedder.embed(&texts).unwrap();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| embedder.embed(&texts).unwrap())).collect();
        for call in calls {
            assert_eq!(call.join().unwrap(), expected);
        }
    });
}
