//! Model usage and budgets.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Model usage: of one call, one stage or one job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The answered calls.
    pub calls: u32,
    /// The tokens of the prompts.
    pub prompt_tokens: u64,
    /// The tokens of the answers.
    pub completion_tokens: u64,
    /// The cost in millionths of the currency unit of the configured prices; 0 if no price is configured.
    pub cost_micros: u64,
}

impl Usage {
    /// The tokens of prompts and answers together.
    pub const fn tokens(&self) -> u64 {
        self.prompt_tokens + self.completion_tokens
    }
}

impl Usage {
    /// Returns the difference to another usage, at least 0.
    #[must_use]
    pub const fn without(&self, other: &Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(other.calls),
            prompt_tokens: self.prompt_tokens.saturating_sub(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_sub(other.completion_tokens),
            cost_micros: self.cost_micros.saturating_sub(other.cost_micros),
        }
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

/// The limits on model usage; 0: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The tokens of prompts and answers together.
    pub max_tokens: u64,
    /// The number of calls.
    pub max_calls: u32,
    /// The cost in millionths of the currency unit of the configured prices.
    pub max_cost_micros: u64,
}

impl Budget {
    /// Returns the limit that a further call would exceed, as text, given the usage so far and the most that the call
    /// may cost; `None` if it exceeds none.
    pub fn no_room_for(&self, spent: &Usage, call: &Usage) -> Option<String> {
        let full = |spent: u64, call: u64, most: u64| most > 0 && spent.saturating_add(call) > most;
        let might = |part: u64| if part == 0 { String::new() } else { format!(", and the next call may take {part}") };
        if full(spent.tokens(), call.tokens(), self.max_tokens) {
            let next = might(call.tokens());
            Some(format!("{} of {} tokens are spent{next}", spent.tokens(), self.max_tokens))
        } else if full(spent.calls.into(), call.calls.into(), self.max_calls.into()) {
            Some(format!("{} of {} model calls are spent", spent.calls, self.max_calls))
        } else if full(spent.cost_micros, call.cost_micros.max(1), self.max_cost_micros) {
            Some(format!("{} of {} are spent", amount(spent.cost_micros), amount(self.max_cost_micros)))
        } else {
            None
        }
    }
}

/// Formats an amount in its currency unit with four decimals.
fn amount(micros: u64) -> String {
    format!("{}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_not_made_where_it_could_pass_one_of_the_three_limits() {
        let budget = Budget { max_tokens: 100, max_calls: 3, max_cost_micros: 1_500_000 };
        let usage = Usage { calls: 2, prompt_tokens: 50, completion_tokens: 40, cost_micros: 1_499_900 };
        let call = Usage { calls: 1, prompt_tokens: 5, completion_tokens: 5, cost_micros: 100 };
        assert_eq!(budget.no_room_for(&usage, &call), None);
        let spent = |usage, call| budget.no_room_for(&usage, &call).unwrap();
        let dear = Usage { completion_tokens: 6, ..call };
        assert_eq!(spent(usage, dear), "90 of 100 tokens are spent, and the next call may take 11");
        assert_eq!(spent(Usage { calls: 3, ..usage }, call), "3 of 3 model calls are spent");
        assert_eq!(spent(Usage { cost_micros: 1_500_000, ..usage }, call), "1.5000 of 1.5000 are spent");
        let most = Usage { calls: u32::MAX, prompt_tokens: 1 << 60, completion_tokens: 0, cost_micros: 1 << 60 };
        assert_eq!(Budget::default().no_room_for(&most, &call), None, "0 is no limit");
    }
}
