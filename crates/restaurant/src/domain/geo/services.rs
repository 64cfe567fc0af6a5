//! What map services are asked and what their answers mean: Nominatim and Google's geocoder, OSRM and Google's distance matrix.
//!
//! Request shapes: nominatim.org/release-docs (`/search`), project-osrm.org/docs/v5.24.0/api (`/route/v1`), and Google's "Geocoding
//! API" and "Distance Matrix API" (`/maps/api/geocode/json`, `/maps/api/distancematrix/json`).

use serde_json::Value;
use url::Url;

use super::{HANDING_MIN, Point, Way};
use crate::domain::lang::Lang;

/// Longest address that is asked for, in characters.
pub const ADDRESS_CHARS_MAX: usize = 300;

/// Who says where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geocoder {
    /// A server of Nominatim's interface.
    Nominatim,
    /// Google's.
    Google,
}

/// Who says how long a way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// A server of OSRM's interface.
    Osrm,
    /// Google's.
    Google,
}

/// An address that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// On the map.
    pub point: Point,
    /// As the service writes it.
    pub formatted: Option<String>,
}

/// An answer that says nothing of the address; its cause in one word of the service, or `not_understood`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

fn not_understood() -> NoAnswer {
    NoAnswer("not_understood".to_owned())
}

/// Puts a path behind a base address, whether or not that ends with a slash.
fn at(base: &str, path: &str) -> Option<Url> {
    Url::parse(&format!("{}{path}", base.trim_end_matches('/'))).ok()
}

fn degrees(lat: f64, lng: f64) -> Option<Point> {
    let on_earth = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lng);
    on_earth.then_some(Point { lat, lng })
}

/// A number, also where it is written as a text.
fn number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
        .filter(|number: &f64| number.is_finite())
}

/// Kilometres of two decimals, minutes rounded up, and the minutes at the door.
fn measured(metres: f64, seconds: f64) -> Option<Way> {
    let within = (0.0..=50_000_000.0).contains(&metres) && (0.0..=10_000_000.0).contains(&seconds);
    if !within {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let minutes = (seconds / 60.0).ceil() as i64;
    Some(Way {
        km: (metres / 10.0).round() / 100.0,
        minutes: minutes + HANDING_MIN,
    })
}

/// What Google says in `status`: `false` is nothing found.
fn google_status(body: &Value) -> Result<bool, NoAnswer> {
    match body.get("status").and_then(Value::as_str) {
        Some("OK") => Ok(true),
        Some("ZERO_RESULTS" | "NOT_FOUND") => Ok(false),
        Some(other) => Err(NoAnswer(other.chars().take(40).collect())),
        None => Err(not_understood()),
    }
}

impl Geocoder {
    /// The address that is asked. `country`: two letters, to which the search is limited.
    pub fn url(
        self,
        base: &str,
        key: Option<&str>,
        address: &str,
        lang: Lang,
        country: Option<&str>,
    ) -> Option<String> {
        let address: String = address.chars().take(ADDRESS_CHARS_MAX).collect();
        let country = country
            .filter(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic()));
        let country = country.map(str::to_ascii_lowercase);
        let mut url = match self {
            Self::Nominatim => at(base, "/search")?,
            Self::Google => at(base, "/maps/api/geocode/json")?,
        };
        let mut query = url.query_pairs_mut();
        match self {
            Self::Nominatim => {
                query
                    .append_pair("q", &address)
                    .append_pair("format", "json");
                query
                    .append_pair("limit", "1")
                    .append_pair("accept-language", lang.tag());
                if let Some(country) = &country {
                    query.append_pair("countrycodes", country);
                }
            }
            Self::Google => {
                query
                    .append_pair("address", &address)
                    .append_pair("language", lang.tag());
                if let Some(country) = &country {
                    query.append_pair("region", country);
                }
                if let Some(key) = key {
                    query.append_pair("key", key);
                }
            }
        }
        drop(query);
        Some(url.into())
    }

    /// Where the address is; `None`: the service knows no such address.
    ///
    /// # Errors
    /// The service refused, or answered otherwise than it should.
    pub fn read(self, body: &Value) -> Result<Option<Found>, NoAnswer> {
        let text = |value: Option<&Value>| {
            let text = value.and_then(Value::as_str)?;
            Some(text.chars().take(ADDRESS_CHARS_MAX).collect::<String>())
        };
        let found = match self {
            Self::Nominatim => {
                let Some(first) = body.as_array().ok_or_else(not_understood)?.first() else {
                    return Ok(None);
                };
                let point = number(&first["lat"]).zip(number(&first["lon"]));
                (point, text(first.get("display_name")))
            }
            Self::Google => {
                if !google_status(body)? {
                    return Ok(None);
                }
                let first = &body["results"][0];
                let place = &first["geometry"]["location"];
                let point = number(&place["lat"]).zip(number(&place["lng"]));
                (point, text(first.get("formatted_address")))
            }
        };
        let (point, formatted) = found;
        let point = point.and_then(|(lat, lng)| degrees(lat, lng));
        let point = point.ok_or_else(not_understood)?;
        Ok(Some(Found { point, formatted }))
    }
}

impl Router {
    /// The address that is asked.
    pub fn url(
        self,
        base: &str,
        key: Option<&str>,
        from: Point,
        to: Point,
        lang: Lang,
    ) -> Option<String> {
        match self {
            Self::Osrm => {
                let path = format!(
                    "/route/v1/driving/{},{};{},{}",
                    from.lng, from.lat, to.lng, to.lat
                );
                let mut url = at(base, &path)?;
                url.query_pairs_mut().append_pair("overview", "false");
                Some(url.into())
            }
            Self::Google => {
                let mut url = at(base, "/maps/api/distancematrix/json")?;
                let pair = |point: Point| format!("{},{}", point.lat, point.lng);
                let mut query = url.query_pairs_mut();
                query.append_pair("origins", &pair(from));
                query.append_pair("destinations", &pair(to));
                query
                    .append_pair("mode", "driving")
                    .append_pair("language", lang.tag());
                if let Some(key) = key {
                    query.append_pair("key", key);
                }
                drop(query);
                Some(url.into())
            }
        }
    }

    /// The way; `None`: there is none by road.
    ///
    /// # Errors
    /// The service refused, or answered otherwise than it should.
    pub fn read(self, body: &Value) -> Result<Option<Way>, NoAnswer> {
        let (metres, seconds) = match self {
            Self::Osrm => {
                match body.get("code").and_then(Value::as_str) {
                    Some("Ok") => {}
                    Some("NoRoute" | "NoSegment") => return Ok(None),
                    Some(other) => return Err(NoAnswer(other.chars().take(40).collect())),
                    None => return Err(not_understood()),
                }
                let route = &body["routes"][0];
                (number(&route["distance"]), number(&route["duration"]))
            }
            Self::Google => {
                if !google_status(body)? {
                    return Ok(None);
                }
                let element = &body["rows"][0]["elements"][0];
                if !google_status(element)? {
                    return Ok(None);
                }
                (
                    number(&element["distance"]["value"]),
                    number(&element["duration"]["value"]),
                )
            }
        };
        let way = metres.zip(seconds);
        let way = way.and_then(|(metres, seconds)| measured(metres, seconds));
        way.map(Some).ok_or_else(not_understood)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOME: Point = Point {
        lat: 47.322,
        lng: 5.0415,
    };
    const GUEST: Point = Point {
        lat: 47.33,
        lng: 5.05,
    };

    #[test]
    fn addresses_are_asked_for_in_the_services_own_form() {
        let address = "12 rue de l'Église & Cie, 21000 Dijon";
        let asked =
            Geocoder::Nominatim.url("http://maps.example/", None, address, Lang::Fr, Some("FR"));
        assert_eq!(
            asked.as_deref(),
            Some(
                "http://maps.example/search?q=12+rue+de+l%27%C3%89glise+%26+Cie%2C+21000+Dijon&format=json&limit=1&accept-language=fr&countrycodes=fr"
            )
        );
        let asked = Geocoder::Google.url(
            "https://maps.googleapis.com",
            Some("k&y"),
            "1 rue",
            Lang::En,
            Some("France"),
        );
        assert_eq!(
            asked.as_deref(),
            Some(
                "https://maps.googleapis.com/maps/api/geocode/json?address=1+rue&language=en&key=k%26y"
            )
        );
        let asked = Router::Osrm.url("http://ways.example/osrm", None, HOME, GUEST, Lang::Fr);
        assert_eq!(
            asked.as_deref(),
            Some(
                "http://ways.example/osrm/route/v1/driving/5.0415,47.322;5.05,47.33?overview=false"
            )
        );
        assert_eq!(
            Geocoder::Nominatim.url("no address", None, "x", Lang::Fr, None),
            None
        );
    }

    #[test]
    fn answers_are_read_or_said_to_be_none() {
        let nominatim =
            json!([{"lat": "47.33", "lon": "5.05", "display_name": "12, Rue des Lilas, Dijon"}]);
        assert_eq!(
            Geocoder::Nominatim.read(&nominatim).unwrap().unwrap().point,
            GUEST
        );
        assert_eq!(Geocoder::Nominatim.read(&json!([])), Ok(None));
        assert!(Geocoder::Nominatim.read(&json!({"error": "no"})).is_err());
        assert!(
            Geocoder::Nominatim
                .read(&json!([{"lat": "91", "lon": "0"}]))
                .is_err()
        );
        let google = json!({"status": "OK", "results": [{"formatted_address": "12 Rue des Lilas", "geometry": {"location": {"lat": 47.33, "lng": 5.05}}}]});
        assert_eq!(
            Geocoder::Google
                .read(&google)
                .unwrap()
                .unwrap()
                .formatted
                .as_deref(),
            Some("12 Rue des Lilas")
        );
        assert_eq!(
            Geocoder::Google.read(&json!({"status": "ZERO_RESULTS", "results": []})),
            Ok(None)
        );
        assert_eq!(
            Geocoder::Google.read(&json!({"status": "REQUEST_DENIED"})),
            Err(NoAnswer("REQUEST_DENIED".to_owned()))
        );
        assert_eq!(
            Geocoder::Google.read(&json!({"status": "OK"})),
            Err(not_understood())
        );
        let osrm = json!({"code": "Ok", "routes": [{"distance": 2431.6, "duration": 361.0}]});
        let way = Way {
            km: 2.43,
            minutes: 7 + HANDING_MIN,
        };
        assert_eq!(Router::Osrm.read(&osrm), Ok(Some(way)));
        assert_eq!(Router::Osrm.read(&json!({"code": "NoRoute"})), Ok(None));
        assert!(Router::Osrm.read(&json!({"code": "InvalidUrl"})).is_err());
        let google = json!({"status": "OK", "rows": [{"elements": [{"status": "OK", "distance": {"value": 2432}, "duration": {"value": 361}}]}]});
        assert_eq!(Router::Google.read(&google), Ok(Some(way)));
        let none = json!({"status": "OK", "rows": [{"elements": [{"status": "ZERO_RESULTS"}]}]});
        assert_eq!(Router::Google.read(&none), Ok(None));
        assert!(
            Router::Google
                .read(&json!({"status": "OVER_QUERY_LIMIT", "rows": []}))
                .is_err()
        );
        assert!(
            Router::Osrm
                .read(&json!({"code": "Ok", "routes": [{"distance": -1, "duration": 1}]}))
                .is_err()
        );
    }
}
