//! The verticals of the house: the only place that names them, each behind a feature of the build.

#[cfg(feature = "restaurant")]
mod back_office;
#[cfg(not(feature = "restaurant"))]
mod none;
#[cfg(feature = "restaurant")]
mod provisioning;

#[cfg(feature = "restaurant")]
pub(crate) use back_office::{Bound, Parts, Running, bind, start};
#[cfg(not(feature = "restaurant"))]
pub(crate) use none::{Bound, Parts, Running, bind, start};

/// Whether this build has a back office of its own.
pub(crate) const HAS_BACK_OFFICE: bool = cfg!(feature = "restaurant");
