//! What has to reach somebody else, at least once: planned in the write that marks its event as read, sent by whichever node claims
//! it first.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use store::{Cell, ChangeError, Db, ReadError, Row, Statement, Tx};

use super::access::HouseScope;
use super::settle;

/// Bytes of an error that are kept.
const ERROR_BYTES_MAX: usize = 500;

/// An event that nobody has read.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Its id.
    pub id: String,
    /// Whose.
    pub scope: HouseScope,
    /// `order.created` and so on.
    pub kind: String,
    /// The order, reservation or message.
    pub subject: Option<String>,
    /// What was told with it.
    pub payload: Value,
    /// When it happened.
    pub at: Timestamp,
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// `order.created` and so on.
    pub kind: String,
    /// `email sms webhook printer`.
    pub channel: &'static str,
    /// An address, a number, an URL, a printer.
    pub target: String,
    /// Of a mail.
    pub subject: Option<String>,
    /// What is sent.
    pub body: String,
    /// Later nobody wants it any more.
    pub gives_up_at: Timestamp,
}

/// Something to send, claimed.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Its id, the same at every attempt.
    pub id: String,
    /// The account of the restaurant.
    pub tenant: String,
    /// The restaurant.
    pub restaurant: String,
    /// `email sms webhook printer`.
    pub channel: String,
    /// Where to.
    pub target: String,
    /// Of a mail.
    pub subject: Option<String>,
    /// What.
    pub body: String,
    /// Attempts, this one included.
    pub attempts: i64,
    /// Later nobody wants it any more.
    pub gives_up_at: Timestamp,
    claimed_until: i64,
}

/// What an attempt led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side has it.
    Sent,
    /// It is tried again.
    Again {
        /// What went wrong, without secrets.
        error: String,
        /// When.
        at: Timestamp,
    },
    /// It is given up.
    Dead {
        /// What went wrong, without secrets.
        error: String,
    },
}

fn time(row: &Row, name: &str) -> Result<Timestamp, ReadError> {
    let micro = row.int(name)?.unwrap_or_default();
    Ok(Timestamp::from_microsecond(micro).unwrap_or_default())
}

fn text(row: &Row, name: &str) -> Result<String, ReadError> {
    Ok(row.text(name)?.unwrap_or_default())
}

/// The oldest events that nobody has read, of all restaurants.
///
/// # Errors
/// See [`ReadError`].
pub async fn unread(db: &Db, limit: i64) -> Result<Vec<Unread>, ReadError> {
    let mut asked = Statement::new(
        "SELECT * FROM restaurant_events WHERE published_at IS NULL ORDER BY created_at, id",
    );
    asked.with(" LIMIT ", limit);
    let rows = db.rows(asked).await?;
    rows.iter()
        .map(|row| {
            Ok(Unread {
                id: text(row, "id")?,
                scope: HouseScope::of_new(&text(row, "tenant_id")?, &text(row, "restaurant_id")?),
                kind: text(row, "kind")?,
                subject: row.text("subject_id")?,
                payload: serde_json::from_str(&text(row, "payload")?).unwrap_or(Value::Null),
                at: time(row, "created_at")?,
            })
        })
        .collect()
}

/// Marks an event as read and writes what it leads to, in one write. Nothing where another node was first.
///
/// # Errors
/// See [`ChangeError`].
pub async fn publish(
    db: &Db,
    event: &Unread,
    notices: &[NewNotice],
    now: Timestamp,
) -> Result<(), ChangeError> {
    let mut tx = db.begin().await?;
    let written = write(&mut tx, event, notices, now).await;
    settle(tx, written).await
}

async fn write(
    tx: &mut Tx,
    event: &Unread,
    notices: &[NewNotice],
    now: Timestamp,
) -> Result<(), ChangeError> {
    let mut mark = Statement::new("UPDATE restaurant_events SET published_at = ");
    mark.bind(now).push(" WHERE ");
    event.scope.limit(&mut mark);
    mark.with(" AND id = ", event.id.as_str());
    mark.push(" AND published_at IS NULL");
    if tx.run(mark, "event").await? == 0 {
        return Ok(());
    }
    for notice in notices {
        let mut insert = Statement::new(
            "INSERT INTO restaurant_notices (id, tenant_id, restaurant_id, event_id, kind, subject_id, channel, target, subject, body, \
             next_at, gives_up_at, created_at, updated_at) VALUES (",
        );
        insert.bind(store::new_id());
        let cells: [Cell; 13] = [
            event.scope.tenant().into(),
            event.scope.restaurant().into(),
            event.id.as_str().into(),
            notice.kind.as_str().into(),
            event.subject.clone().into(),
            notice.channel.into(),
            notice.target.as_str().into(),
            notice.subject.clone().into(),
            notice.body.as_str().into(),
            now.into(),
            notice.gives_up_at.into(),
            now.into(),
            now.into(),
        ];
        for cell in cells {
            insert.with(", ", cell);
        }
        insert.push(") ON CONFLICT DO NOTHING");
        tx.run(insert, "notice").await?;
    }
    Ok(())
}

/// Claims what is due, for as long as `lease`: no other node is given it meanwhile, and one that dies loses nothing.
///
/// # Errors
/// See [`ChangeError`].
pub async fn claim(
    db: &Db,
    limit: i64,
    lease: SignedDuration,
    now: Timestamp,
) -> Result<Vec<Notice>, ChangeError> {
    // A look costs the other writers nothing.
    let mut due =
        Statement::new("SELECT id FROM restaurant_notices WHERE state = 'pending' AND next_at <= ");
    due.bind(now);
    due.with(" AND (claimed_until IS NULL OR claimed_until <= ", now);
    due.push(") LIMIT 1");
    if db.row(due).await?.is_none() {
        return Ok(Vec::new());
    }
    let until = now.saturating_add(lease).unwrap_or(now);
    let mut tx = db.begin().await?;
    let claimed = async {
        let mut claim = Statement::new(
            "WITH due AS MATERIALIZED (SELECT id FROM restaurant_notices WHERE state = 'pending'",
        );
        claim.with(" AND next_at <= ", now);
        claim.with(" AND (claimed_until IS NULL OR claimed_until <= ", now);
        claim.push(") ORDER BY next_at, id").with(" LIMIT ", limit);
        claim.push(tx.lock_free());
        claim.with(
            ") UPDATE restaurant_notices SET attempts = attempts + 1, claimed_until = ",
            until,
        );
        claim.with(", updated_at = ", now);
        claim.push(" WHERE id IN (SELECT id FROM due) RETURNING *");
        let rows = tx.rows(claim, "notice").await?;
        let notices: Result<Vec<Notice>, ReadError> = rows.iter().map(notice).collect();
        Ok::<_, ChangeError>(notices?)
    };
    let claimed = claimed.await;
    settle(tx, claimed).await
}

fn notice(row: &Row) -> Result<Notice, ReadError> {
    Ok(Notice {
        id: text(row, "id")?,
        tenant: text(row, "tenant_id")?,
        restaurant: text(row, "restaurant_id")?,
        channel: text(row, "channel")?,
        target: text(row, "target")?,
        subject: row.text("subject")?,
        body: text(row, "body")?,
        attempts: row.int("attempts")?.unwrap_or_default(),
        gives_up_at: time(row, "gives_up_at")?,
        claimed_until: row.int("claimed_until")?.unwrap_or_default(),
    })
}

/// Writes what an attempt led to. What another node claimed meanwhile is its own; what was sent is sent.
///
/// # Errors
/// See [`ChangeError`].
pub async fn note(
    db: &Db,
    notice: &Notice,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let cut = |text: &str| {
        let mut end = text.len().min(ERROR_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].to_owned()
    };
    let mut set = Statement::new("UPDATE restaurant_notices SET claimed_until = NULL");
    set.with(", updated_at = ", now);
    match outcome {
        Outcome::Sent => {
            set.with(", state = 'sent', last_error = NULL, ended_at = ", now);
        }
        Outcome::Again { error, at } => {
            set.with(", last_error = ", cut(error));
            set.with(", next_at = ", *at);
        }
        Outcome::Dead { error } => {
            set.with(", state = 'dead', last_error = ", cut(error));
            set.with(", ended_at = ", now);
        }
    }
    set.with(" WHERE id = ", notice.id.as_str());
    set.push(" AND state = 'pending'");
    if *outcome != Outcome::Sent {
        set.with(" AND claimed_until = ", notice.claimed_until);
    }
    let mut tx = db.begin().await?;
    let noted = tx.run(set, "notice").await.map(|_| ());
    settle(tx, noted).await
}

/// Makes a notice due again, whatever became of it, under its old id; whether there is one. It has `life` from now.
///
/// # Errors
/// See [`ChangeError`].
pub async fn replay(
    db: &Db,
    scope: &HouseScope,
    id: &str,
    life: SignedDuration,
    now: Timestamp,
) -> Result<bool, ChangeError> {
    let until = now.saturating_add(life).unwrap_or(now);
    let mut set = Statement::new(
        "UPDATE restaurant_notices SET state = 'pending', attempts = 0, ended_at = NULL",
    );
    set.with(", claimed_until = NULL, next_at = ", now);
    set.with(", gives_up_at = ", until)
        .with(", updated_at = ", now);
    set.push(" WHERE ");
    scope.limit(&mut set);
    set.with(" AND id = ", id).push(" AND state <> 'erased'");
    let mut tx = db.begin().await?;
    let done = tx.run(set, "notice").await.map(|count| count > 0);
    settle(tx, done).await
}

#[cfg(test)]
impl Notice {
    pub(crate) fn for_test(
        id: &str,
        channel: &str,
        target: &str,
        attempts: i64,
        gives_up_at: Timestamp,
    ) -> Self {
        Self {
            id: id.to_owned(),
            tenant: "t".to_owned(),
            restaurant: "r".to_owned(),
            channel: channel.to_owned(),
            target: target.to_owned(),
            subject: None,
            body: String::new(),
            attempts,
            gives_up_at,
            claimed_until: 0,
        }
    }
}
