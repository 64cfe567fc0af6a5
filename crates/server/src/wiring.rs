//! The verticals of the house: the only place that names them, each behind a feature of the build.

#[cfg(feature = "restaurant")]
mod back_office;
#[cfg(feature = "restaurant")]
mod demo;
#[cfg(not(feature = "restaurant"))]
mod none;
#[cfg(feature = "restaurant")]
mod provisioning;

#[cfg(feature = "restaurant")]
pub(crate) use back_office::{Bound, Parts, Running, bind, start};
#[cfg(feature = "restaurant")]
pub(crate) use demo::Demo;
#[cfg(not(feature = "restaurant"))]
pub(crate) use none::{Bound, Demo, Parts, Running, bind, start};

/// Whether this build has a back office of its own.
pub(crate) const HAS_BACK_OFFICE: bool = cfg!(feature = "restaurant");

/// Postal codes of a text, as the back office reads them at its start: how many, and the file.
///
/// # Errors
/// Which line is none.
#[cfg(feature = "restaurant")]
pub(crate) fn pack_places(text: &str) -> Result<(usize, Vec<u8>), String> {
    let places = restaurant::domain::geo::Places::read(text).map_err(|error| error.to_string())?;
    if places.is_empty() {
        return Err("no places".to_owned());
    }
    let packed = places.pack().ok_or("too many places")?;
    Ok((places.len(), packed))
}

/// Nobody would read them.
#[cfg(not(feature = "restaurant"))]
pub(crate) fn pack_places(_: &str) -> Result<(usize, Vec<u8>), String> {
    Err("this build has no back office".to_owned())
}

/// Parts of the product that keep data of people beside the store's own.
pub(crate) fn keepers() -> Vec<store::Keeper> {
    vec![
        #[cfg(feature = "restaurant")]
        restaurant::privacy::keeper(),
    ]
}
