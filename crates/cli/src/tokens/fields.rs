//! The fields of a payload, as far as tokens need to know them: read from its JSON Schema.

use serde_json::{Map, Value};

/// How far `$ref`, `allOf` and unions are followed. Real schemas need three or four steps; the bound keeps a
/// schema that refers to itself from looping.
const SCHEMA_DEPTH_MAX: usize = 16;

/// The declared type of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FieldType {
    /// A string, bounded or not.
    Text,
    Bool,
    Int,
    Float,
    /// A closed set of values.
    Enum(Vec<Value>),
    /// Several types, in declared order.
    Union {
        alternatives: Vec<FieldType>,
        nullable: bool,
    },
    /// List, tuple, set or map.
    Collection,
    /// Raw bytes; base64 text in JSON.
    Bytes,
    /// Nested struct, any, or unknown.
    Guess,
}

impl FieldType {
    /// Whether the field holds bytes, possibly optional ones.
    pub(crate) fn is_bytes(&self) -> bool {
        match self {
            Self::Bytes => true,
            Self::Union { alternatives, .. } => alternatives.iter().any(Self::is_bytes),
            _ => false,
        }
    }

    fn is_text(&self) -> bool {
        match self {
            Self::Text => true,
            Self::Union { alternatives, .. } => matches!(alternatives.as_slice(), [only] if only.is_text()),
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Field {
    name: String,
    kind: FieldType,
    required: bool,
}

/// The fields of one payload type: required ones first, in declared order.
#[derive(Debug)]
pub(crate) struct Fields(Vec<Field>);

impl Fields {
    /// Reads the fields out of a schema whose root is inlined or a reference into its own `$defs`. `None` when the
    /// schema describes no struct.
    pub(crate) fn from_schema(schema: &Value) -> Option<Self> {
        let scope = Scope { defs: schema.get("$defs").and_then(Value::as_object) };
        let root = scope.follow(schema)?;
        let properties = root.get("properties")?.as_object()?;
        let required: Vec<&str> =
            root.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let place = |name: &str| required.iter().position(|required| *required == name);
        let mut fields: Vec<(Option<usize>, Field)> = properties
            .iter()
            .map(|(name, schema)| {
                let kind = scope.field_type(schema, SCHEMA_DEPTH_MAX);
                (place(name), Field { name: name.clone(), kind, required: place(name).is_some() })
            })
            .collect();
        // An object of a schema may have lost the declared order, the list of required names has not.
        fields.sort_by_key(|(place, _)| place.unwrap_or(usize::MAX));
        Some(Self(fields.into_iter().map(|(_, field)| field).collect()))
    }

    /// The type of the field called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&FieldType> {
        self.0.iter().find(|field| field.name == name).map(|field| &field.kind)
    }

    /// All names, required ones first.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|field| field.name.clone()).collect()
    }

    /// Where a bare word goes: the first required string field, else the first required one, else the first.
    pub(crate) fn primary(&self) -> Option<(&str, &FieldType)> {
        let required = || self.0.iter().filter(|field| field.required);
        required()
            .find(|field| field.kind.is_text())
            .or_else(|| required().next())
            .or_else(|| self.0.first())
            .map(|field| (field.name.as_str(), &field.kind))
    }
}

struct Scope<'a> {
    defs: Option<&'a Map<String, Value>>,
}

impl<'a> Scope<'a> {
    /// The schema behind references.
    fn follow(&self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        let mut schema = schema.as_object()?;
        for _ in 0..SCHEMA_DEPTH_MAX {
            let Some(target) = schema.get("$ref").and_then(Value::as_str) else { return Some(schema) };
            schema = self.defs?.get(target.strip_prefix("#/$defs/")?)?.as_object()?;
        }
        None
    }

    fn field_type(&self, schema: &'a Value, depth: usize) -> FieldType {
        let Some((schema, depth)) = self.follow(schema).zip(depth.checked_sub(1)) else { return FieldType::Guess };
        if let Some(members) = schema.get("enum").and_then(Value::as_array) {
            return FieldType::Enum(members.clone());
        }
        if let Some(member) = schema.get("const") {
            return FieldType::Enum(vec![member.clone()]);
        }
        for union in ["anyOf", "oneOf"] {
            if let Some(alternatives) = schema.get(union).and_then(Value::as_array) {
                return union_of(alternatives.iter().map(|schema| self.named_type(schema, depth)).collect());
            }
        }
        if let Some([only]) = schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            return self.field_type(only, depth);
        }
        match schema.get("type") {
            Some(Value::String(name)) => simple(name, schema).unwrap_or(FieldType::Guess),
            Some(Value::Array(names)) => {
                union_of(names.iter().filter_map(Value::as_str).map(|name| simple(name, schema)).collect())
            }
            _ => FieldType::Guess,
        }
    }

    /// The type of one alternative; `None` for null.
    fn named_type(&self, schema: &'a Value, depth: usize) -> Option<FieldType> {
        let null =
            schema.get("type").and_then(Value::as_str) == Some("null") || schema.get("const") == Some(&Value::Null);
        (!null).then(|| self.field_type(schema, depth))
    }
}

/// One named JSON type; `None` for null.
fn simple(name: &str, schema: &Map<String, Value>) -> Option<FieldType> {
    Some(match name {
        "null" => return None,
        "string" if schema.contains_key("contentEncoding") => FieldType::Bytes,
        "string" => FieldType::Text,
        "boolean" => FieldType::Bool,
        "integer" => FieldType::Int,
        "number" => FieldType::Float,
        "array" => FieldType::Collection,
        "object" if schema.contains_key("additionalProperties") && !schema.contains_key("properties") => {
            FieldType::Collection
        }
        _ => FieldType::Guess,
    })
}

/// A union out of its alternatives, where `None` stands for null.
fn union_of(alternatives: Vec<Option<FieldType>>) -> FieldType {
    let nullable = alternatives.iter().any(Option::is_none);
    // A union of constants is an enum written the long way.
    let mut members = Vec::new();
    for alternative in alternatives.iter().flatten() {
        match alternative {
            FieldType::Enum(values) => members.extend(values.iter().cloned()),
            _ => return FieldType::Union { alternatives: alternatives.into_iter().flatten().collect(), nullable },
        }
    }
    let whole = FieldType::Enum(members);
    if nullable { FieldType::Union { alternatives: vec![whole], nullable } } else { whole }
}
