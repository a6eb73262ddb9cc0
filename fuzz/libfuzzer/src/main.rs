//! All fuzz targets as one libFuzzer binary: `ASHLAR_FUZZ_TARGET` names the one that runs, or is `list`.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;

use ashlar_fuzz::{Target, memory, targets};
use ashlar_kzg::differential::{Area, Choices, round};

struct Counting;

// SAFETY: everything is left to the system's allocator; counting touches none of its memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        memory::taken(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        memory::taken(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        memory::given_back(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// All kernels against each other.
fn kernels(data: &[u8]) {
    let Some((area, bytes)) = data.split_first() else {
        return;
    };
    let area = Area::ALL[usize::from(*area) % Area::ALL.len()];
    if let Err(disagreement) = round(area, &mut Choices::from_bytes(bytes)) {
        panic!("{area}: {disagreement}");
    }
}

fn chosen() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("ASHLAR_FUZZ_TARGET").unwrap_or_default();
        let mut all = targets().to_vec();
        all.push(Target::new("kernels", kernels));
        if let Some(target) = all.iter().find(|target| target.name == name) {
            return *target;
        }
        for target in all {
            println!("{}", target.name);
        }
        std::process::exit(if name == "list" { 0 } else { 2 });
    })
}

libfuzzer_sys::fuzz_target!(init: { chosen(); }, |data: &[u8]| (chosen().run)(data));
