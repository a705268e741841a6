use diesel::prelude::*;
use patchwright_core::store::{DeliveryRecord, StoreError};
use patchwright_domain::{DeliveryId, PlatformId};

use super::packed::{pack, unpack};
use super::{micros, parse, timestamp};
use crate::db::{corrupt_row, statements};
use crate::schema::delivery;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = delivery)]
pub(crate) struct DeliveryRow {
    pub(crate) platform: String,
    pub(crate) id: String,
    pub(crate) identity: Option<String>,
    pub(crate) event_type: String,
    pub(crate) job_id: Option<String>,
    pub(crate) received_at: i64,
    pub(crate) payload: Vec<u8>,
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
            payload: pack(&record.payload),
        }
    }

    /// Whether both rows have a payload, and not the same one.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        !self.payload.is_empty() && !other.payload.is_empty() && self.payload != other.payload
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
            payload: unpack(&self.payload).ok_or_else(|| corrupt_row(T, id, "its payload cannot be unpacked"))?.into(),
        })
    }
}

statements! {
    pub(crate) trait DeliveryStatements {
        fn insert_delivery(conn, row: &DeliveryRow) -> QueryResult<usize> {
            // Covers both unique keys. PostgreSQL waits here for a twin that is not committed yet.
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

        // Deletes old deliveries without an identity and the payloads of the others: an identity stays known.
        fn forget_deliveries(conn, before: i64) -> QueryResult<usize> {
            let old = delivery::received_at.lt(before);
            let gone = diesel::delete(delivery::table.filter(old).filter(delivery::identity.is_null())).execute(conn)?;
            let emptied = diesel::update(delivery::table.filter(old).filter(delivery::payload.ne(Vec::new())))
                .set(delivery::payload.eq(Vec::new()))
                .execute(conn)?;
            Ok(gone + emptied)
        }

        fn forget_payloads_beyond(conn, most: i64) -> QueryResult<usize> {
            // Keeps the newest payloads up to the limit, and deletes those behind it.
            diesel::sql_query(format!(
                "UPDATE delivery SET payload = substr(payload, 1, 0) WHERE length(payload) > 0 AND received_at <= (
                    SELECT max(received_at) FROM (
                        SELECT received_at, sum(length(payload)) OVER (ORDER BY received_at DESC) AS total
                        FROM delivery
                    ) AS kept WHERE total > {most})"
            ))
            .execute(conn)
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
