//! An allocator that counts a thread's bytes once `enforce` was called in it; past MEMORY_LIMIT the
//! thread tells so and sleeps for ever.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::thread;

const MEMORY_LIMIT: isize = 128 << 20;

thread_local! {
    static LEFT: Cell<isize> = const { Cell::new(isize::MAX) };
    static EXCEEDED: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

pub fn enforce(exceeded: Box<dyn FnOnce()>) {
    EXCEEDED.with(|slot| *slot.borrow_mut() = Some(exceeded));
    LEFT.with(|left| left.set(MEMORY_LIMIT));
}

pub fn relax() {
    LEFT.with(|left| left.set(isize::MAX));
}

fn stop() -> ! {
    relax(); // telling allocates a little
    if let Some(tell) = EXCEEDED.with(|slot| slot.borrow_mut().take()) {
        tell();
    }
    loop {
        thread::park();
    }
}

fn take(bytes: usize) {
    let over = LEFT.try_with(|left| {
        if left.get() == isize::MAX {
            return false;
        }
        left.set(left.get().saturating_sub(bytes as isize).min(isize::MAX - 1));
        left.get() < 0
    });
    if over == Ok(true) {
        stop();
    }
}

fn give(bytes: usize) {
    let _ = LEFT.try_with(|left| {
        if left.get() != isize::MAX {
            left.set(left.get() + bytes as isize);
        }
    });
}

pub struct Allocator;

unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give(layout.size());
        System.dealloc(pointer, layout)
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        give(layout.size());
        System.realloc(pointer, layout, size)
    }
}
