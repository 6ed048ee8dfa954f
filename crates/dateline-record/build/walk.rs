//! Writes `impl Walk` for every message: a visit to each field in order, with its rules from the schema. An unknown
//! `buf.validate` rule fails the build, so no rule goes unchecked.

use std::{error::Error, fmt::Write};

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    Value,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Extensions {
    field: ExtensionDescriptor,
    buf_field: ExtensionDescriptor,
    buf_oneof: ExtensionDescriptor,
}

pub fn generate(pool: &DescriptorPool, package: &str) -> Result<String> {
    let extension = |name: &str| {
        pool.all_extensions()
            .find(|known| known.full_name() == name)
            .ok_or(format!("no extension {name}"))
    };
    let extensions = Extensions {
        field: extension("dateline.v1.field")?,
        buf_field: extension("buf.validate.field")?,
        buf_oneof: extension("buf.validate.oneof")?,
    };
    let messages: Vec<_> = pool
        .all_messages()
        .filter(|message| message.package_name() == package)
        .collect();
    let mut out =
        String::from("/// A message of the schema, as a visitor meets it.\npub enum Node<'a> {\n");
    for message in &messages {
        writeln!(
            out,
            "    {}(&'a mut {}),",
            node_name(message),
            rust_path(message)
        )?;
    }
    out.push_str("}\n");
    for message in &messages {
        out.push_str(&walk_impl(message, &extensions)?);
    }
    Ok(out)
}

/// `Correction.Kind` → `CorrectionKind`.
fn node_name(message: &MessageDescriptor) -> String {
    local_name(message.full_name()).replace('.', "")
}

fn local_name(full_name: &str) -> &str {
    full_name.trim_start_matches("dateline.v1.")
}

/// `dateline.v1.Write.Create` → `v1::write::Create`, as prost names it.
fn rust_path(message: &MessageDescriptor) -> String {
    let mut parts: Vec<_> = local_name(message.full_name())
        .split('.')
        .map(str::to_owned)
        .collect();
    let last = parts.pop().unwrap_or_default();
    let mut path = vec!["v1".to_owned()];
    path.extend(parts.iter().map(|part| part.to_snake_case()));
    path.push(last);
    path.join("::")
}

fn rust_field(name: &str) -> String {
    if matches!(name, "type") {
        format!("r#{name}")
    } else {
        name.to_owned()
    }
}

fn walk_impl(message: &MessageDescriptor, extensions: &Extensions) -> Result<String> {
    let mut body = String::new();
    for field in message.fields().filter(|field| {
        field
            .containing_oneof()
            .is_none_or(|oneof| oneof.is_synthetic())
    }) {
        body.push_str(&visit_field(&field, extensions)?);
    }
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let required = match oneof
            .options()
            .get_extension(&extensions.buf_oneof)
            .as_message()
        {
            Some(rules) => flag(rules, "required"),
            None => false,
        };
        let module = rust_path(message).to_snake_case_path();
        writeln!(body, "        match &mut self.{} {{", oneof.name())?;
        for field in oneof.fields() {
            let arm = format!(
                "{module}::{}::{}",
                oneof.name().to_upper_camel_case(),
                field.name().to_upper_camel_case()
            );
            let visit = visit_value(&field, extensions, "value", true)?;
            writeln!(
                body,
                "            Some({arm}(value)) => {{ at.enter(\"{}\"); {visit} at.leave(); }}",
                field.name()
            )?;
        }
        writeln!(
            body,
            "            None => visitor.absent(at, \"{}\", {required}),\n        }}",
            oneof.name()
        )?;
    }
    let (path, node) = (rust_path(message), node_name(message));
    Ok(format!(
        "impl Walk for {path} {{\n    fn walk(&mut self, at: &mut Path, visitor: &mut dyn Visitor) {{\n        \
         if !visitor.message(at, Node::{node}(self)) {{ return; }}\n{body}        \
         visitor.left(at, Node::{node}(self));\n    }}\n}}\n"
    ))
}

trait SnakeCasePath {
    fn to_snake_case_path(&self) -> String;
}

impl SnakeCasePath for String {
    /// `v1::Record` → `v1::record`: the module of nested types in prost's code.
    fn to_snake_case_path(&self) -> String {
        self.split("::")
            .map(ToSnakeCase::to_snake_case)
            .collect::<Vec<_>>()
            .join("::")
    }
}

fn visit_field(field: &FieldDescriptor, extensions: &Extensions) -> Result<String> {
    let name = field.name();
    let access = format!("self.{}", rust_field(name));
    let rules = rules(field, extensions)?;
    let body = if field.is_list() {
        let item = visit_value(field, extensions, "item", true)?;
        let items = if item.is_empty() {
            String::new()
        } else {
            format!(
                "for (index, item) in {access}.iter_mut().enumerate() {{ at.index(index); {item} at.unindex(); }} "
            )
        };
        format!("visitor.list(at, &{rules}, {access}.len()); {items}")
    } else if field.supports_presence() {
        let value = visit_value(field, extensions, "value", true)?;
        format!(
            "match {access}.as_mut() {{ Some(value) => {{ let _ = &value; {value} }} None => visitor.missing(at, &{rules}) }} "
        )
    } else {
        visit_value(field, extensions, &access, false)?
    };
    Ok(format!("        at.enter(\"{name}\"); {body}at.leave();\n"))
}

/// The visit to one value; `reference` is true if `access` is a `&mut` already.
fn visit_value(
    field: &FieldDescriptor,
    extensions: &Extensions,
    access: &str,
    reference: bool,
) -> Result<String> {
    let rules = rules(field, extensions)?;
    let borrowed = if reference {
        access.to_owned()
    } else {
        format!("&mut {access}")
    };
    let copied = if reference {
        format!("*{access}")
    } else {
        access.to_owned()
    };
    Ok(match field.kind() {
        Kind::String => format!("visitor.string(at, &{rules}, {borrowed}); "),
        Kind::Int32 | Kind::Int64 => {
            format!("visitor.integer(at, &{rules}, i64::from({copied})); ")
        }
        Kind::Float | Kind::Double => {
            format!("visitor.number(at, &{rules}, f64::from({copied})); ")
        }
        Kind::Enum(_) => format!("visitor.enumeration(at, &{rules}, {copied}); "),
        Kind::Message(message) if message.package_name() == "dateline.v1" => {
            format!("{access}.walk(at, visitor); ")
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => {
            format!("visitor.timestamp(at, {borrowed}); ")
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.Duration" => {
            format!("visitor.duration(at, {borrowed}); ")
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.FieldMask" => {
            String::new()
        }
        Kind::Bool | Kind::Bytes | Kind::Uint64 => String::new(),
        other => return Err(format!("{}: no visit for {other:?}", field.full_name()).into()),
    })
}

/// The literal of the field's `Rules`, from both extensions.
fn rules(field: &FieldDescriptor, extensions: &Extensions) -> Result<String> {
    let mut set = Vec::new();
    if let Kind::Enum(values) = field.kind() {
        let defined: Vec<_> = values.values().map(|value| value.number()).collect();
        set.push(format!("defined: &{defined:?}"));
    }
    let options = field.options();
    if let Some(ours) = options.get_extension(&extensions.field).as_message() {
        our_rules(ours, &mut set)?;
    }
    if let Some(buf) = options.get_extension(&extensions.buf_field).as_message() {
        buf_rules(field.full_name(), buf, &mut set)?;
    }
    check_facet(field.full_name(), &set)?;
    Ok(format!(
        "Rules {{ {}{}..Rules::NONE }}",
        set.join(", "),
        if set.is_empty() { "" } else { ", " }
    ))
}

/// Checks that a facet has a rule that bounds its length, since an index cannot hold long values.
fn check_facet(field: &str, rules: &[String]) -> Result<()> {
    let is_facet = rules.iter().any(|rule| rule.starts_with("facet"));
    let bounds = [
        "refers_to",
        "max_len",
        "pattern: Some(\"^[a-z]([a-z0-9-]{0,61}",
        "pattern: Some(\"^([A-Z]{2}",
    ];
    let is_bounded = rules
        .iter()
        .any(|rule| bounds.iter().any(|bound| rule.starts_with(bound)));
    if is_facet && !is_bounded {
        return Err(format!("{field}: a facet needs a rule that bounds its length").into());
    }
    Ok(())
}

fn our_rules(ours: &DynamicMessage, set: &mut Vec<String>) -> Result<()> {
    for (field, value) in ours.fields() {
        set.push(match (field.name(), value) {
            ("refers_to", Value::List(kinds)) => {
                let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
                format!("refers_to: &{kinds:?}")
            }
            ("prose" | "output_only", Value::Bool(on)) => format!("{}: {on}", field.name()),
            // They matter to those who find what is meant, not to the walk.
            ("input_only" | "typed_alone" | "typed_default", _) => continue,
            ("format", Value::EnumNumber(number)) => {
                let Kind::Enum(formats) = field.kind() else {
                    return Err("format is not an enum".into());
                };
                let name = formats
                    .get_value(*number)
                    .ok_or("unknown format")?
                    .name()
                    .to_owned();
                format!(
                    "format: StringFormat::{}",
                    name.trim_start_matches("FORMAT_")
                        .to_lowercase()
                        .to_upper_camel_case()
                )
            }
            ("facet", Value::String(dimension)) => format!("facet: {dimension:?}"),
            (name, _) => return Err(format!("field rule {name} is not generated").into()),
        });
    }
    Ok(())
}

fn buf_rules(field: &str, buf: &DynamicMessage, set: &mut Vec<String>) -> Result<()> {
    for (part, value) in buf.fields() {
        match (part.name(), value) {
            ("required", Value::Bool(on)) => set.push(format!("required: {on}")),
            (
                "string" | "int32" | "int64" | "double" | "float" | "enum" | "repeated",
                Value::Message(typed),
            ) => {
                for (rule, value) in typed.fields() {
                    if let ("items", Value::Message(items)) = (rule.name(), value) {
                        buf_rules(field, items, set)?;
                    } else {
                        set.push(
                            buf_rule(rule.name(), value).ok_or(format!(
                                "{field}: rule {} is not understood",
                                rule.name()
                            ))?,
                        );
                    }
                }
            }
            (name, _) => return Err(format!("{field}: rule {name} is not understood").into()),
        }
    }
    Ok(())
}

fn buf_rule(name: &str, value: &Value) -> Option<String> {
    Some(match (name, value) {
        ("min_len" | "max_len" | "min_items" | "max_items", Value::U64(count)) => {
            format!("{name}: Some({count})")
        }
        ("pattern", Value::String(pattern)) => format!("pattern: Some({pattern:?})"),
        ("defined_only", Value::Bool(true)) => "defined_only: true".to_owned(),
        ("not_in", Value::List(values)) if values.as_slice() == [Value::I32(0)] => {
            "not_zero: true".to_owned()
        }
        ("gte", Value::I32(_) | Value::I64(_) | Value::F32(_) | Value::F64(_)) => {
            format!("at_least: Some({}_f64)", number(value)?)
        }
        ("lte", Value::I32(_) | Value::I64(_) | Value::F32(_) | Value::F64(_)) => {
            format!("at_most: Some({}_f64)", number(value)?)
        }
        ("gt", Value::I32(_) | Value::I64(_)) => {
            format!("at_least: Some({}_f64)", number(value)? + 1.0)
        }
        _ => return None,
    })
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::I32(number) => Some(f64::from(*number)),
        Value::I64(number) => Some(*number as f64),
        Value::F32(number) => Some(f64::from(*number)),
        Value::F64(number) => Some(*number),
        _ => None,
    }
}

fn flag(message: &DynamicMessage, name: &str) -> bool {
    message
        .get_field_by_name(name)
        .and_then(|value| value.as_bool())
        .unwrap_or(false)
}
