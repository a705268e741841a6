//! Renewing the lease of a running job. It writes the lease alone, and no revision: nothing that others read changes.

use diesel::prelude::*;
use patchwright_domain::JobStatus;

use crate::db::statements;
use crate::schema::job;

statements! {
    pub(crate) trait LeaseStatements {
        fn renew_lease(conn, id: &str, epoch: i64, until: i64) -> QueryResult<usize> {
            let running = job::status.eq(JobStatus::Running.as_str()).and(job::epoch.eq(epoch));
            diesel::update(job::table.find(id).filter(running)).set(job::lease_until.eq(until)).execute(conn)
        }
    }
}
