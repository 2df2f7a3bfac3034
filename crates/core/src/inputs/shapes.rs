//! Where in payloads of a type files may be: its JSON Schema, without all that leads to none. Immutable.
//!
//! A file is an object with the fields of [`crate::Asset`], whatever its type is called and whatever fields it has besides, so
//! that an author's own type around one is found as well.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

/// Fields by which an object is known as a file.
const FILE_FIELDS: [&str; 4] = ["ref", "local_path", "mime_type", "url_max_bytes"];

/// Where references to definitions begin.
const DEFINITIONS: &str = "#/$defs/";

/// Keywords whose members are other views of the same value.
const SAME_VALUE: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// Deepest schema that is looked into. Types of real payloads have a handful of levels, and those that contain themselves
/// refer to definitions.
const SCHEMA_DEPTH_MAX: usize = 64;

/// Where files may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileShapes {
    shapes: Vec<Shape>,
    root: Views,
}

/// Numbers of shapes, any of which a value may have.
pub(super) type Views = Vec<usize>;

#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    is_file: bool,
    /// The same value, seen otherwise.
    also: Views,
    fields: BTreeMap<String, Views>,
    /// Fields that have no name of their own.
    rest: Views,
    items: Views,
}

impl FileShapes {
    /// The places of `schema`; none when there is none, as for most types.
    pub(crate) fn of(schema: &Value) -> Option<Self> {
        let definitions = schema.get("$defs").and_then(Value::as_object);
        let mut compiler = Compiler { definitions, shapes: Vec::new(), known: HashMap::new() };
        let root = compiler.views(schema, 0);
        let mut shapes = Self { shapes: compiler.shapes, root };
        shapes.prune();
        (!shapes.root.is_empty()).then_some(shapes)
    }

    /// What the whole payload may be.
    pub(super) fn root(&self) -> Views {
        self.expanded(&self.root)
    }

    /// Whether a value that may be `views` may be a file.
    pub(super) fn is_file(&self, views: &[usize]) -> bool {
        self.each(views).any(|shape| shape.is_file)
    }

    /// What the field `name` of such a value may be.
    pub(super) fn field(&self, views: &[usize], name: &str) -> Views {
        self.expanded(self.each(views).flat_map(|shape| shape.fields.get(name).unwrap_or(&shape.rest)))
    }

    /// What an item of such a value may be.
    pub(super) fn item(&self, views: &[usize]) -> Views {
        self.expanded(self.each(views).flat_map(|shape| &shape.items))
    }

    fn each<'a>(&'a self, views: &'a [usize]) -> impl Iterator<Item = &'a Shape> {
        views.iter().filter_map(|view| self.shapes.get(*view))
    }

    /// `views` with all that they are also, each once.
    fn expanded<'a>(&self, views: impl IntoIterator<Item = &'a usize>) -> Views {
        let mut all = Views::new();
        let mut due: Vec<usize> = views.into_iter().copied().collect();
        while let Some(view) = due.pop() {
            if !all.contains(&view) {
                all.push(view);
                due.extend(self.shapes.get(view).into_iter().flat_map(|shape| &shape.also));
            }
        }
        all
    }

    /// Drops every way that leads to no file: values behind it are passed over without a look.
    fn prune(&mut self) {
        let mut leads: BTreeSet<usize> = BTreeSet::new();
        loop {
            let before = leads.len();
            for (at, shape) in self.shapes.iter().enumerate() {
                if shape.is_file || shape.ways().any(|way| leads.contains(way)) {
                    leads.insert(at);
                }
            }
            if leads.len() == before {
                break;
            }
        }
        let kept = |views: &mut Views| views.retain(|view| leads.contains(view));
        kept(&mut self.root);
        for shape in &mut self.shapes {
            [&mut shape.also, &mut shape.rest, &mut shape.items].into_iter().for_each(kept);
            // A field that leads to none stays with its name: it is none of the rest.
            shape.fields.values_mut().for_each(kept);
        }
    }
}

impl Shape {
    fn ways(&self) -> impl Iterator<Item = &usize> {
        self.also.iter().chain(&self.rest).chain(&self.items).chain(self.fields.values().flatten())
    }
}

struct Compiler<'a> {
    definitions: Option<&'a Map<String, Value>>,
    shapes: Vec<Shape>,
    /// Shapes of definitions, also of those that are still being read.
    known: HashMap<&'a str, usize>,
}

impl<'a> Compiler<'a> {
    fn views(&mut self, schema: &'a Value, depth: usize) -> Views {
        let Value::Object(schema) = schema else { return Views::new() };
        if depth >= SCHEMA_DEPTH_MAX {
            return Views::new();
        }
        let referred = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix(DEFINITIONS));
        let mut views: Views = referred.and_then(|name| self.definition(name, depth)).into_iter().collect();
        for keyword in SAME_VALUE {
            for member in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                views.extend(self.views(member, depth + 1));
            }
        }
        if let Some(own) = self.own(schema, depth) {
            views.push(self.add(own));
        }
        views
    }

    fn definition(&mut self, name: &'a str, depth: usize) -> Option<usize> {
        if let Some(known) = self.known.get(name) {
            return Some(*known);
        }
        let definition = self.definitions?.get(name)?;
        let at = self.add(Shape::default());
        self.known.insert(name, at);
        let also = self.views(definition, depth + 1);
        if let Some(shape) = self.shapes.get_mut(at) {
            shape.also = also;
        }
        Some(at)
    }

    /// What the keywords of the object itself say.
    fn own(&mut self, schema: &'a Map<String, Value>, depth: usize) -> Option<Shape> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let is_file = properties.is_some_and(|fields| FILE_FIELDS.iter().all(|name| fields.contains_key(*name)));
        let mut shape = Shape { is_file, ..Shape::default() };
        for (name, field) in properties.into_iter().flatten() {
            let views = self.views(field, depth + 1);
            shape.fields.insert(name.clone(), views);
        }
        for (keyword, views) in [("additionalProperties", &mut shape.rest), ("items", &mut shape.items)] {
            if let Some(inner) = schema.get(keyword) {
                *views = self.views(inner, depth + 1);
            }
        }
        for item in schema.get("prefixItems").and_then(Value::as_array).into_iter().flatten() {
            shape.items.extend(self.views(item, depth + 1));
        }
        (shape != Shape::default()).then_some(shape)
    }

    fn add(&mut self, shape: Shape) -> usize {
        self.shapes.push(shape);
        self.shapes.len() - 1
    }
}
