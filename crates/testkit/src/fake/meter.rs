//! Counters that remember what they counted.

use std::sync::Mutex;

use patchwright_core::meter::{Meter, MeterEvent};

/// Remembers all events.
#[derive(Debug, Default)]
pub struct FakeMeter(Mutex<Vec<MeterEvent>>);

impl FakeMeter {
    /// Returns the events so far.
    pub fn events(&self) -> Vec<MeterEvent> {
        self.0.lock().unwrap().clone()
    }
}

impl Meter for FakeMeter {
    fn count(&self, event: &MeterEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}
