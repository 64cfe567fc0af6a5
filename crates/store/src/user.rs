//! People: of a tenant, or of the operator of the node.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, entry, flag, time_if};
use crate::error::ReadError;
use crate::page::{List, PageRequest, contains};
use crate::scope::Realm;
use crate::sealed::Sealed;
use crate::sql::Sql;

/// A person who may log in.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Its address, in lower case; unique on the node.
    pub email: String,
    /// Its name.
    pub name: String,
    /// Hash of its password (argon2).
    pub password_hash: Sealed,
    /// `owner`, `admin`, `operator` or `viewer`.
    pub role: String,
    /// Whether it may log in.
    pub is_active: bool,
    /// When it did last.
    pub last_login_at: Option<jiff::Timestamp>,
}

/// Which users to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Of this role.
    pub role: Option<String>,
    /// With this in the address.
    pub search: Option<String>,
    /// Active or not.
    pub is_active: Option<bool>,
}

impl Content for User {
    const TABLE: &'static str = "users";
    const WHAT: &'static str = "user";
    const UNIQUE: &'static str = "the address";
    const COLUMNS: &'static [&'static str] = &[
        "email",
        "name",
        "password_hash",
        "role",
        "is_active",
        "last_login_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.email).into(),
            (&self.name).into(),
            Sealed::value(Some(&self.password_hash)),
            (&self.role).into(),
            self.is_active.into(),
            self.last_login_at.into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            password_hash: Sealed::read(row, "password_hash")?.unwrap_or_else(|| Sealed::new("")),
            role: row.try_get("role")?,
            is_active: flag(row, "is_active")?,
            last_login_at: time_if(row, "last_login_at")?,
        })
    }
}

impl Store {
    /// Makes an user.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_user(
        &self,
        realm: Realm<'_>,
        id: &str,
        user: &User,
    ) -> Result<Entry<User>, ChangeError> {
        self.create(realm, id, user).await
    }

    /// One user; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn user(&self, realm: Realm<'_>, id: &str) -> Result<Option<Entry<User>>, ReadError> {
        self.entry(realm, id).await
    }

    /// The users, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn users(
        &self,
        realm: Realm<'_>,
        filter: &UserFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<User>>, ReadError> {
        self.entries(realm, page, |sql| {
            if let Some(text) = &filter.role {
                sql.with(" AND role = ", text.clone());
            }
            if let Some(search) = &filter.search {
                contains(sql, "email", search);
            }
            if let Some(flag) = filter.is_active {
                sql.with(" AND is_active = ", i64::from(flag));
            }
        })
        .await
    }

    /// Changes an user.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_user(
        &self,
        realm: Realm<'_>,
        id: &str,
        user: &User,
        expected: Option<i64>,
    ) -> Result<Entry<User>, ChangeError> {
        self.change(realm, id, user, expected).await
    }

    /// Removes an user.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_user(
        &self,
        realm: Realm<'_>,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        self.erase::<User>(realm, id, expected).await
    }

    /// Who has this address, whatever the tenant: the first step of a login. Case does not matter.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn resolve_user(&self, email: &str) -> Result<Option<Entry<User>>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM users WHERE email = ");
        sql.bind(email.to_lowercase().replace('\0', ""));
        let row = sql.row(self.readers()).await?;
        Ok(row.as_ref().map(entry).transpose()?)
    }

    /// Whether anybody may log in at all: without a user the first one is made at set-up.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_has_users(&self) -> Result<bool, ReadError> {
        let row = Sql::new("SELECT id FROM users LIMIT 1")
            .row(self.readers())
            .await?;
        Ok(row.is_some())
    }
}
