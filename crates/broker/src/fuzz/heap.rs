//! Counts what the running thread takes from the heap.
#![allow(
    unsafe_code,
    reason = "an allocator can't be written without; it hands everything on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// (taken now, most that was ever taken), in bytes.
    static TAKEN: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note(bytes: isize) {
    // A thread that ends frees after its locals are gone.
    let _ = TAKEN.try_with(|taken| {
        let (now, most) = taken.get();
        let now = now + bytes;
        taken.set((now, most.max(now)));
    });
}

fn signed(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

// SAFETY: every call goes to the system's allocator unchanged; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it is moved, both are there.
        note(signed(size));
        // SAFETY: as the caller promises.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        note(-signed(layout.size()));
        moved
    }
}

/// What `work` comes to, and the most bytes that this thread held meanwhile beyond what it held before.
pub(super) fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = TAKEN.with(|taken| {
        let (now, _) = taken.get();
        taken.set((now, now));
        now
    });
    let outcome = work();
    let most = TAKEN.with(|taken| taken.get().1);
    (outcome, usize::try_from(most - before).unwrap_or(0))
}

#[test]
fn what_is_taken_is_counted() {
    let (kept, most) = peak(|| {
        drop(std::hint::black_box(vec![1_u8; 1 << 20]));
        vec![2_u8; 1000]
    });
    assert!(kept.len() == 1000 && ((1 << 20)..(1 << 21)).contains(&most), "{most}");
}
