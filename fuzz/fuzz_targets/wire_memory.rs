#![no_main]
//! Envelopes: whatever decodes or is refused, the memory that it takes is a few times the envelope's length.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use ashlar_proto::wire::{Request, Response};
use libfuzzer_sys::fuzz_target;

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator; counting touches none of its memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fuzz_target!(|data: &[u8]| {
    for request in [true, false] {
        let envelope = data.to_vec();
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        // The error is dropped after the measurement: it may hold text.
        let kept = if request {
            Request::decode(envelope).map(|_| ()).err()
        } else {
            Response::decode(envelope).map(|_| ()).err()
        };
        let peak = PEAK.load(Ordering::Relaxed) - before;
        assert!(peak <= 8 * data.len() + 4096, "{peak} bytes for {} ({kept:?})", data.len());
    }
});
