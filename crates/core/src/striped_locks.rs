//! Locks by key.

use std::hash::{BuildHasher as _, Hash, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// How many locks all keys share.
const STRIPES: usize = 64;

/// A lock for each key, for work that must not run twice at the same time for one thing. The keys share a fixed number of
/// locks: rarely, two keys wait for each other. A task that holds the lock of one key must not wait for another.
#[derive(Debug)]
pub struct StripedLocks {
    hasher: RandomState,
    locks: Vec<Mutex<()>>,
}

impl Default for StripedLocks {
    fn default() -> Self {
        Self { hasher: RandomState::new(), locks: (0..STRIPES).map(|_| Mutex::default()).collect() }
    }
}

impl StripedLocks {
    /// Waits for the lock of a key.
    pub async fn lock<K: Hash>(&self, key: K) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(key);
        let stripe = usize::try_from(hash % STRIPES as u64).expect("it is less than the number of locks");
        self.locks[stripe].lock().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_key_is_locked_once_and_most_others_are_free() {
        let locks = StripedLocks::default();
        let _held = locks.lock("a").await;
        let is_free = |key: String| {
            let locks = &locks;
            async move {
                tokio::select! {
                    biased;
                    _ = locks.lock(key) => true,
                    () = std::future::ready(()) => false,
                }
            }
        };
        assert!(!is_free("a".to_owned()).await);
        let mut free = 0;
        for number in 0..100 {
            free += u32::from(is_free(number.to_string()).await);
        }
        assert!(free > 80, "{free}");
    }
}
