//! Memory for the root key: wiped, kept out of swap and out of core dumps; and
//! a ban on core dumps for the whole process.
//!
//! Locking needs the permission of the system (`RLIMIT_MEMLOCK`). Without it
//! the key is still wiped and the process goes on; [`LockedKey::is_locked`]
//! tells, so that `doctor` can say so.
//!
//! Absent by design: locking of every derived key. Domain keys and backing
//! keys live in the provider's own allocations, which it wipes when it frees
//! them but which cannot be locked one by one.

use std::ffi::c_void;

use rustix::mm::{Advice, madvise, mlock, munlock};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use zeroize::Zeroize as _;

/// Forbids core dumps of this process, and its memory to other processes of the
/// same user: keys lie in it. To be called once, before the first key is read.
///
/// # Errors
///
/// Whatever the system says. The caller logs it and decides whether to go on.
pub fn forbid_core_dumps() -> std::io::Result<()> {
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Bytes in the key kept here.
pub(crate) const KEY_BYTES: usize = 32;

/// Locking works on whole pages, so the key gets a page to itself: unlocking
/// it when it is dropped must not unlock a neighbour. This is the page of
/// x86-64 and of most arm64 systems.
const PAGE_BYTES: usize = 4096;

#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

/// A 256-bit key alone on a locked page.
pub(crate) struct LockedKey {
    page: Box<Page>,
    locked: bool,
}

impl LockedKey {
    /// Makes a page, locks it where permitted, and lets `fill` write the key
    /// into it: the bytes never lie anywhere else.
    pub(crate) fn new(fill: impl FnOnce(&mut [u8; KEY_BYTES])) -> LockedKey {
        let mut page = Box::new(Page([0; PAGE_BYTES]));
        let locked = lock(&mut page);
        let mut key = LockedKey { page, locked };
        fill(key.bytes_mut());
        key
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.page.0.first_chunk().expect("a page is longer than a key")
    }

    fn bytes_mut(&mut self) -> &mut [u8; KEY_BYTES] {
        self.page
            .0
            .first_chunk_mut()
            .expect("a page is longer than a key")
    }

    /// Whether the system agreed to keep the key out of swap.
    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }
}

impl Drop for LockedKey {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        if self.locked {
            unlock(&mut self.page);
        }
    }
}

#[expect(unsafe_code, reason = "locking memory is a system call on an address")]
fn lock(page: &mut Page) -> bool {
    let address = (&raw mut *page).cast::<c_void>();
    // SAFETY: the address and length are those of a live, exclusively borrowed
    // allocation. `madvise(DONTDUMP)` and `mlock` neither read, write nor unmap
    // it; they change only how the kernel treats its pages. A larger system
    // page means that neighbours are treated so too, which harms nobody.
    unsafe {
        // Where advice is refused, the process-wide ban on core dumps stands.
        let _ = madvise(address, PAGE_BYTES, Advice::LinuxDontDump);
        mlock(address, PAGE_BYTES).is_ok()
    }
}

#[expect(unsafe_code, reason = "unlocking memory is a system call on an address")]
fn unlock(page: &mut Page) {
    let address = (&raw mut *page).cast::<c_void>();
    // SAFETY: as in `lock`; the allocation is still live, for it is dropped
    // after this. On systems with larger pages another locked key could share
    // the page and lose its lock early, so there it is left locked.
    unsafe {
        if rustix::param::page_size() <= PAGE_BYTES {
            let _ = munlock(address, PAGE_BYTES);
        }
        // The allocator may give this page to anyone: dumps may show it again.
        let _ = madvise(address, PAGE_BYTES, Advice::LinuxDoDump);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_dumps_are_forbidden() {
        forbid_core_dumps().unwrap();
        let limit = rustix::process::getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }

    #[test]
    fn a_key_has_a_page_to_itself() {
        let keys: Vec<_> = (0..4u8)
            .map(|fill| LockedKey::new(|bytes| bytes.fill(fill)))
            .collect();
        for (fill, key) in (0..4u8).zip(&keys) {
            assert_eq!(key.bytes(), &[fill; KEY_BYTES]);
            assert_eq!(key.bytes().as_ptr().addr() % PAGE_BYTES, 0);
        }
    }
}
