//! Statistics.

use jiff::SignedDuration;
use jiff::civil::Date;
use patchwright_core::access::{RepositoryKey, Visibility};
use patchwright_core::stats::{GroupBy, GroupStats, StatsQuery};

use crate::Inner;
use crate::error::ManagementError;
use crate::principal::Principal;

/// How many days are counted by default.
const DEFAULT_DAYS: i64 = 30;

/// Counts of a period.
#[derive(Debug, Clone)]
pub struct StatsPeriod {
    /// The first day, UTC.
    pub from: Date,
    /// The last day, UTC.
    pub to: Date,
    /// What the groups are.
    pub group_by: GroupBy,
    /// The groups.
    pub groups: Vec<GroupStats>,
}

/// Statistics over the runs that have ended.
#[derive(Debug, Clone, Copy)]
pub struct Stats<'a>(pub(crate) &'a Inner);

impl Stats<'_> {
    /// Counts the runs of the repositories that the caller sees in a period: by default the last 30 days, by day.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] for groups that would count more than the caller sees,
    /// [`ManagementError::Unavailable`].
    pub async fn count(
        &self,
        principal: &Principal,
        from: Option<Date>,
        to: Option<Date>,
        group_by: Option<GroupBy>,
    ) -> Result<StatsPeriod, ManagementError> {
        let now = self.0.ports.clock.now();
        let day = |back: i64| {
            let at = now.saturating_sub(SignedDuration::from_hours(24 * back)).unwrap_or(now);
            at.to_zoned(jiff::tz::TimeZone::UTC).date()
        };
        let (from, to) = (from.unwrap_or_else(|| day(DEFAULT_DAYS)), to.unwrap_or_else(|| day(0)));
        let group_by = group_by.unwrap_or(GroupBy::Day);
        let repositories = match self.0.visibility(principal).await? {
            Visibility::All => None,
            Visibility::Limited { .. } if !matches!(group_by, GroupBy::Day | GroupBy::Repository) => {
                let detail = "statistics by node and model count all repositories; they are for administrators";
                return Err(ManagementError::forbidden(detail));
            }
            visible @ Visibility::Limited { .. } => Some(self.countable_names(&visible).await?),
        };
        let query = StatsQuery { from: from.to_string(), to: to.to_string(), group_by, repositories };
        let groups = self.0.ports.stats.stats(query).await?;
        Ok(StatsPeriod { from, to, group_by, groups })
    }

    /// Returns the names of the visible repositories. Runs are counted by name, so that a name which a hidden repository of
    /// another platform has too is left out.
    async fn countable_names(&self, visible: &Visibility) -> Result<Vec<String>, ManagementError> {
        let known = self.0.ports.access.known_repositories().await?;
        let (seen, hidden): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|key| visible.includes(&key.platform, &key.name));
        let is_shared = |key: &RepositoryKey| hidden.iter().any(|other| other.name == key.name);
        Ok(seen.iter().filter(|key| !is_shared(key)).map(|key| key.name.to_string()).collect())
    }
}
