//! The ledger of the daily model budgets. A call is charged before it is made, so that concurrent workers stay within a
//! limit.

use async_trait::async_trait;
use jiff::civil::Date;
use patchwright_domain::Usage;
use patchwright_domain::money::Budget;

use crate::store::StoreError;

/// The account that a call is charged to. Each call counts for its repository and for all repositories together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetAccount {
    /// The day, UTC.
    pub day: Date,
    /// The repository, with its platform: `github:acme/demo`.
    pub repository: String,
}

/// The budgets of one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayBudgets {
    /// Of each repository.
    pub repository: Budget,
    /// Of all repositories together.
    pub all: Budget,
}

/// The budget of the day has no room for another call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{whose} model budget for today is used up: {detail}")]
pub struct BudgetExceeded {
    /// `the repository's` or `this installation's`.
    pub whose: &'static str,
    /// The amounts that are spent and allowed.
    pub detail: String,
}

/// The amounts that were charged on one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DaySpending {
    /// To the repository.
    pub repository: Usage,
    /// To all repositories together.
    pub all: Usage,
}

impl DayBudgets {
    /// Checks that one more call fits into the budgets.
    ///
    /// # Errors
    /// [`BudgetExceeded`] when it does not.
    pub fn check(&self, charged: &DaySpending, call: &Usage) -> Result<(), BudgetExceeded> {
        let accounts = [
            ("the repository's", &self.repository, &charged.repository),
            ("this installation's", &self.all, &charged.all),
        ];
        for (whose, budget, spent) in accounts {
            if let Some(detail) = budget.no_room_for(spent, call) {
                return Err(BudgetExceeded { whose, detail });
            }
        }
        Ok(())
    }
}

/// The store of the ledger. A reservation that is never settled, because its worker died, stays charged.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Charges the most that a call may cost, if the budgets have room for it.
    async fn reserve(
        &self,
        account: &BudgetAccount,
        call: Usage,
        budgets: DayBudgets,
    ) -> Result<Result<(), BudgetExceeded>, StoreError>;

    /// Replaces a reservation by the actual cost.
    async fn settle(&self, account: &BudgetAccount, reserved: Usage, spent: Usage) -> Result<(), StoreError>;

    /// Returns the amounts that are charged.
    async fn spending(&self, account: &BudgetAccount) -> Result<DaySpending, StoreError>;
}
