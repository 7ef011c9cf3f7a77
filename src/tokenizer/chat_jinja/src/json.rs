//! The `tojson` filter as Python's json.dumps(ensure_ascii=False) writes it, which templates expect.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

const MAX_DEPTH: usize = 64;

pub fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent").unwrap_or(None);
    let mut out = String::new();
    write(&value, indent.map(|n| n.min(16)), 0, &mut out)?;
    Ok(out)
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn new_line(indent: Option<usize>, depth: usize, first: bool, out: &mut String) {
    match indent {
        Some(n) => {
            out.push_str(if first { "\n" } else { ",\n" });
            out.push_str(&" ".repeat(n * depth));
        }
        None => out.push_str(if first { "" } else { ", " }),
    }
}

fn close(indent: Option<usize>, depth: usize, empty: bool, bracket: char, out: &mut String) {
    if let (Some(n), false) = (indent, empty) {
        out.push('\n');
        out.push_str(&" ".repeat(n * depth));
    }
    out.push(bracket);
}

fn write(value: &Value, indent: Option<usize>, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(ErrorKind::InvalidOperation, "tojson: nested too deep"));
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => out.push_str("null"),
        ValueKind::Bool | ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut first = true;
            for item in value.try_iter()? {
                new_line(indent, depth + 1, first, out);
                write(&item, indent, depth + 1, out)?;
                first = false;
            }
            close(indent, depth, first, ']', out);
        }
        ValueKind::Map => {
            out.push('{');
            let mut first = true;
            for key in value.try_iter()? {
                new_line(indent, depth + 1, first, out);
                quote(&key.to_string(), out);
                out.push_str(": ");
                write(&value.get_item(&key)?, indent, depth + 1, out)?;
                first = false;
            }
            close(indent, depth, first, '}', out);
        }
        _ => quote(&value.to_string(), out),
    }
    Ok(())
}
