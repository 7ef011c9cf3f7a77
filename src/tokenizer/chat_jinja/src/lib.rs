//! A C interface to minijinja for chat templates. Templates are untrusted: steps, recursion, output
//! and memory are bounded. A render runs in a thread of its own; where it exceeds its memory the
//! allocator parks that thread for good (nothing may unwind out of an allocator) and the caller is
//! told, so a hostile template costs at most MEMORY_LIMIT once.

mod budget;
mod json;

use minijinja::value::{Enumerator, Object, ValueKind};
use minijinja::{context, Environment, Error, ErrorKind, State, Value};
use std::os::raw::c_char;
use std::sync::{mpsc, Arc};
use std::{panic, slice, thread};

const FUEL: u64 = 4_000_000;
const OUTPUT_LIMIT: usize = 16 << 20;
const STACK_BYTES: usize = 16 << 20;
const RECURSION: usize = 100;

#[global_allocator]
static ALLOCATOR: budget::Allocator = budget::Allocator;

#[repr(C)]
pub struct Text {
    data: *const u8,
    size: usize,
}

#[repr(C)]
pub struct Message {
    role: Text,
    content: Text,
}

/// Formats the present time by a strftime format into a buffer; returns the bytes written.
type FormatTime = extern "C" fn(*const c_char, *mut c_char, usize) -> usize;

#[repr(C)]
pub struct Request {
    source: Text,
    bos: Text,
    eos: Text,
    messages: *const Message,
    n_messages: usize,
    add_generation_prompt: bool,
    format_time: FormatTime,
}

#[repr(C)]
pub struct Outcome {
    ok: bool,
    data: *mut u8, // the text, or why there is none
    size: usize,
}

/// A request whose strings are ours, so that a thread may keep them.
struct Job {
    source: String,
    bos: String,
    eos: String,
    messages: Vec<(String, String)>,
    add_generation_prompt: bool,
    format_time: FormatTime,
}

unsafe fn owned(text: &Text) -> String {
    if text.size == 0 {
        return String::new();
    }
    String::from_utf8_lossy(slice::from_raw_parts(text.data, text.size)).into_owned()
}

unsafe fn job(request: &Request) -> Job {
    let messages = match request.n_messages {
        0 => &[][..],
        n => slice::from_raw_parts(request.messages, n),
    };
    Job {
        source: owned(&request.source),
        bos: owned(&request.bos),
        eos: owned(&request.eos),
        messages: messages.iter().map(|m| (owned(&m.role), owned(&m.content))).collect(),
        add_generation_prompt: request.add_generation_prompt,
        format_time: request.format_time,
    }
}

/// What templates use and this engine lacks: reversal by a slice (the filter does it), and the tags
/// around an assistant's words, which only training reads.
fn supported(source: &str) -> String {
    let mut text = source.replace("[::-1]", "|reverse");
    for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
        for tag in ["generation", "endgeneration"] {
            let no_op = format!("{} set _ = 0 {}", open, close);
            text = text.replace(&format!("{} {} {}", open, tag, close), &no_op);
        }
    }
    text
}

/// Python's methods by the contrib crate, whose dict.get knows no default.
fn python_method(state: &State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let ("get", ValueKind::Map, [key, default]) = (name, value.kind(), args) {
        let found = value.get_item(key)?;
        return Ok(if found.is_undefined() { default.clone() } else { found });
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn environment(format_time: FormatTime) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_trim_blocks(true);
    env.set_lstrip_blocks(true);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_unknown_method_callback(python_method);
    env.add_filter("tojson", json::tojson);
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", move |format: String| {
        let format = format.replace('\0', "") + "\0";
        let mut buffer = [0u8; 256];
        let size = format_time(format.as_ptr().cast(), buffer.as_mut_ptr().cast(), buffer.len());
        String::from_utf8_lossy(&buffer[..size.min(buffer.len())]).into_owned()
    });
    env
}

/// A message as templates see it: a mapping of role and content, in that order.
#[derive(Debug)]
struct MessageView {
    role: Value,
    content: Value,
}

impl Object for MessageView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "role" => Some(self.role.clone()),
            "content" => Some(self.content.clone()),
            _ => None,
        }
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["role", "content"])
    }
}

fn message((role, content): &(String, String)) -> Value {
    Value::from_object(MessageView { role: Value::from(role), content: Value::from(content) })
}

/// Collects output up to OUTPUT_LIMIT.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > OUTPUT_LIMIT - self.0.len() {
            return Err(std::io::Error::new(std::io::ErrorKind::Other, "output too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn explain(error: &Error) -> String {
    let mut text = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
    if let Some(line) = error.line() {
        text += &format!(" (line {} of the template)", line);
    }
    text.replace('\n', " ")
}

fn run(job: Job, check_only: bool) -> Result<Vec<u8>, String> {
    let source = supported(&job.source);
    let mut env = environment(job.format_time);
    env.add_template("chat", &source).map_err(|e| explain(&e))?;
    let mut out = Bounded(Vec::new());
    if check_only {
        return Ok(out.0);
    }
    let values = context! {
        messages => job.messages.iter().map(message).collect::<Vec<_>>(),
        add_generation_prompt => job.add_generation_prompt,
        bos_token => job.bos,
        eos_token => job.eos,
    };
    let template = env.get_template("chat").map_err(|e| explain(&e))?;
    template.render_to_write(values, &mut out).map_err(|e| explain(&e))?;
    Ok(out.0)
}

fn run_apart(job: Job, check_only: bool) -> Result<Vec<u8>, String> {
    let (sender, receiver) = mpsc::channel();
    let exceeded = sender.clone();
    let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        budget::enforce(Box::new(move || {
            let _ = exceeded.send(Err("the template needs too much memory".to_string()));
        }));
        panic::set_hook(Box::new(|_| {}));
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| run(job, check_only)));
        budget::relax();
        let _ = sender.send(result.unwrap_or_else(|_| Err("the template engine failed".into())));
    });
    match worker {
        Err(_) => Err("no thread for the template engine".to_string()),
        Ok(_) => receiver.recv().unwrap_or_else(|_| Err("the template engine failed".to_string())),
    }
}

/// # Safety
/// The request's pointers must be valid for their sizes.
#[no_mangle]
pub unsafe extern "C" fn chat_jinja_render(request: &Request, check_only: bool) -> Outcome {
    let result = run_apart(job(request), check_only);
    let ok = result.is_ok();
    let bytes = result.unwrap_or_else(String::into_bytes).into_boxed_slice();
    let size = bytes.len();
    Outcome { ok, data: Box::into_raw(bytes).cast(), size }
}

/// # Safety
/// `outcome` must come from chat_jinja_render, once.
#[no_mangle]
pub unsafe extern "C" fn chat_jinja_free(outcome: Outcome) {
    drop(Box::from_raw(slice::from_raw_parts_mut(outcome.data, outcome.size) as *mut [u8]));
}
