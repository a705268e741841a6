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
    /// Money, in millionths of the unit that the model's prices are given in; 0 for no limit.
    pub max_cost_micros: u64,
}

impl Budget {
    /// What is exceeded by `usage`, in words; `None` while there is room.
    pub fn exceeded_by(&self, usage: &Usage) -> Option<String> {
        if usage.tokens() >= self.max_tokens {
            Some(format!("{} of {} tokens are spent", usage.tokens(), self.max_tokens))
        } else if usage.calls >= self.max_calls {
            Some(format!("{} of {} model calls are spent", usage.calls, self.max_calls))
        } else if self.max_cost_micros > 0 && usage.cost_micros >= self.max_cost_micros {
            Some(format!("{} of {} are spent", amount(usage.cost_micros), amount(self.max_cost_micros)))
        } else {
            None
        }
    }
}

/// Money in its unit, to the hundredth of a hundredth.
fn amount(micros: u64) -> String {
    format!("{}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_three_limits_ends_a_job() {
        let budget = Budget { max_tokens: 100, max_calls: 3, max_cost_micros: 1_500_000 };
        let usage = Usage { calls: 2, prompt_tokens: 50, completion_tokens: 49, cost_micros: 1_499_999 };
        assert_eq!(budget.exceeded_by(&usage), None);
        let spent = |usage| budget.exceeded_by(&usage).unwrap();
        assert_eq!(spent(Usage { completion_tokens: 50, ..usage }), "100 of 100 tokens are spent");
        assert_eq!(spent(Usage { calls: 3, ..usage }), "3 of 3 model calls are spent");
        assert_eq!(spent(Usage { cost_micros: 1_500_000, ..usage }), "1.5000 of 1.5000 are spent");
        let free = Budget { max_cost_micros: 0, ..budget };
        assert_eq!(free.exceeded_by(&Usage { cost_micros: u64::MAX, ..usage }), None);
    }
}
