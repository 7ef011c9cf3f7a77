//! A C interface to minijinja for chat templates. Templates are untrusted: steps, recursion, output
//! and memory are bounded. A template has a thread of its own, which compiles it once; where that or a
//! render exceeds its memory the allocator parks the thread for good (nothing may unwind out of an
//! allocator) and the caller is told, so a hostile template costs at most twice MEMORY_LIMIT, once.

mod budget;
mod json;

use minijinja::value::{Enumerator, Object, ValueKind};
use minijinja::{context, Environment, Error, ErrorKind, State, Value};
use std::os::raw::c_char;
use std::sync::{mpsc, Arc, Mutex};
use std::{panic, ptr, slice, thread};

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
    bos: Text,
    eos: Text,
    messages: *const Message,
    n_messages: usize,
    add_generation_prompt: bool,
}

#[repr(C)]
pub struct Outcome {
    ok: bool,
    data: *mut u8, // the text, or why there is none
    size: usize,
}

/// A request whose strings are ours, so that a thread may keep them.
struct Job {
    bos: String,
    eos: String,
    messages: Vec<(String, String)>,
    add_generation_prompt: bool,
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
        bos: owned(&request.bos),
        eos: owned(&request.eos),
        messages: messages.iter().map(|m| (owned(&m.role), owned(&m.content))).collect(),
        add_generation_prompt: request.add_generation_prompt,
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

/// What the worker says.
enum Told {
    Outcome(Result<Vec<u8>, String>),
    MemoryExceeded,
}

/// Within the memory of one template, or of one render; panics become errors.
fn bounded<T>(
    told: &mpsc::Sender<Told>,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let exceeded = told.clone();
    budget::enforce(Box::new(move || {
        let _ = exceeded.send(Told::MemoryExceeded);
    }));
    let result = panic::catch_unwind(panic::AssertUnwindSafe(work));
    budget::relax();
    result.unwrap_or_else(|_| Err("the template engine failed".into()))
}

fn render(env: &Environment, job: Job) -> Result<Vec<u8>, String> {
    let mut out = Bounded(Vec::new());
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

/// Compiles the template, says whether that went well, and renders jobs for as long as any come.
fn work(source: String, format_time: FormatTime, jobs: mpsc::Receiver<Job>, told: mpsc::Sender<Told>) {
    panic::set_hook(Box::new(|_| {}));
    let tell = |result| {
        let _ = told.send(Told::Outcome(result));
    };
    let source = match bounded(&told, || Ok(supported(&source))) {
        Ok(source) => source,
        Err(why) => return tell(Err(why)),
    };
    let mut env = environment(format_time);
    if let Err(why) = bounded(&told, || env.add_template("chat", &source).map_err(|e| explain(&e))) {
        return tell(Err(why));
    }
    tell(Ok(Vec::new()));
    while let Ok(job) = jobs.recv() {
        tell(bounded(&told, || render(&env, job)));
    }
}

/// A template's worker. None: it used up its memory, and sleeps for ever.
pub struct Template {
    worker: Mutex<Option<Worker>>,
}

struct Worker {
    jobs: mpsc::Sender<Job>,
    told: mpsc::Receiver<Told>,
    thread: thread::JoinHandle<()>,
}

impl Template {
    fn open(source: String, format_time: FormatTime) -> Result<Template, String> {
        let (jobs, jobs_there) = mpsc::channel();
        let (told_there, told) = mpsc::channel();
        let thread = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(move || work(source, format_time, jobs_there, told_there))
            .map_err(|_| "no thread for the template engine".to_string())?;
        let template = Template { worker: Mutex::new(Some(Worker { jobs, told, thread })) };
        match template.ask(None) {
            Ok(_) => Ok(template),
            Err(why) => {
                template.close();
                Err(why)
            }
        }
    }

    /// What becomes of a job; of none: of compiling the template.
    fn ask(&self, job: Option<Job>) -> Result<Vec<u8>, String> {
        let failed = || "the template engine failed".to_string();
        let mut worker = self.worker.lock().map_err(|_| failed())?;
        let told = match worker.as_ref() {
            None => Told::MemoryExceeded,
            Some(w) => {
                if let Some(job) = job {
                    w.jobs.send(job).map_err(|_| failed())?;
                }
                w.told.recv().map_err(|_| failed())?
            }
        };
        match told {
            Told::Outcome(result) => result,
            Told::MemoryExceeded => {
                *worker = None;
                Err("the template needs too much memory".to_string())
            }
        }
    }

    fn close(self) {
        if let Ok(Some(worker)) = self.worker.into_inner() {
            drop(worker.jobs);
            let _ = worker.thread.join();
        }
    }
}

fn outcome(result: Result<Vec<u8>, String>) -> Outcome {
    let ok = result.is_ok();
    let bytes = result.unwrap_or_else(String::into_bytes).into_boxed_slice();
    let size = bytes.len();
    Outcome { ok, data: Box::into_raw(bytes).cast(), size }
}

/// Null, and why, where the template does not compile.
///
/// # Safety
/// The source's pointer must be valid for its size.
#[no_mangle]
pub unsafe extern "C" fn chat_jinja_open(source: Text, format_time: FormatTime, why: &mut Outcome) -> *mut Template {
    match Template::open(owned(&source), format_time) {
        Ok(template) => Box::into_raw(Box::new(template)),
        Err(text) => {
            *why = outcome(Err(text));
            ptr::null_mut()
        }
    }
}

/// From any thread; one render after the other.
///
/// # Safety
/// The request's pointers must be valid for their sizes.
#[no_mangle]
pub unsafe extern "C" fn chat_jinja_render(template: &Template, request: &Request) -> Outcome {
    outcome(template.ask(Some(job(request))))
}

/// # Safety
/// `template` must come from chat_jinja_open, once.
#[no_mangle]
pub unsafe extern "C" fn chat_jinja_close(template: *mut Template) {
    Box::from_raw(template).close();
}

/// # Safety
/// `outcome` must come from these functions, once.
#[no_mangle]
pub unsafe extern "C" fn chat_jinja_free(outcome: Outcome) {
    drop(Box::from_raw(slice::from_raw_parts_mut(outcome.data, outcome.size) as *mut [u8]));
}
