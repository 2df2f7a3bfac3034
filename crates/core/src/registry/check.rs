//! The rules of endpoints.md section 9, as far as the compiler does not check them. Pure.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, OnceLock},
};

use gen_worker_proto::FunctionName;

use crate::{
    binding::{Binding, BindingError},
    decl_error::{DeclCode, DeclError},
    endpoint::{
        EndpointDecl, HandlerDecl, Isolation, LifecycleDecl, OutputShape, Resources, SetupParameter, SlotsDecl,
    },
    function::Function,
    instance::InstanceCell,
};

/// Most processes of one endpoint. Each has its own instance; more than this is a number that was meant for calls.
const PROCESSES_MAX: u32 = 64;

/// Collects what is wrong with one endpoint.
struct Findings<'a> {
    label: String,
    errors: &'a mut Vec<DeclError>,
}

impl Findings<'_> {
    fn add(&mut self, code: DeclCode, detail: impl Into<String>) {
        self.errors.push(DeclError { code, endpoint: self.label.clone(), detail: detail.into() });
    }
}

/// Checks one endpoint. Gives the functions that could be made; if something is wrong it is in `errors` and the
/// functions only serve to find more.
pub(super) fn endpoint(decl: EndpointDecl, errors: &mut Vec<DeclError>) -> Vec<Function> {
    let mut findings = Findings { label: decl.label(), errors };
    shape(&decl, &mut findings);
    let resources = resources(&decl, &mut findings);
    let resources = isolate(resources, decl.isolation, &mut findings);
    let EndpointDecl { module, type_name, kind, slots, timeout, isolation, lifecycle, movable, handlers, .. } = decl;
    let slots = bind(slots, lifecycle.as_ref(), &handlers, &mut findings);
    let label = findings.label.clone();
    // A process of its own is prepared like an instance, also where there is nothing in it.
    let has_instance = lifecycle.is_some() || !slots.is_empty() || isolation == Isolation::Process;
    // One instance, shared by all handlers.
    let instance = has_instance.then(|| Arc::new(InstanceCell::new(label, slots.clone(), lifecycle).moved_by(movable)));
    let mut functions = Vec::with_capacity(handlers.len());
    for handler in handlers {
        let HandlerDecl { method, name, payload, output, shape, blocking, slots: _, call } = handler;
        let spelling = name.unwrap_or(method);
        let Ok(name) = FunctionName::parse(spelling) else {
            findings.add(DeclCode::EmptySlug, format!("the name {spelling:?} has no letter or digit in it"));
            continue;
        };
        functions.push(Function {
            name,
            spelling: spelling.to_owned(),
            module,
            type_name,
            method,
            kind,
            slots: slots.clone(),
            resources: resources.clone(),
            timeout,
            isolation,
            shape,
            blocking,
            payload,
            output,
            call,
            instance: instance.clone(),
            files: OnceLock::new(),
            source: OnceLock::new(),
        });
    }
    functions
}

fn shape(decl: &EndpointDecl, findings: &mut Findings<'_>) {
    if decl.handlers.is_empty() {
        findings.add(DeclCode::NoHandlers, "mark at least one function with #[handler]");
    }
    for handler in &decl.handlers {
        if decl.kind.is_producer() && handler.shape == OutputShape::Incremental {
            let detail = format!("{} streams, which only inference may, not {}", handler.method, decl.kind);
            findings.add(DeclCode::ProducerStreams, detail);
        }
        if let (Some(name), Some(type_name)) = (handler.name, decl.type_name) {
            findings
                .add(DeclCode::NameOnType, format!("handlers of {type_name} are named by their methods, not {name:?}"));
        }
    }
    if decl.timeout.is_some_and(|timeout| timeout.is_zero()) {
        findings.add(DeclCode::BadTimeout, "a time limit of zero ends every call at once");
    }
}

fn resources(decl: &EndpointDecl, findings: &mut Findings<'_>) -> Resources {
    decl.resources.check().unwrap_or_else(|errors| {
        for error in errors {
            findings.add(DeclCode::BadResources, error.to_string());
        }
        Resources::default()
    })
}

/// Functions in processes of their own run one call at a time unless they say more.
fn isolate(resources: Resources, isolation: Isolation, findings: &mut Findings<'_>) -> Resources {
    if isolation == Isolation::Shared {
        return resources;
    }
    if resources.offload() {
        let detail = "models are spread by the process that loads them: not with offload";
        findings.add(DeclCode::BadIsolation, detail);
    }
    let resources = resources.at_once(NonZeroU32::MIN);
    if let Some(limit) = resources.max_concurrency().filter(|limit| limit.get() > PROCESSES_MAX) {
        let detail = format!("max_concurrency = {limit} would be as many processes; at most {PROCESSES_MAX}");
        findings.add(DeclCode::BadIsolation, detail);
    }
    resources
}

/// Gives every slot its name and its binding, and checks that slots and parameters fit each other.
fn bind(
    decl: SlotsDecl,
    lifecycle: Option<&LifecycleDecl>,
    handlers: &[HandlerDecl],
    findings: &mut Findings<'_>,
) -> BTreeMap<String, Binding> {
    let takers = Takers::of(lifecycle, handlers);
    let SlotsDecl { shorthand, named } = decl;
    let mut slots = BTreeMap::new();
    if shorthand.is_some() && !named.is_empty() {
        findings.add(DeclCode::ModelAndSlots, "write either `model = ..` or `slots(..)`");
    }
    for (name, binding) in named {
        if !is_identifier(name) {
            findings.add(DeclCode::BadSlot, format!("slot {name:?} is not an identifier"));
        } else if slots.contains_key(name) {
            findings.add(DeclCode::BadSlot, format!("slot {name:?} is declared twice"));
        } else {
            add(&mut slots, name, binding, findings);
        }
    }
    if let Some(binding) = shorthand {
        match takers.only() {
            Some(name) => add(&mut slots, name, binding, findings),
            None => findings.add(DeclCode::AmbiguousSlot, takers.why_not_one()),
        }
    } else {
        takers.check(&slots, findings);
    }
    slots.into_iter().filter_map(|(name, binding)| Some((name, binding?))).collect()
}

/// A slot whose binding is wrong still counts as declared.
fn add(
    slots: &mut BTreeMap<String, Option<Binding>>,
    name: &str,
    binding: Result<Binding, BindingError>,
    findings: &mut Findings<'_>,
) {
    let binding = binding.map_err(|error| findings.add(DeclCode::BadSlot, format!("slot {name}: {error}"))).ok();
    slots.insert(name.to_owned(), binding);
}

/// The parameters that slots go to.
struct Takers {
    setup: Vec<&'static str>,
    /// A setup that takes whatever there is.
    catch_all: bool,
    declared_setup: bool,
    per_call: Vec<&'static str>,
}

impl Takers {
    fn of(lifecycle: Option<&LifecycleDecl>, handlers: &[HandlerDecl]) -> Self {
        let parameters = lifecycle.map(|lifecycle| lifecycle.parameters.as_slice()).unwrap_or_default();
        let setup = parameters.iter().filter_map(|parameter| match parameter {
            SetupParameter::Slot(name) => Some(*name),
            SetupParameter::All => None,
        });
        let mut per_call: Vec<_> = handlers.iter().flat_map(|handler| handler.slots.iter().copied()).collect();
        per_call.sort_unstable();
        per_call.dedup();
        Self {
            setup: setup.collect(),
            catch_all: parameters.contains(&SetupParameter::All),
            declared_setup: lifecycle.is_some_and(|lifecycle| lifecycle.declared_setup),
            per_call,
        }
    }

    /// The one parameter that `model = ..` is named after.
    fn only(&self) -> Option<&'static str> {
        match (self.declared_setup, self.setup.as_slice(), self.catch_all, self.per_call.as_slice()) {
            (true, [name], false, _) | (false, _, _, [name]) => Some(name),
            // A catch-all alone gives no name, and nobody asks for one.
            (true, [], true, _) => Some("model"),
            _ => None,
        }
    }

    fn why_not_one(&self) -> String {
        let (what, count) =
            if self.declared_setup { ("setup", self.setup.len()) } else { ("the handlers", self.per_call.len()) };
        format!("`model = ..` is named after the only slot parameter, but {what} take {count}; use `slots(name = ..)`")
    }

    fn check(&self, slots: &BTreeMap<String, Option<Binding>>, findings: &mut Findings<'_>) {
        for name in self.setup.iter().chain(&self.per_call).filter(|name| !slots.contains_key(**name)) {
            findings.add(DeclCode::UnfilledSetup, format!("no slot is called {name:?}, which a parameter asks for"));
        }
        if self.catch_all {
            return;
        }
        for name in slots.keys() {
            if !self.setup.contains(&name.as_str()) && !self.per_call.contains(&name.as_str()) {
                findings.add(DeclCode::UnusedSlot, format!("no parameter takes slot {name:?}"));
            }
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first == '_' || first.is_alphabetic())
        && chars.all(|rest| rest == '_' || rest.is_alphanumeric())
}
