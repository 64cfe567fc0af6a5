//! Who makes a request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::app::App;
use super::refusal::Refusal;
use crate::store::column::Table;
use crate::store::rows::Expected;
use crate::store::{Access, HouseScope};

/// What somebody may do at most. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Does the daily work.
    Operator,
    /// Changes what the restaurant is made of.
    Admin,
    /// Everything.
    Owner,
}

/// Who makes a request, and what he may see.
#[derive(Clone, Debug)]
pub struct Who {
    /// Whose restaurants.
    pub access: Access,
    /// What he may do.
    pub role: Role,
    /// Name by which he is counted.
    pub bucket: String,
    /// The call that the voice side names.
    pub call: Option<String>,
    /// The same for each attempt of one request.
    pub key: Option<String>,
    /// The state in which the client has read what it changes (`If-Match`).
    pub expected: Expected,
}

impl Who {
    /// Whether it is the voice side, by its signature or an agent's token.
    pub fn is_voice(&self) -> bool {
        matches!(self.access, Access::Voice { .. })
    }

    /// The account of the credential; the operator of the node has none.
    pub fn account(&self) -> Option<&str> {
        match &self.access {
            Access::Node => None,
            Access::Account(account) | Access::Voice { account, .. } => Some(account),
        }
    }

    /// The restaurant of a request.
    ///
    /// # Errors
    /// 400 when none is named, 404 when there is none or it is not for them: which of the two is not said.
    pub async fn house(&self, app: &App, id: Option<&str>) -> Result<HouseScope, Refusal> {
        let id = id.map(str::trim).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Refusal::missing("restaurantId"))?;
        let found = self.access.house(&app.db, id).await?;
        found.ok_or_else(Refusal::unknown)
    }

    /// The restaurant of a row that the request names by its id alone.
    ///
    /// # Errors
    /// 404, as [`Who::house`].
    pub async fn house_of(
        &self,
        app: &App,
        table: &'static Table,
        id: &str,
    ) -> Result<HouseScope, Refusal> {
        let found = self.access.house_of(&app.db, table, id).await?;
        found.ok_or_else(Refusal::unknown)
    }
}

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        // The guard put it there; a route without a guard does not exist.
        let who = parts.extensions.get::<Self>().cloned();
        who.ok_or_else(Refusal::unauthorized)
    }
}
