//! `GET /api/ai`.

use jiff::Timestamp;
use serde_json::Value;

use super::{Desk, DeskError};
use crate::domain::facts::{Answered, Customer, read};
use crate::domain::money::Cents;
use crate::domain::phone;
use crate::domain::prompt::{HISTORY_MAX, Past, Story, session};
use crate::store::rows::list;
use crate::store::{Filter, HouseScope, tables};
use store::Statement;

impl Desk<'_> {
    /// A call's session; `None` where the restaurant was removed meanwhile.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn session(
        &self,
        scope: &HouseScope,
        caller: Option<&str>,
        pack: &[Value],
        margin_pct: f64,
        now: Timestamp,
    ) -> Result<Option<Value>, DeskError> {
        let Some((house, hours)) = self.house(scope).await? else {
            return Ok(None);
        };
        let menu = self.menu(scope).await?;
        let dining = self.dining(scope).await?;
        let answered = Filter::default().with("status = ", "answered").first(200);
        let answers: Result<Vec<Answered>, _> = list(self.db, scope, &tables::FAQS, answered)
            .await?
            .into_iter()
            .map(read)
            .collect();
        let customer = match caller {
            Some(number) => self.customer(scope, number).await?,
            None => None,
        };
        let history = match (&customer, caller) {
            (Some(_), Some(number)) => self.history(scope, number).await?,
            _ => Vec::new(),
        };
        let story = Story {
            house: &house,
            hours: &hours,
            menu: &menu,
            services: dining.services(),
            offers: &dining.offers,
            answers: &answers?,
            customer: customer.as_ref(),
            history: &history,
            caller,
        };
        Ok(Some(session(story, pack, now, margin_pct)))
    }

    /// The customer with a number, in any of its spellings.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn customer(
        &self,
        scope: &HouseScope,
        number: &str,
    ) -> Result<Option<Customer>, DeskError> {
        for spelling in phone::spellings(number) {
            let one = Filter::default().with("phone = ", spelling).first(1);
            if let Some(row) = list(self.db, scope, &tables::CUSTOMERS, one).await?.pop() {
                return Ok(Some(read(row)?));
            }
        }
        Ok(None)
    }

    async fn history(&self, scope: &HouseScope, number: &str) -> Result<Vec<Past>, DeskError> {
        let mut statement =
            Statement::new("SELECT id, created_at, total FROM restaurant_orders WHERE ");
        scope.limit(&mut statement);
        statement.push(" AND status <> 'cancelled' AND customer_phone IN (");
        for (index, spelling) in phone::spellings(number).into_iter().enumerate() {
            statement.with(if index == 0 { "" } else { ", " }, spelling);
        }
        statement.push(") ORDER BY created_at DESC");
        statement.with(" LIMIT ", i64::try_from(HISTORY_MAX).unwrap_or(3));
        let mut found = Vec::new();
        for row in self.db.rows(statement).await? {
            let id = row.text("id")?.unwrap_or_default();
            let lines = Filter::default().with("order_id = ", id);
            let lines = list(self.db, scope, &tables::ORDER_LINES, lines).await?;
            let at = row
                .int("created_at")?
                .and_then(|at| Timestamp::from_microsecond(at).ok());
            found.push(Past {
                at: at.unwrap_or_default(),
                summary: super::orders::summary(&lines),
                total: Cents::new(row.int("total")?.unwrap_or(0)),
            });
        }
        Ok(found)
    }
}
