//! The patchwright server and command line
