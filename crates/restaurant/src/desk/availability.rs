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
use crate::domain::geo::{Place, Point, straight_km, way};
use crate::domain::hours::Hours;
use crate::maps::Asked;
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
        let located = match self.locate(house, question).await {
            Ok(located) => located,
            Err(asked) => {
                let mut answer = refused(house, "delivery", "address_not_found", None);
                answer.google_api_calls = Some(asked.calls);
                answer.api_costs = Some(asked.cost);
                return Ok(told(&answer));
            }
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

    /// Where an address is, and the way there: of the map services of the settings, else estimated from the embedded places.
    /// Coordinates that come along are believed unless they contradict the town, and so is what a service says.
    ///
    /// # Errors
    /// It is nowhere; what asking took.
    async fn locate(&self, house: &House, question: &Question) -> Result<Located, Asked<()>> {
        let nowhere = Asked::default;
        let (Some(lat), Some(lng)) = (house.lat, house.lng) else {
            return Err(nowhere());
        };
        let home = Point { lat, lng };
        let (street, town, code) = (
            text(question.customer_address.as_deref()),
            text(question.customer_city.as_deref()),
            text(question.customer_postal_code.as_deref()),
        );
        let places = self.maps.places().await;
        let place = places.find(
            street.as_deref().unwrap_or_default(),
            town.as_deref(),
            code.as_deref(),
            Some(home),
        );
        let plausible = |point: &Point| {
            place
                .as_ref()
                .is_none_or(|place| straight_km(*point, place.point) <= TOWN_KM)
        };
        let given = question.customer_lat.zip(question.customer_lng);
        let given = given.map(|(lat, lng)| Point { lat, lng }).filter(plausible);
        let written = written(
            street.as_deref(),
            town.as_deref(),
            code.as_deref(),
            place.as_ref(),
        );
        // Of a town alone a service knows no more than we do.
        let found = if given.is_none() && (street.is_some() || place.is_none()) {
            self.maps
                .find(&written, house.lang(), house.country())
                .await
        } else {
            Asked::default()
        };
        let service = found.found.filter(|found| plausible(&found.point));
        let exact = given.or_else(|| service.as_ref().map(|found| found.point));
        let Some(point) = exact.or_else(|| place.as_ref().map(|place| place.point)) else {
            return Err(Asked {
                calls: found.calls,
                cost: found.cost,
                failed: found.failed,
                found: None,
            });
        };
        let by_road = self.maps.way(home, point, house.lang()).await;
        let formatted = match (&place, service.and_then(|found| found.formatted)) {
            (None, Some(formatted)) => formatted,
            _ => written,
        };
        let estimated = found.failed || by_road.failed;
        Ok(Located {
            point,
            formatted,
            way: by_road.found.unwrap_or_else(|| way(home, point)),
            calls: found.calls + by_road.calls,
            cost: without_noise(found.cost + by_road.cost),
            estimated,
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

fn text(text: Option<&str>) -> Option<String> {
    let text = text.map(str::trim);
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// An address in one line, as a driver reads it.
fn written(
    street: Option<&str>,
    town: Option<&str>,
    code: Option<&str>,
    place: Option<&Place>,
) -> String {
    let town_line = match place {
        Some(place) => format!("{} {}", place.code, town.unwrap_or(&place.town)),
        None => [code, town]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" "),
    };
    match street {
        Some(street)
            if town_line.is_empty()
                || street.contains(town_line.split(' ').next().unwrap_or_default()) =>
        {
            street.to_owned()
        }
        Some(street) => format!("{street}, {town_line}"),
        None => town_line,
    }
}

/// A sum of prices without the noise of its last digits.
fn without_noise(cost: f64) -> f64 {
    (cost * 1e6).round() / 1e6
}

fn told(answer: &Answer) -> Reply {
    Reply::ok(serde_json::to_value(answer).unwrap_or_default())
}
