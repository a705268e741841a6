//! Admission control of webhook deliveries: a bound on their number and on the bytes of their bodies, so that a flood is
//! answered and does not fill the memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are reserved in blocks of this size.
const BLOCK_BYTES: usize = 1024;

/// The limiter.
#[derive(Debug)]
pub(crate) struct AdmissionLimiter {
    deliveries: Arc<Semaphore>,
    blocks: Arc<Semaphore>,
}

impl AdmissionLimiter {
    pub(crate) fn new(deliveries: usize, bytes: usize) -> Self {
        let blocks = (bytes / BLOCK_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            deliveries: Arc::new(Semaphore::new(deliveries.min(Semaphore::MAX_PERMITS))),
            blocks: Arc::new(Semaphore::new(blocks)),
        }
    }

    /// Returns a permit for one delivery; `None` when all are in use.
    pub(crate) fn try_acquire(&self) -> Option<AdmissionPermit> {
        let delivery = Arc::clone(&self.deliveries).try_acquire_owned().ok()?;
        Some(AdmissionPermit { _delivery: delivery, blocks: Arc::clone(&self.blocks), held: None, unused_bytes: 0 })
    }
}

/// The permit of one delivery. It releases what it holds when it is dropped.
pub(crate) struct AdmissionPermit {
    _delivery: OwnedSemaphorePermit,
    blocks: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    unused_bytes: usize,
}

impl AdmissionPermit {
    /// Reserves further bytes; `false` when there are not enough.
    pub(crate) fn try_reserve_bytes(&mut self, bytes: usize) -> bool {
        if bytes > self.unused_bytes {
            let blocks = (bytes - self.unused_bytes).div_ceil(BLOCK_BYTES);
            let Ok(count) = u32::try_from(blocks) else { return false };
            let Ok(more) = Arc::clone(&self.blocks).try_acquire_many_owned(count) else { return false };
            match &mut self.held {
                Some(held) => held.merge(more),
                none => *none = Some(more),
            }
            self.unused_bytes += blocks * BLOCK_BYTES;
        }
        self.unused_bytes -= bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_and_bytes_are_bounded_and_released_afterwards() {
        let limiter = AdmissionLimiter::new(2, 4 * BLOCK_BYTES);
        let (mut one, two) = (limiter.try_acquire().unwrap(), limiter.try_acquire().unwrap());
        assert!(limiter.try_acquire().is_none());
        assert!(one.try_reserve_bytes(10));
        assert!(one.try_reserve_bytes(BLOCK_BYTES) && one.try_reserve_bytes(2 * BLOCK_BYTES));
        assert!(!one.try_reserve_bytes(2 * BLOCK_BYTES), "there are four blocks");
        drop(two);
        let mut three = limiter.try_acquire().unwrap();
        assert!(!three.try_reserve_bytes(BLOCK_BYTES));
        drop(one);
        assert!(three.try_reserve_bytes(4 * BLOCK_BYTES));
    }
}
