//! Handing data to a program through descriptors, so that it is neither in its arguments nor in a file.

use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;

use command_fds::FdMapping;
use rustix::fs::MemfdFlags;

/// The first descriptor that is handed over; those below are standard streams.
const FIRST: i32 = 10;

/// The descriptors of one program.
#[derive(Default)]
pub(crate) struct Handover {
    mappings: Vec<FdMapping>,
}

impl Handover {
    /// Adds a descriptor, and returns its number in the program.
    pub(crate) fn add(&mut self, descriptor: OwnedFd) -> i32 {
        let number = FIRST + i32::try_from(self.mappings.len()).expect("a program gets a few descriptors");
        self.mappings.push(FdMapping { parent_fd: descriptor, child_fd: number });
        number
    }

    /// Adds a descriptor from which these bytes can be read.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) -> std::io::Result<i32> {
        let mut file = std::fs::File::from(rustix::fs::memfd_create("handover", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(self.add(file.into()))
    }

    pub(crate) fn into_mappings(self) -> Vec<FdMapping> {
        self.mappings
    }
}
