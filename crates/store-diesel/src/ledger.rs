//! The port of the ledger of model budgets.

use async_trait::async_trait;
use diesel::prelude::*;
use diesel::upsert::excluded;
use patchwright_core::ledger::{BudgetAccount, BudgetExceeded, DayBudgets, DaySpending, Ledger};
use patchwright_core::store::StoreError;
use patchwright_domain::Usage;

use crate::DieselStore;
use crate::db::{in_snapshot, in_write_tx, statements};
use crate::row::{signed, unsigned};
use crate::schema::ledger;

/// The `repo` of the row that sums all repositories.
const ALL: &str = "";

#[derive(Debug, Default, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = ledger)]
struct LedgerRow {
    day: String,
    repo: String,
    calls: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    cost_micros: i64,
}

impl LedgerRow {
    fn new(account: &BudgetAccount, repo: &str, more: &Usage, less: &Usage) -> Self {
        let difference = |more: u64, less: u64| signed(more).saturating_sub(signed(less));
        Self {
            day: account.day.to_string(),
            repo: repo.to_owned(),
            calls: i64::from(more.calls) - i64::from(less.calls),
            prompt_tokens: difference(more.prompt_tokens, less.prompt_tokens),
            completion_tokens: difference(more.completion_tokens, less.completion_tokens),
            cost_micros: difference(more.cost_micros, less.cost_micros),
        }
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let id = format!("{} {}", self.day, self.repo);
        Ok(Usage {
            calls: unsigned("ledger", &id, self.calls)?,
            prompt_tokens: unsigned("ledger", &id, self.prompt_tokens)?,
            completion_tokens: unsigned("ledger", &id, self.completion_tokens)?,
            cost_micros: unsigned("ledger", &id, self.cost_micros)?,
        })
    }
}

/// The two rows of an account. The sum of all is first, so that two transactions lock rows in the same order.
fn both(account: &BudgetAccount, more: &Usage, less: &Usage) -> [LedgerRow; 2] {
    [ALL, account.repository.as_str()].map(|repo| LedgerRow::new(account, repo, more, less))
}

statements! {
    trait LedgerStatements {
        fn add(conn, row: &LedgerRow) -> QueryResult<usize> {
            diesel::insert_into(ledger::table)
                .values(row.clone())
                .on_conflict((ledger::day, ledger::repo))
                .do_update()
                .set((
                    ledger::calls.eq(ledger::calls + excluded(ledger::calls)),
                    ledger::prompt_tokens.eq(ledger::prompt_tokens + excluded(ledger::prompt_tokens)),
                    ledger::completion_tokens.eq(ledger::completion_tokens + excluded(ledger::completion_tokens)),
                    ledger::cost_micros.eq(ledger::cost_micros + excluded(ledger::cost_micros)),
                ))
                .execute(conn)
        }

        fn booked(conn, day: &str, repo: &str) -> QueryResult<Option<LedgerRow>> {
            ledger::table.find((day, repo)).select(LedgerRow::as_select()).first(conn).optional()
        }

        fn both_booked(conn, account: &BudgetAccount) -> QueryResult<[Option<LedgerRow>; 2]> {
            let day = account.day.to_string();
            Ok([conn.booked(&day, ALL)?, conn.booked(&day, &account.repository)?])
        }
    }
}

fn spending([all, repository]: [Option<LedgerRow>; 2]) -> Result<DaySpending, StoreError> {
    let usage = |row: Option<LedgerRow>| row.map_or(Ok(Usage::default()), |row| row.usage());
    Ok(DaySpending { repository: usage(repository)?, all: usage(all)? })
}

#[async_trait]
impl Ledger for DieselStore {
    async fn reserve(
        &self,
        account: &BudgetAccount,
        call: Usage,
        budgets: DayBudgets,
    ) -> Result<Result<(), BudgetExceeded>, StoreError> {
        let account = account.clone();
        in_write_tx!(self, conn => {
            let [all, repository] = both(&account, &call, &Usage::default());
            // Written first: from here on concurrent reservations wait for this one.
            conn.add(&all)?;
            conn.add(&repository)?;
            let booked = spending(conn.both_booked(&account)?)?;
            let before = DaySpending {
                repository: booked.repository.without(&call),
                all: booked.all.without(&call),
            };
            let checked = budgets.check(&before, &call);
            if checked.is_err() {
                for row in both(&account, &Usage::default(), &call) {
                    conn.add(&row)?;
                }
            }
            Ok(checked)
        })
    }

    async fn settle(&self, account: &BudgetAccount, reserved: Usage, spent: Usage) -> Result<(), StoreError> {
        let account = account.clone();
        in_write_tx!(self, conn => {
            for row in both(&account, &spent, &reserved) {
                conn.add(&row)?;
            }
            Ok(())
        })
    }

    async fn spending(&self, account: &BudgetAccount) -> Result<DaySpending, StoreError> {
        let account = account.clone();
        self.blocking(move |db| spending(in_snapshot!(db, conn => conn.both_booked(&account))?)).await
    }
}
