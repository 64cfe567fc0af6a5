//! What the handlers of entries share: partial writes, entity tags, pages, money, the store's refusals.

use crate::api::Api;
use crate::caller::Caller;
use crate::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::problem::{FieldFault, Problem};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use store::{ChangeError, Cursor, Entry, PageRequest, TenantScope};

/// Micro-units of one unit of a currency.
const MICRO: f64 = 1_000_000.0;
/// Largest amount that the API takes, in units: micro-units of it are exact in a double.
const MONEY_MAX: f64 = 9_000_000_000.0;

/// Micro-units as the API shows them.
#[expect(
    clippy::cast_precision_loss,
    reason = "amounts are bounded far below 2^53 micro-units"
)]
pub(crate) fn units(micro: i64) -> f64 {
    micro as f64 / MICRO
}

/// An amount of the API in micro-units.
#[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
pub(crate) fn micro(path: &str, units: f64) -> Result<i64, Problem> {
    if units.is_finite() && units.abs() <= MONEY_MAX {
        Ok((units * MICRO).round() as i64)
    } else {
        Err(Problem::field(path, "range", "±9000000000"))
    }
}

/// Applies the members of `patch` to `current`: members that are not named keep their values. Unknown members are ignored, as
/// clients send fields of other versions.
pub(crate) fn merged<T: Serialize + DeserializeOwned>(
    current: &T,
    patch: Value,
) -> Result<T, Problem> {
    let Value::Object(patch) = patch else {
        return Err(Problem::field("", "type", "object"));
    };
    let Value::Object(base) = serde_json::to_value(current).map_err(Problem::internal)? else {
        return Err(Problem::internal("an entry is an object"));
    };
    let known: Map<String, Value> = patch
        .into_iter()
        .filter(|(name, _)| base.contains_key(name))
        .collect();
    let mut whole = base.clone();
    for (name, value) in &known {
        whole.insert(name.clone(), value.clone());
    }
    serde_json::from_value(Value::Object(whole)).map_err(|error| {
        // Which members are at fault: each alone.
        let faults: Vec<FieldFault> = known
            .iter()
            .filter_map(|(name, value)| {
                let mut one = base.clone();
                one.insert(name.clone(), value.clone());
                let error = serde_json::from_value::<T>(Value::Object(one)).err()?;
                Some(fault(name, "type", error.to_string()))
            })
            .collect();
        if faults.is_empty() {
            Problem::field("", "type", error.to_string())
        } else {
            Problem::invalid(faults)
        }
    })
}

/// One fault.
pub(crate) fn fault(path: &str, code: &str, detail: impl Into<String>) -> FieldFault {
    FieldFault {
        path: path.to_owned(),
        position: None,
        code: code.to_owned(),
        detail: detail.into(),
    }
}

/// Faults that are collected and told together.
#[derive(Default)]
pub(crate) struct Faults(Vec<FieldFault>);

impl Faults {
    /// Adds one unless `fine`.
    pub(crate) fn unless(&mut self, fine: bool, path: &str, code: &str, detail: &str) {
        if !fine {
            self.0.push(fault(path, code, detail));
        }
    }

    /// A text of 1 to `max` characters.
    pub(crate) fn text(&mut self, path: &str, text: &str, max: usize) {
        let characters = text.chars().count();
        self.unless(!text.trim().is_empty(), path, "required", "");
        self.unless(characters <= max, path, "length", &format!("≤ {max}"));
    }

    /// An absent text, or one of at most `max` characters.
    pub(crate) fn maybe(&mut self, path: &str, text: Option<&str>, max: usize) {
        let short = text.is_none_or(|text| text.chars().count() <= max);
        self.unless(short, path, "length", &format!("≤ {max}"));
    }

    /// An ISO 4217 code.
    pub(crate) fn currency(&mut self, path: &str, code: &str) {
        let fine = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        self.unless(fine, path, "currency", "ISO 4217: EUR");
    }

    /// One of a few words.
    pub(crate) fn choice(&mut self, path: &str, word: &str, choices: &[&str]) {
        self.unless(choices.contains(&word), path, "choice", &choices.join(", "));
    }

    /// Ends the check.
    pub(crate) fn done(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(self.0))
        }
    }
}

/// The entity tag of an entry.
pub(crate) fn tag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// The version that a write must find: the one that was read, once `If-Match` was compared with it.
pub(crate) fn expected(
    headers: &HeaderMap,
    current: i64,
    required: bool,
) -> Result<Option<i64>, Problem> {
    crate::answer::check_match(headers, &tag(current), required)?;
    Ok(Some(current))
}

/// Whether the client said which version it has read: where not, a meeting of two writes is repeated, not refused.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_MATCH)
}

/// Attempts of a write whose entry is changed by others meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// Runs a read-change-write again while another write comes between and the client named no version.
pub(crate) async fn repeat<T, F>(
    headers: &HeaderMap,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Problem>
where
    F: Future<Output = Result<T, Problem>>,
{
    let mut left = ATTEMPTS_MAX;
    loop {
        left -= 1;
        match attempt().await {
            Err(problem)
                if left > 0
                    && problem.status() == StatusCode::PRECONDITION_FAILED
                    && !is_conditional(headers) => {}
            ended => return ended,
        }
    }
}

/// Which page a client asks for.
pub(crate) fn page(limit: Option<u32>, cursor: Option<&str>) -> Result<PageRequest, Problem> {
    let after = cursor
        .filter(|cursor| !cursor.is_empty())
        .map(str::parse::<Cursor>)
        .transpose()
        .map_err(|error| Problem::bad_request(format!("cursor: {error}")))?;
    Ok(PageRequest {
        limit: limit
            .filter(|limit| *limit > 0)
            .unwrap_or(PAGE_DEFAULT)
            .min(PAGE_MAX),
        after,
    })
}

/// A JSON object that is stored as text.
pub(crate) fn object(text: &str) -> Map<String, Value> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound { .. } => Self::unknown(),
            ChangeError::VersionConflict { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "api_precondition_failed")
            }
            ChangeError::Duplicate { what: "the number" } => Self::conflict("api_number_taken"),
            ChangeError::Duplicate { .. } => Self::conflict("api_exists"),
            ChangeError::UnknownReference => Self::field("", "reference", "id"),
            ChangeError::InUse { .. } => Self::conflict("api_in_use"),
            ChangeError::Refused { cause } => Self::field("", cause, cause),
            ChangeError::Write(error) => error.into(),
        }
    }
}

/// An entry or 404.
pub(crate) fn found<C>(entry: Option<Entry<C>>) -> Result<Entry<C>, Problem> {
    entry.ok_or_else(Problem::unknown)
}

/// Sets a member of settings; null removes it.
pub(crate) fn put(settings: &mut Map<String, Value>, name: &str, value: Value) {
    if value.is_null() {
        settings.remove(name);
    } else {
        settings.insert(name.to_owned(), value);
    }
}

impl Api {
    /// The version that a write of this account must find: the one that was read, once `If-Match` was compared with it.
    ///
    /// # Errors
    /// As of [`expected`].
    pub(crate) async fn expected(
        &self,
        headers: &HeaderMap,
        scope: &TenantScope,
        current: i64,
    ) -> Result<Option<i64>, Problem> {
        let required = self.requires_match(headers, scope).await?;
        expected(headers, current, required)
    }

    /// Whether this account asks for `If-Match` on every write.
    async fn requires_match(
        &self,
        headers: &HeaderMap,
        scope: &TenantScope,
    ) -> Result<bool, Problem> {
        if is_conditional(headers) {
            return Ok(false);
        }
        let tenant = self.store.tenant(scope).await?;
        Ok(tenant.is_some_and(|tenant| {
            object(&tenant.settings).get("requireIfMatch") == Some(&Value::Bool(true))
        }))
    }

    /// The scope of the caller, for an account that must exist.
    pub(crate) async fn account_scope(
        &self,
        caller: &Caller,
        account: Option<&str>,
    ) -> Result<TenantScope, Problem> {
        let scope = caller.scope(account)?;
        if caller.is_node() && self.store.tenant(&scope).await?.is_none() {
            return Err(Problem::field("accountId", "reference", "id"));
        }
        Ok(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Thing {
        name: String,
        is_active: bool,
        note: Option<String>,
    }

    fn thing() -> Thing {
        Thing {
            name: "a".to_owned(),
            is_active: true,
            note: Some("n".to_owned()),
        }
    }

    #[test]
    fn a_partial_write_keeps_the_rest_and_names_each_fault() {
        let changed = merged(&thing(), json!({"isActive": false, "other": 1})).unwrap();
        assert_eq!(
            changed,
            Thing {
                is_active: false,
                ..thing()
            }
        );
        assert_eq!(merged(&thing(), json!({"note": null})).unwrap().note, None);
        let problem = merged(&thing(), json!({"name": 1, "isActive": "yes"})).unwrap_err();
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            format!("{problem:?}").contains("isActive") && format!("{problem:?}").contains("name")
        );
        assert!(merged(&thing(), json!([])).is_err());
    }

    #[test]
    fn money_is_exact_to_the_micro_unit() {
        for amount in [0.0, 0.1, 12.345_678, -3.5, 1_000_000.000_001] {
            assert!((units(micro("m", amount).unwrap()) - amount).abs() < 1e-9);
        }
        assert!(micro("m", f64::NAN).is_err() && micro("m", 1e300).is_err());
    }
}
