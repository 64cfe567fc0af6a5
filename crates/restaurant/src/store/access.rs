//! Who may see which restaurant. A [`HouseScope`] cannot be made but by asking the database on behalf of somebody.

use store::{Cell, Db, ReadError, Statement};

/// On whose behalf the database is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The operator of the node, and the product's own tasks: every restaurant.
    Node,
    /// An account: its restaurants.
    Account(String),
    /// The voice side, by its account: restaurants of that account, or provisioned into it; where it names an agent, only
    /// that agent's restaurant or one that has no agent yet.
    Voice {
        /// The account that signed.
        account: String,
        /// The agent that it named.
        agent: Option<String>,
        /// Whether the account is one of this node. One of a voice server elsewhere may have the same name as one here, and
        /// reaches only what was provisioned into it.
        here: bool,
    },
}

/// One restaurant that somebody may touch: an argument of every function that reads or writes what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HouseScope {
    tenant: String,
    restaurant: String,
}

impl HouseScope {
    /// The account.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The restaurant's id.
    pub fn restaurant(&self) -> &str {
        &self.restaurant
    }

    pub(crate) fn of_new(tenant: &str, restaurant: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            restaurant: restaurant.to_owned(),
        }
    }

    /// Adds "of this restaurant".
    pub fn limit(&self, statement: &mut Statement) {
        statement.with("tenant_id = ", self.tenant.as_str());
        statement.with(" AND restaurant_id = ", self.restaurant.as_str());
    }
}

impl Access {
    /// Adds "that may be seen", for statements on `restaurants`.
    pub(super) fn limit(&self, statement: &mut Statement) {
        match self {
            Self::Node => {
                statement.push("1 = 1");
            }
            Self::Account(tenant) => {
                statement.with("tenant_id = ", tenant.as_str());
            }
            Self::Voice {
                account,
                agent,
                here,
            } => {
                statement.with("(voice_account_id = ", account.as_str());
                if *here {
                    statement.with(" OR tenant_id = ", account.as_str());
                }
                statement.push(")");
                if let Some(agent) = agent {
                    statement.with(" AND (agent_id IS NULL OR agent_id = ", agent.as_str());
                    statement.push(")");
                }
            }
        }
    }

    /// The scope of one restaurant; `None` where there is none of that id, or it is not for them.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn house(&self, db: &Db, id: &str) -> Result<Option<HouseScope>, ReadError> {
        let mut asked = Statement::new("SELECT tenant_id FROM restaurants WHERE ");
        asked.with("id = ", id).push(" AND ");
        self.limit(&mut asked);
        let Some(row) = db.row(asked).await? else {
            return Ok(None);
        };
        Ok(row
            .text("tenant_id")?
            .map(|tenant| HouseScope::of_new(&tenant, id)))
    }

    /// The restaurant of a row that is only known by its id, as older clients name them.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn house_of(
        &self,
        db: &Db,
        table: &'static super::column::Table,
        id: &str,
    ) -> Result<Option<HouseScope>, ReadError> {
        let mut asked = Statement::new("SELECT restaurant_id FROM ");
        asked.push(table.name).with(" WHERE id = ", id);
        let row = db.row(asked).await?;
        match row.map(|row| row.text("restaurant_id")).transpose()? {
            Some(Some(restaurant)) => self.house(db, &restaurant).await,
            _ => Ok(None),
        }
    }

    /// The accounts whose secrets may have signed for a restaurant: its own, and the one that its agent is in.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn signers(db: &Db, restaurant: &str) -> Result<Vec<String>, ReadError> {
        let mut asked =
            Statement::new("SELECT tenant_id, voice_account_id FROM restaurants WHERE id = ");
        asked.bind(Cell::from(restaurant));
        let Some(row) = db.row(asked).await? else {
            return Ok(Vec::new());
        };
        let found = [row.text("tenant_id")?, row.text("voice_account_id")?];
        Ok(found.into_iter().flatten().collect())
    }
}
