//! SQL text that a connection parses once: diesel prepares `sql_query` again for every use.

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Text};

/// SQL with the placeholders `{0}` to `{9}` for integers, which returns one column of text.
pub(crate) struct Template(Vec<(String, Option<usize>)>);

impl Template {
    pub(crate) fn new(sql: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = sql;
        while let Some(open) = rest.find('{') {
            let placeholder = rest[open + 1..].chars().next().and_then(|digit| digit.to_digit(10));
            let placeholder = placeholder.expect("a placeholder holds one digit");
            pieces.push((rest[..open].to_owned(), Some(placeholder as usize)));
            rest = &rest[open + 3..];
        }
        pieces.push((rest.to_owned(), None));
        Self(pieces)
    }

    /// Returns the statement with values for its placeholders.
    pub(crate) const fn with<const N: usize>(&self, numbers: [i64; N]) -> Filled<'_, N> {
        Filled { template: self, numbers }
    }
}

pub(crate) struct Filled<'a, const N: usize> {
    template: &'a Template,
    numbers: [i64; N],
}

impl<DB: Backend + HasSqlType<BigInt>, const N: usize> QueryFragment<DB> for Filled<'_, N>
where
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        for (text, placeholder) in &self.template.0 {
            out.push_sql(text);
            if let Some(place) = placeholder {
                out.push_bind_param::<BigInt, _>(&self.numbers[*place])?;
            }
        }
        Ok(())
    }
}

impl<const N: usize> QueryId for Filled<'_, N> {
    // Cached by its text.
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<const N: usize> Query for Filled<'_, N> {
    type SqlType = Text;
}

impl<C, const N: usize> RunQueryDsl<C> for Filled<'_, N> {}
