//! What a job may spend, and what it spent.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Model usage: of one call, one stage or one job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Calls that were answered.
    pub calls: u32,
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Tokens received.
    pub completion_tokens: u64,
    /// Price in millionths of the currency unit that the prices were given in; 0 when no price is configured.
    pub cost_micros: u64,
}

impl Usage {
    /// Tokens in both directions.
    pub const fn tokens(&self) -> u64 {
        self.prompt_tokens + self.completion_tokens
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.cost_micros = self.cost_micros.saturating_add(other.cost_micros);
    }
}

/// The most that one job may spend on the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Tokens in both directions.
    pub max_tokens: u64,
    /// Calls.
    pub max_calls: u32,
}

impl Budget {
    /// What is exceeded by `usage`, in words; `None` while there is room.
    pub fn exceeded_by(&self, usage: &Usage) -> Option<String> {
        if usage.tokens() >= self.max_tokens {
            Some(format!("{} of {} tokens are spent", usage.tokens(), self.max_tokens))
        } else if usage.calls >= self.max_calls {
            Some(format!("{} of {} model calls are spent", usage.calls, self.max_calls))
        } else {
            None
        }
    }
}
