//! The fix as a conversation: the model's actions, the draft that they change, and what they are answered.

pub(crate) mod actions;
pub(crate) mod calls;
pub(crate) mod draft;
pub(crate) mod evidence;
pub(crate) mod format;
pub(crate) mod look;
