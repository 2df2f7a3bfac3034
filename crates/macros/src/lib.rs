//! The #[endpoint] attribute and the payload derives of gen-worker.
