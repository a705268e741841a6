//! How much comes in at once: a bound on deliveries and on the bytes of their bodies, so that a flood is answered and
//! does not fill the memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in blocks of this size.
const BLOCK: usize = 1024;

/// The bound.
#[derive(Debug)]
pub(crate) struct Door {
    places: Arc<Semaphore>,
    blocks: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new(deliveries: usize, bytes: usize) -> Self {
        let blocks = (bytes / BLOCK).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(deliveries.min(Semaphore::MAX_PERMITS))),
            blocks: Arc::new(Semaphore::new(blocks)),
        }
    }

    /// A place for one delivery; `None` when all are taken.
    pub(crate) fn enter(&self) -> Option<Inside> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Inside { _place: place, blocks: Arc::clone(&self.blocks), held: None, room: 0 })
    }
}

/// A delivery on its way in. What it holds is free again when it goes.
pub(crate) struct Inside {
    _place: OwnedSemaphorePermit,
    blocks: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    /// Bytes that are held and not used yet.
    room: usize,
}

impl Inside {
    /// Takes room for more bytes; `false` when there is none.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        if bytes > self.room {
            let blocks = (bytes - self.room).div_ceil(BLOCK);
            let Ok(count) = u32::try_from(blocks) else { return false };
            let Ok(more) = Arc::clone(&self.blocks).try_acquire_many_owned(count) else { return false };
            match &mut self.held {
                Some(held) => held.merge(more),
                none => *none = Some(more),
            }
            self.room += blocks * BLOCK;
        }
        self.room -= bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_and_bytes_are_bounded_and_free_again_afterwards() {
        let door = Door::new(2, 4 * BLOCK);
        let (mut one, two) = (door.enter().unwrap(), door.enter().unwrap());
        assert!(door.enter().is_none());
        assert!(one.hold(10) && one.hold(BLOCK) && one.hold(2 * BLOCK));
        assert!(!one.hold(2 * BLOCK), "four blocks are all there is");
        drop(two);
        let mut three = door.enter().unwrap();
        assert!(!three.hold(BLOCK));
        drop(one);
        assert!(three.hold(4 * BLOCK));
    }
}
