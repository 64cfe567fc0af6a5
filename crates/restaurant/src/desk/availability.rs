//! `POST /api/availability/check`.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::facts::Dining;
use super::seating::{HOLD, HOLDS_MAX, booked, held, hold, load, release};
use super::{Asker, Desk, DeskError, Reply};
use crate::domain::availability::{
    Answer, Facts, Located, Question, delivery, delivery_fault, pickup, refused, reservation,
    unknown_mode,
};
use crate::domain::facts::{House, Taken, read};
use crate::domain::geo::{Point, straight_km, way};
use crate::domain::hours::Hours;
use crate::store::rows::hold_house;
use crate::store::{HouseScope, settle};

/// A customer's remembered coordinates are believed this far around the town that he names, in kilometres.
const TOWN_KM: f64 = 15.0;

impl Desk<'_> {
    /// Answers, and keeps a table for a caller who is known.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn check_availability(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        body: Value,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        let question: Question = match read(body) {
            Ok(question) => question,
            Err(error) => return Ok(Reply::error(400, error.to_string())),
        };
        let Some(mode) = question.mode.clone() else {
            return Ok(Reply::error(400, "restaurantId and mode are required"));
        };
        let Some((house, hours)) = self.house(scope).await? else {
            return Ok(told(&refused(
                &House::default(),
                &mode,
                "restaurant_not_found",
                None,
            )));
        };
        match mode.as_str() {
            "pickup" => {
                let cooking = load(self.db, scope, now).await?;
                let dining = Dining::none();
                let facts = Facts {
                    rooms: dining.rooms(&house),
                    hours: &hours,
                    load: &cooking,
                    taken: &[],
                };
                Ok(told(&pickup(&facts, &question, now)))
            }
            "delivery" => {
                self.check_delivery(scope, &house, &hours, &question, now)
                    .await
            }
            "reservation" => {
                self.check_reservation(scope, asker, &house, &hours, &question, now)
                    .await
            }
            other => Ok(told(&unknown_mode(other))),
        }
    }

    async fn check_delivery(
        &self,
        scope: &HouseScope,
        house: &House,
        hours: &Hours,
        question: &Question,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        if let Some(code) = delivery_fault(house, question) {
            return Ok(told(&refused(house, "delivery", code, None)));
        }
        let Some(located) = self.locate(house, question) else {
            return Ok(told(&refused(house, "delivery", "address_not_found", None)));
        };
        let cooking = load(self.db, scope, now).await?;
        let dining = Dining::none();
        let facts = Facts {
            rooms: dining.rooms(house),
            hours,
            load: &cooking,
            taken: &[],
        };
        Ok(told(&delivery(&facts, question, &located, now)))
    }

    /// Where an address is, offline. Coordinates that come along are believed unless they contradict the town.
    pub fn locate(&self, house: &House, question: &Question) -> Option<Located> {
        let home = Point {
            lat: house.lat?,
            lng: house.lng?,
        };
        let text = |text: &Option<String>| {
            text.as_deref()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let (street, town, code) = (
            text(&question.customer_address),
            text(&question.customer_city),
            text(&question.customer_postal_code),
        );
        let place = self.places.find(
            street.as_deref().unwrap_or_default(),
            town.as_deref(),
            code.as_deref(),
            Some(home),
        );
        let given = match (question.customer_lat, question.customer_lng) {
            (Some(lat), Some(lng)) => Some(Point { lat, lng }),
            _ => None,
        };
        let given = given.filter(|given| {
            place
                .as_ref()
                .is_none_or(|place| straight_km(*given, place.point) <= TOWN_KM)
        });
        let point = given.or_else(|| place.as_ref().map(|place| place.point))?;
        let town_line = match &place {
            Some(place) => format!(
                "{} {}",
                place.code,
                town.unwrap_or_else(|| place.town.clone())
            ),
            None => [code, town]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" "),
        };
        let formatted = match street {
            Some(street)
                if town_line.is_empty()
                    || street.contains(town_line.split(' ').next().unwrap_or_default()) =>
            {
                street
            }
            Some(street) => format!("{street}, {town_line}"),
            None => town_line,
        };
        Some(Located {
            point,
            formatted,
            way: way(home, point),
            calls: 0,
            cost: 0.0,
        })
    }

    async fn check_reservation(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        house: &House,
        hours: &Hours,
        question: &Question,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        let dining = self.dining(scope).await?;
        let asker = &Asker {
            call: asker.call.clone().or_else(|| question.call_id.clone()),
            caller: asker
                .caller
                .clone()
                .or_else(|| question.caller_phone.clone()),
            ..asker.clone()
        };
        let mut tx = self.db.begin().await?;
        let result = async {
            hold_house(&mut tx, scope).await?;
            let holds = held(&mut tx, scope, now).await?;
            let days = house.max_reservation_advance_days.clamp(0, 3_650) + 2;
            let horizon = now + SignedDuration::from_hours(24 * days);
            let mut taken = booked(
                &mut tx,
                scope,
                now - SignedDuration::from_hours(1),
                horizon,
                None,
            )
            .await?;
            taken.extend(
                holds
                    .iter()
                    .filter(|hold| !hold.is_of(asker))
                    .map(|hold| hold.taken.clone()),
            );
            let facts = Facts {
                rooms: dining.rooms(house),
                hours,
                load: &[],
                taken: &taken,
            };
            let (mut answer, found) = reservation(&facts, question, now);
            let known = asker.call.is_some() || asker.caller.is_some();
            // What a caller asks for next takes the place of what was kept for him.
            if known {
                release(&mut tx, scope, &holds, asker).await?;
            }
            if let Some((from, seat)) = found
                && known
                && holds.len() < HOLDS_MAX
            {
                let taken = Taken {
                    from,
                    to: seat.to,
                    party_size: question.party_size.unwrap_or(1),
                    table_ids: seat.table_ids,
                };
                let id = hold(
                    &mut tx,
                    scope,
                    asker,
                    &taken,
                    seat.service_id.as_deref(),
                    now,
                )
                .await?;
                answer.hold_id = Some(id);
                answer.hold_expires_at = Some((now + HOLD).to_string());
            }
            Ok::<Answer, DeskError>(answer)
        }
        .await;
        Ok(told(&settle(tx, result).await?))
    }
}

fn told(answer: &Answer) -> Reply {
    Reply::ok(serde_json::to_value(answer).unwrap_or_default())
}
