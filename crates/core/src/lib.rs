//! The worker side of gen-worker: endpoint registry, contexts, job loop, link to the orchestrator.
