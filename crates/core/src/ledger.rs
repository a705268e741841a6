//! What the model costs in a day: booked before a call is made, so that many workers together do not pass a limit.

use async_trait::async_trait;
use jiff::civil::Date;
use patchwright_domain::Usage;
use patchwright_domain::money::Budget;

use crate::store::StoreError;

/// The account that a call is booked on. Each call counts for its repository and for all of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetAccount {
    /// The day, UTC.
    pub day: Date,
    /// The repository, with its platform: `github:acme/demo`.
    pub repository: String,
}

/// The most that may be spent in a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayBudgets {
    /// By each repository.
    pub repository: Budget,
    /// By all together.
    pub all: Budget,
}

/// There is no room for another call today.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{whose} model budget for today is used up: {detail}")]
pub struct BudgetExceeded {
    /// `the repository's` or `this installation's`.
    pub whose: &'static str,
    /// How much of what is spent.
    pub detail: String,
}

/// What was spent on a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DaySpending {
    /// By the repository.
    pub repository: Usage,
    /// By all together.
    pub all: Usage,
}

impl DayBudgets {
    /// Whether there is room for one more call, where so much is booked already.
    ///
    /// # Errors
    /// [`BudgetExceeded`] when there is none.
    pub fn check(&self, booked: &DaySpending, call: &Usage) -> Result<(), BudgetExceeded> {
        let accounts = [
            ("the repository's", &self.repository, &booked.repository),
            ("this installation's", &self.all, &booked.all),
        ];
        for (whose, budget, spent) in accounts {
            if let Some(detail) = budget.no_room_for(spent, call) {
                return Err(BudgetExceeded { whose, detail });
            }
        }
        Ok(())
    }
}

/// Keeps the books. What was reserved and never settled, because a worker died in between, stays booked.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Books what a call may cost at the most, if there is room for it.
    async fn reserve(
        &self,
        account: &BudgetAccount,
        call: Usage,
        budgets: DayBudgets,
    ) -> Result<Result<(), BudgetExceeded>, StoreError>;

    /// Books what it did cost in place of what was reserved.
    async fn settle(&self, account: &BudgetAccount, reserved: Usage, spent: Usage) -> Result<(), StoreError>;

    /// What is booked.
    async fn spending(&self, account: &BudgetAccount) -> Result<DaySpending, StoreError>;
}
