//! End-to-end tests: the whole server over real HTTP, with a real git server and a real database.

mod architecture;
mod scenario;
