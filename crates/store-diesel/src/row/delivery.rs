use diesel::prelude::*;
use patchwright_core::store::{DeliveryRecord, StoreError};
use patchwright_domain::{DeliveryId, PlatformId};

use super::{micros, parse, timestamp};
use crate::db::statements;
use crate::schema::delivery;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = delivery)]
pub(crate) struct DeliveryRow {
    platform: String,
    pub(crate) id: String,
    identity: Option<String>,
    event_type: String,
    pub(crate) job_id: Option<String>,
    received_at: i64,
    payload: String,
}

impl DeliveryRow {
    pub(crate) fn new(record: &DeliveryRecord) -> Self {
        Self {
            platform: record.platform.as_str().to_owned(),
            id: record.id.as_str().to_owned(),
            identity: record.identity.clone(),
            event_type: record.event_type.clone(),
            job_id: record.job_id.map(|id| id.to_string()),
            received_at: micros(record.received_at),
            payload: record.payload.clone(),
        }
    }

    pub(crate) fn into_domain(self) -> Result<DeliveryRecord, StoreError> {
        const T: &str = "delivery";
        let id = self.id.as_str();
        Ok(DeliveryRecord {
            platform: PlatformId::new(self.platform),
            id: parse(T, id, DeliveryId::parse(id))?,
            job_id: self.job_id.map(|job| parse(T, id, job.parse())).transpose()?,
            received_at: timestamp(T, id, self.received_at)?,
            identity: self.identity,
            event_type: self.event_type,
            payload: self.payload,
        })
    }
}

statements! {
    pub(crate) trait DeliveryStatements {
        fn insert_delivery(conn, row: &DeliveryRow) -> QueryResult<usize> {
            // Both unique keys count. PostgreSQL waits here for a twin that is not committed yet.
            diesel::insert_into(delivery::table).values(row).on_conflict_do_nothing().execute(conn)
        }

        fn known_delivery(conn, row: &DeliveryRow) -> QueryResult<Option<DeliveryRow>> {
            delivery::table
                .filter(delivery::platform.eq(&row.platform))
                .filter(delivery::id.eq(&row.id).or(delivery::identity.eq(&row.identity).assume_not_null()))
                .order(delivery::received_at)
                .select(DeliveryRow::as_select())
                .first(conn)
                .optional()
        }

        fn delivery_of_job(conn, job: &str) -> QueryResult<Option<DeliveryRow>> {
            delivery::table
                .filter(delivery::job_id.eq(job))
                .order(delivery::received_at)
                .select(DeliveryRow::as_select())
                .first(conn)
                .optional()
        }
    }
}
