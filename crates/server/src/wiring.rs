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

/// Parts of the product that keep data of people beside the store's own.
pub(crate) fn keepers() -> Vec<store::Keeper> {
    vec![
        #[cfg(feature = "restaurant")]
        restaurant::privacy::keeper(),
    ]
}
