//! The functions of this worker by number and by name. Owns the table and each function's history.

use std::sync::Arc;

use gen_worker_proto::slug;

use crate::{InstanceCell, Registry, executor::InlinePolicy, function::Function, hash::FastMap};

pub(super) struct Roster {
    entries: Vec<Entry>,
    numbers: FastMap<String, usize>,
}

pub(super) struct Entry {
    pub(super) function: Arc<Function>,
    pub(super) inline: InlinePolicy,
    /// Jobs at once; 0 means no bound.
    pub(super) concurrency_max: usize,
}

impl Roster {
    pub(super) fn new(registry: &Registry) -> Self {
        let entries: Vec<_> = registry
            .functions()
            .iter()
            .map(|function| Entry {
                function: function.clone(),
                inline: InlinePolicy::default(),
                concurrency_max: function
                    .resources()
                    .max_concurrency()
                    .map_or(0, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX)),
            })
            .collect();
        let numbers =
            entries.iter().enumerate().map(|(at, entry)| (entry.function.name().as_str().to_owned(), at)).collect();
        Self { entries, numbers }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The function called `name`, in the form it travels or as its author spelled it.
    pub(super) fn find(&self, name: &str) -> Option<(usize, &Entry)> {
        let number = self.numbers.get(name).or_else(|| self.numbers.get(&slug(name))).copied()?;
        Some((number, self.entries.get(number)?))
    }

    pub(super) fn get(&self, number: usize) -> Option<&Entry> {
        self.entries.get(number)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Entry> {
        self.entries.get_mut(number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.entries.iter().map(|entry| &entry.function)
    }

    /// The functions that share `cell`.
    pub(super) fn sharing<'a>(&'a self, cell: &'a Arc<InstanceCell>) -> impl Iterator<Item = &'a Arc<Function>> {
        self.iter().filter(move |function| function.instance().is_some_and(|own| Arc::ptr_eq(own, cell)))
    }

    /// Every instance, once.
    pub(super) fn cells(&self) -> Vec<Arc<InstanceCell>> {
        distinct_cells(self.iter())
    }
}

/// Every instance of these functions, once.
pub(super) fn distinct_cells<'a>(functions: impl Iterator<Item = &'a Arc<Function>>) -> Vec<Arc<InstanceCell>> {
    let mut cells: Vec<Arc<InstanceCell>> = Vec::new();
    for cell in functions.filter_map(|function| function.instance()) {
        if !cells.iter().any(|known| Arc::ptr_eq(known, cell)) {
            cells.push(cell.clone());
        }
    }
    cells
}
