//! Map services of the back office.

use std::path::PathBuf;

use url::Url;

use crate::settings::{Problem, Settings};

/// Google's own address.
const GOOGLE_URL: &str = "https://maps.googleapis.com";

/// One service.
#[derive(Clone, Debug, PartialEq)]
#[allow(dead_code, reason = "a build without verticals only checks them")]
pub(crate) struct MapService {
    /// Its interface, as in the settings.
    pub(crate) kind: String,
    pub(crate) url: String,
    pub(crate) key: Option<String>,
    /// Of one question.
    pub(crate) price: f64,
}

/// What the settings name.
#[derive(Clone, Debug, PartialEq)]
#[allow(dead_code, reason = "a build without verticals only checks them")]
pub(crate) struct MapsConfig {
    pub(crate) geocoder: Option<MapService>,
    pub(crate) router: Option<MapService>,
    /// Imported places, and whether there must be such a file.
    pub(crate) places: (PathBuf, bool),
}

/// Where `allo geo import` leaves what it read.
pub(crate) fn places_file(settings: &Settings) -> PathBuf {
    settings.set("back_office.places").map_or_else(
        || PathBuf::from(settings.text("server.data_dir")).join("places.tsv.z"),
        PathBuf::from,
    )
}

impl MapsConfig {
    pub(super) fn read(settings: &Settings, problems: &mut Vec<Problem>) -> Self {
        Self {
            geocoder: service(settings, "geocoder", problems),
            router: service(settings, "router", problems),
            places: (
                places_file(settings),
                settings.set("back_office.places").is_some(),
            ),
        }
    }
}

fn service(settings: &Settings, name: &str, problems: &mut Vec<Problem>) -> Option<MapService> {
    let key = |part: &str| format!("back_office.{name}{part}");
    let kind = settings.text(&key("")).to_owned();
    if kind == "embedded" {
        return None;
    }
    let google = kind == "google";
    let default = google.then(|| GOOGLE_URL.to_owned());
    let url = settings.set(&key("_url")).map(str::to_owned).or(default);
    let Some(url) = url else {
        problems.push(Problem::new("config_missing_key").with("key", key("_url")));
        return None;
    };
    let usable = Url::parse(&url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.username() == ""
    });
    if !usable {
        let problem = Problem::new("config_bad_value")
            .with("key", key("_url"))
            .with("origin", settings.origin(&key("_url")))
            .with("value", &url)
            .with("expected", "http(s)://…");
        problems.push(problem);
    }
    let secret = settings
        .set("back_office.google_maps_key")
        .filter(|_| google);
    if google && secret.is_none() {
        let problem = Problem::new("config_missing_key")
            .with("key", "back_office.google_maps_key")
            .with("variable", "GOOGLE_MAPS_API_KEY");
        problems.push(problem);
    }
    Some(MapService {
        kind,
        url,
        key: secret.map(str::to_owned),
        price: settings.number(&key("_price")),
    })
}
