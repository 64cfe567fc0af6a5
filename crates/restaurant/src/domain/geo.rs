//! Where an address is, offline: postcodes and towns of France, and any file of the same form.
//!
//! The embedded data are the postal codes of GeoNames (CC BY 4.0, geonames.org), one line `postcode, town, latitude, longitude` each,
//! deflated. A centroid is all they know: a street within a town is not told from another.

pub mod services;

use std::collections::BTreeMap;

use super::lang::plain;

/// Bytes of the data once inflated.
const BYTES_MAX: usize = 16 << 20;
/// Roads are longer than straight lines by about this.
pub const ROAD_FACTOR: f64 = 1.3;
/// Kilometres per hour of a delivery in town.
pub const SPEED_KMH: f64 = 25.0;
/// Minutes of each delivery for parking and stairs.
pub const HANDING_MIN: i64 = 3;

static FRANCE: &[u8] = include_bytes!("../../data/places-fr.tsv.z");

/// A place on the map, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lng: f64,
}

/// Data that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlaces {
    /// The embedded or imported data are damaged.
    #[error("the places cannot be inflated")]
    Damaged,
    /// A line has another form.
    #[error(
        "line {0}: expected a postcode, a town, a latitude and a longitude, or a line of a GeoNames postal file"
    )]
    Line(usize),
}

/// A gazetteer.
#[derive(Clone, Debug, Default)]
pub struct Places {
    rows: Vec<Place>,
    by_code: BTreeMap<String, Vec<usize>>,
    by_town: BTreeMap<String, Vec<usize>>,
}

/// A town with its postcode.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Postcode.
    pub code: String,
    /// Town.
    pub town: String,
    /// Centroid.
    pub point: Point,
}

impl Places {
    /// The embedded places of France.
    ///
    /// # Errors
    /// See [`BadPlaces`].
    pub fn france() -> Result<Self, BadPlaces> {
        Self::unpack(FRANCE)
    }

    /// What [`Places::pack`] wrote.
    ///
    /// # Errors
    /// See [`BadPlaces`].
    pub fn unpack(bytes: &[u8]) -> Result<Self, BadPlaces> {
        let bytes = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(bytes, BYTES_MAX)
            .map_err(|_| BadPlaces::Damaged)?;
        Self::read(&String::from_utf8(bytes).map_err(|_| BadPlaces::Damaged)?)
    }

    /// Four columns a line, deflated; `None` where they would be more than is ever read.
    pub fn pack(&self) -> Option<Vec<u8>> {
        let mut text = String::new();
        for place in &self.rows {
            let Point { lat, lng } = place.point;
            text.push_str(&format!("{}\t{}\t{lat}\t{lng}\n", place.code, place.town));
        }
        (text.len() <= BYTES_MAX)
            .then(|| miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), 9))
    }

    /// Reads lines of four columns, or GeoNames' own postal files (`FR.txt`: twelve columns).
    ///
    /// # Errors
    /// The number of the line that is neither.
    pub fn read(text: &str) -> Result<Self, BadPlaces> {
        let mut places = Self::default();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let columns: Vec<&str> = line.split('\t').collect();
            let (code, town, lat, lng) = match columns.as_slice() {
                [code, town, lat, lng] => (code, town, lat, lng),
                [_, code, town, _, _, _, _, _, _, lat, lng, ..] => (code, town, lat, lng),
                _ => return Err(BadPlaces::Line(index + 1)),
            };
            let (Ok(lat), Ok(lng)) = (lat.parse::<f64>(), lng.parse::<f64>()) else {
                return Err(BadPlaces::Line(index + 1));
            };
            if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lng) {
                return Err(BadPlaces::Line(index + 1));
            }
            let row = places.rows.len();
            places
                .by_code
                .entry(code.to_ascii_uppercase())
                .or_default()
                .push(row);
            places.by_town.entry(town_key(town)).or_default().push(row);
            places.rows.push(Place {
                code: (*code).to_owned(),
                town: (*town).to_owned(),
                point: Point { lat, lng },
            });
        }
        Ok(places)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The place that a postcode and a town mean. Each may be missing or be part of the address; of towns with the same name the
    /// one nearest to `near` is meant.
    pub fn find(
        &self,
        address: &str,
        town: Option<&str>,
        code: Option<&str>,
        near: Option<Point>,
    ) -> Option<Place> {
        let given = |text: Option<&str>| {
            text.map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let in_address = || {
            let mut words = address.split(|c: char| !c.is_ascii_alphanumeric());
            words
                .rfind(|word| self.by_code.contains_key(*word))
                .map(str::to_owned)
        };
        let code = given(code)
            .map(|code| code.replace(' ', "").to_ascii_uppercase())
            .or_else(in_address);
        let rows = code.as_ref().and_then(|code| self.by_code.get(code));
        let town = given(town).map(|town| town_key(&town));
        if let Some(rows) = rows {
            let named = |row: &&usize| {
                let name = town_key(&self.rows[**row].town);
                town.as_ref()
                    .is_some_and(|town| name == *town || town.is_empty())
                    || town.is_none() && plain(address).ends_with(&name)
            };
            if let Some(row) = rows.iter().rev().find(named) {
                return Some(self.rows[*row].clone());
            }
            // Of a town's own name and its districts the district is nearer to the truth: it is listed last.
            return rows.last().map(|row| self.rows[*row].clone());
        }
        let rows = match &town {
            Some(town) => self.by_town.get(town)?,
            None => self.last_town_of(address)?,
        };
        let distance =
            |row: &&usize| near.map_or(0.0, |near| straight_km(near, self.rows[**row].point));
        rows.iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .map(|row| self.rows[*row].clone())
    }

    /// The town that an address ends with.
    fn last_town_of(&self, address: &str) -> Option<&Vec<usize>> {
        let words = town_key(address);
        let words: Vec<&str> = words.split(' ').collect();
        (words.len().saturating_sub(6)..words.len())
            .find_map(|from| self.by_town.get(&words[from..].join(" ")))
    }
}

/// A town's name as it is compared: `St` is `Saint`.
fn town_key(town: &str) -> String {
    let words = plain(town);
    let parts: Vec<&str> = words
        .split(' ')
        .map(|word| match word {
            "st" => "saint",
            "ste" => "sainte",
            other => other,
        })
        .collect();
    parts.join(" ")
}

/// Kilometres as the crow flies.
pub fn straight_km(a: Point, b: Point) -> f64 {
    let (lat_a, lat_b) = (a.lat.to_radians(), b.lat.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lng = ((b.lng - a.lng).to_radians() / 2.0).sin();
    let chord = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lng * half_lng;
    2.0 * 6_371.0 * chord.sqrt().min(1.0).asin()
}

/// A way by road: hundredths of a kilometre kept, whole minutes rounded up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Way {
    /// Kilometres.
    pub km: f64,
    /// Minutes.
    pub minutes: i64,
}

/// The estimated way between two points.
pub fn way(a: Point, b: Point) -> Way {
    let km = straight_km(a, b) * ROAD_FACTOR;
    let km = (km * 100.0).round() / 100.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most half the globe at walking pace"
    )]
    let minutes = (km / SPEED_KMH * 60.0).ceil() as i64 + HANDING_MIN;
    Way { km, minutes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn france_is_found_by_postcode_and_town() {
        let places = Places::france().unwrap();
        assert!(places.len() > 37_000, "{}", places.len());
        let find = |address: &str, town: Option<&str>, code: Option<&str>| {
            places
                .find(address, town, code, None)
                .map(|place| (place.code, place.town))
        };
        let is = |code: &str, town: &str| Some((code.to_owned(), town.to_owned()));
        assert_eq!(
            find("12 rue des Lilas", Some("Dijon"), Some("21000")),
            is("21000", "Dijon")
        );
        assert_eq!(
            find("12 rue des Lilas, 21000 Dijon", None, None),
            is("21000", "Dijon")
        );
        assert_eq!(
            find("3 place Bellecour", None, Some("69002")),
            is("69002", "Lyon 02")
        );
        assert_eq!(
            find("1 grande rue", Some("st etienne"), Some("42000")),
            is("42000", "Saint-Étienne")
        );
        assert_eq!(
            find("5 rue Haute, Besançon", None, None)
                .map(|found| found.1)
                .as_deref(),
            Some("Besançon")
        );
        assert_eq!(find("nowhere", Some("Atlantis"), Some("99999")), None);
        let dijon = Point {
            lat: 47.32,
            lng: 5.04,
        };
        // Several towns of France have this name.
        let near = places
            .find("", Some("Saint-Apollinaire"), None, Some(dijon))
            .unwrap();
        assert_eq!(near.code, "21850");
    }

    #[test]
    fn ways_are_estimated() {
        let paris = Point {
            lat: 48.8566,
            lng: 2.3522,
        };
        let lyon = Point {
            lat: 45.7640,
            lng: 4.8357,
        };
        assert!((straight_km(paris, lyon) - 391.5).abs() < 2.0);
        let short = way(
            paris,
            Point {
                lat: 48.8666,
                lng: 2.3522,
            },
        );
        assert_eq!(
            short,
            Way {
                km: 1.45,
                minutes: 7
            }
        );
        assert_eq!(
            way(paris, paris),
            Way {
                km: 0.0,
                minutes: HANDING_MIN
            }
        );
    }

    #[test]
    fn geonames_own_files_are_read() {
        let line = "FR\t21000\tDijon\tBourgogne-Franche-Comté\t27\tCôte-d'Or\t21\tDijon\t212\t47.3167\t5.0167\t5\n";
        assert_eq!(
            Places::read(line)
                .unwrap()
                .find("", None, Some("21000"), None)
                .unwrap()
                .town,
            "Dijon"
        );
        assert_eq!(Places::read("a\tb\n").unwrap_err(), BadPlaces::Line(1));
        let beyond = "21000\tDijon\t147.3\t5.0\n";
        assert_eq!(Places::read(beyond).unwrap_err(), BadPlaces::Line(1));
        let again = Places::unpack(&Places::read(line).unwrap().pack().unwrap()).unwrap();
        assert_eq!(again.rows, Places::read(line).unwrap().rows);
    }
}
