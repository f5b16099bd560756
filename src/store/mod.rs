//! What survives the process: the gate's state.

mod directory;
mod state_file;

pub use directory::{DataDir, DataDirError};
pub use state_file::{StateError, load, save, set_aside};
